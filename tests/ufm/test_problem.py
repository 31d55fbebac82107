"""The model with weight decay: optima against closed forms."""

import numpy as np
import pytest
from scipy import special

from ncjax.options import options_of
from ncjax.ufm import Problem, certify, geometry, solve
from ncjax.ufm.closed_forms import Balanced, predict
from ncjax.ufm.tables import FITS
from tests.thin import thin
from tests.ufm.problems import BINARY, P10, balanced_problem, solved


@pytest.mark.parametrize(("n", "lw", "lh"), [(1, 1e-3, 1e-3), (5, 5e-4, 2e-2)])
def test_cross_entropy_closed_form(n, lw, lh):
    problem = balanced_problem(1, sizes=n).replace(
        lambda_w=np.asarray(lw), lambda_h=np.asarray(lh)
    )
    solution, _ = solved(problem)
    c = np.sqrt(n * lw * lh)
    s = np.log(1 / c - 9)
    value = -np.log(1 - 9 * c) + 9 * c * s
    np.testing.assert_allclose(solution.objective, value, rtol=0, atol=1e-13)
    logits = problem.logits(solution.params)
    np.testing.assert_allclose(logits, s * P10, atol=1e-9)
    w, h = solution.params["W"], solution.params["H"]
    np.testing.assert_allclose(w @ w.T, s * np.sqrt(n * lh / lw) * P10, atol=1e-8)
    np.testing.assert_allclose(h, np.sqrt(lw / (n * lh)) * w, atol=1e-9)
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities[~np.eye(10, dtype=bool)], c, atol=1e-12)


@pytest.mark.parametrize(
    ("c", "value"), [(1e-3, 0.0711291755), (1e-2, 0.5002880350), (0.11, np.log(10))]
)
def test_cross_entropy_values(c, value):
    solution, _ = solved(balanced_problem(c))
    np.testing.assert_allclose(solution.objective, value, atol=5e-11)
    assert geometry(solution.params).rank == (9 if c < 0.1 else 0)


@pytest.mark.parametrize("lambda_b", [0.0, 0.1])
def test_cross_entropy_needs_no_bias(lambda_b):
    """The bias is 0 with decay, any constant vector without; the objective the same."""
    solution, _ = solved(balanced_problem(1e-2, lambda_b=lambda_b))
    bias = solution.params["b"]
    np.testing.assert_allclose(bias, 0 if lambda_b else bias.mean(), atol=1e-9)
    np.testing.assert_allclose(solution.objective, 0.5002880350, atol=5e-11)


@pytest.mark.parametrize(("eps", "s"), [(0.1, 4.405610), (0.2, 3.653746)])
def test_label_smoothing_closed_form(eps, s):
    problem = balanced_problem(1e-3, label_smoothing=eps)
    solution, _ = solved(problem)
    np.testing.assert_allclose(problem.logits(solution.params), s * P10, atol=5e-7)


@pytest.mark.parametrize(
    ("loss", "options", "lambda_b"),
    [
        ("cross_entropy", {"temperature": 0.4, "label_smoothing": 0.0}, None),
        ("cross_entropy", {"temperature": 5.0, "label_smoothing": 0.1}, 0.02),
        ("soft_labels", {"temperature": 3.0}, 0.0),
        ("hxe", {"temperature": 0.5}, None),
    ],
)
def test_closed_form_with_a_temperature(loss, options, lambda_b):
    """Certified with the temperature, predicted by larger decays without it."""
    if loss != "cross_entropy":
        options = options_of(FITS[loss]) | options | {"hierarchy": BINARY}
    model = Balanced(8, 3, 2e-3, 1e-3, lambda_b)
    problem = Problem.create(loss, **model._asdict(), **options)
    solution, _ = solved(problem)
    found = predict(loss, model, options)
    np.testing.assert_allclose(solution.objective, found.objective, atol=1e-12)
    logits = solution.params["H"] @ solution.params["W"].T
    centred = np.asarray(logits) @ (np.eye(8) - 1 / 8)
    np.testing.assert_allclose(centred, found.logits, atol=1e-6)


@pytest.mark.parametrize("c", thin([0.001, 0.01, 0.05], keep={1}))
@pytest.mark.parametrize("side", [None, 0.0, 0.5, 3.0])
def test_mse_bias_transition(c, side):
    """A simplex below lb = Kc/(1-Kc), towards an orthogonal frame above it."""
    k, u = 10, 1 - 10 * c
    lb = None if side is None else side * k * c / u
    problem = balanced_problem(c, "mse", lambda_b=lb)
    solution, _ = solved(problem)
    if lb is None:
        v, value = u, k * c - k**2 * c**2 / 2
    elif side <= 1:
        v, bias, value = 0, 1 / (k * (1 + lb)), None if lb else 9 * (c - k * c**2 / 2)
    else:
        v, bias, value = 1 - k * c - k * c / lb, c / lb, None
    logits = solution.params["H"] @ solution.params["W"].T
    np.testing.assert_allclose(logits, u * P10 + v / k, atol=1e-8)
    # Centred means are a simplex on either side, and W, not centred, is aligned.
    found = geometry(solution.params)
    np.testing.assert_allclose([found.nc2, found.nc3], 0, atol=1e-8)
    if lb is not None:
        np.testing.assert_allclose(solution.params["b"], bias, atol=1e-8)
    if value is not None:
        np.testing.assert_allclose(solution.objective, value, atol=1e-13)


def test_mse_imbalanced_closed_form():
    """Diagonal logits (1 - N mu / sqrt(n_k))_+; a class dies at n_k <= N^2 lW lH."""
    sizes = np.array([100, 80, 60, 40, 30, 20, 15, 10, 4, 1])
    mu = 0.008
    solution, _ = solved(balanced_problem(mu, "mse", sizes=sizes))
    z = np.maximum(1 - 360 * mu / np.sqrt(sizes), 0)
    w, h = solution.params["W"], solution.params["H"]
    np.testing.assert_allclose(h @ w.T, np.diag(z), atol=1e-8)
    squares = np.maximum(np.sqrt(sizes) - 360 * mu, 0)
    np.testing.assert_allclose(np.sum(w**2, 1), squares, atol=1e-7)
    np.testing.assert_allclose(np.sum(h**2, 1), squares / sizes, atol=1e-8)
    assert geometry(solution.params).rank == 8  # sqrt(n_k) > 2.88


def test_minority_collapse():
    """Five small classes merge where n_B <= N^2 lW lH."""
    sizes = [500] * 5 + [100] * 5
    for mu, contrast in [(0.0030, 0.6682), (0.0033, 0.0820), (0.0034, 0)]:
        problem = balanced_problem(mu, sizes=sizes)
        solution, _ = solved(problem)
        logits = problem.logits(solution.params)
        np.testing.assert_allclose(logits[5, 5] - logits[5, 6], contrast, atol=6e-5)
    assert abs(logits[5, 5] - logits[5, 6]) < 1e-9
    # Why: on contrasts of merged classes the gradient is exactly -(sqrt(n_B)/N) I.
    theta = np.sqrt(sizes)[:, None] / 3000 * (np.eye(10) - special.softmax(logits, 1))
    contrasts = np.eye(10)[5:] - np.repeat([0, 0.2], 5)
    for image in (contrasts @ theta, contrasts @ theta.T):
        np.testing.assert_allclose(image, contrasts / 300, atol=1e-12)


@pytest.mark.slow
def test_imbalanced_cross_entropy_tends_to_simplex_labels():
    """SELI, but for terms in 1/log(1/mu): Zbar ~ P, W W' and H'H those of P D^(1/2)."""
    sizes = np.repeat([500, 100], 5)
    left, values, right = np.linalg.svd(P10 * np.sqrt(sizes))
    limits = (
        P10,
        (left * values) @ left.T,
        (right.T * values) @ right / np.sqrt(np.outer(sizes, sizes)),
    )
    scaled = []
    for mu in (1e-7, 1e-9, 1e-11):
        problem = balanced_problem(mu, sizes=sizes)
        solution = solve(problem)
        assert certify(problem, solution.params).verdict.startswith("global optimum")
        w, h = solution.params["W"], solution.params["H"]
        errors = [
            np.linalg.norm(a / np.linalg.norm(a) - b / np.linalg.norm(b))
            for a, b in zip((h @ w.T, w @ w.T, h @ h.T), limits, strict=True)
        ]
        scaled.append(np.log(1 / mu) * np.array(errors))
    np.testing.assert_allclose(scaled[1:], scaled[:-1], rtol=0.03)
    np.testing.assert_allclose(scaled[-1], [1.12, 0.74, 1.33], rtol=0.01)


def test_class_means_are_exact():
    """A free feature for every sample finds the same optimum, with NC1 = 0."""
    sizes = [3, 2, 2] + [1] * 7
    problem = balanced_problem(3e-3, sizes=sizes, lambda_b=0.1)
    few, _ = solved(problem)
    free = problem.samples()
    many, _ = solved(free)
    np.testing.assert_allclose(many.objective, few.objective, atol=1e-13)
    labels = np.repeat(np.arange(10), sizes)
    logits = problem.logits(few.params)
    np.testing.assert_allclose(free.logits(many.params), logits[labels], atol=1e-7)
    found, expected = geometry(many.params, labels), geometry(few.params)
    np.testing.assert_allclose(found.gram, expected.gram, atol=1e-6)
    assert found.nc1 < 1e-12
    features = many.params["H"]
    first = np.searchsorted(labels, labels)  # of each class
    np.testing.assert_allclose(features, features[first], atol=1e-7)
