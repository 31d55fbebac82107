"""Sets of labels in closed form: certified optima, thresholds, a search by SciPy."""

import math

import numpy as np
import pytest
from scipy import optimize, special

from ncjax import ufm
from ncjax.ufm.label_sets import label_sets, sets_of
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum
from ncjax.ufm.theory.pick_all_label import (
    label_threshold,
    optimum_of_loss,
    pick_all_label_optimum,
)


@pytest.mark.parametrize(
    ("per_set", "average", "lambda_b"),
    [
        ((10, 3), False, None),
        pytest.param((10, 3), True, 0.0, marks=pytest.mark.slow),
        ((4, 0, 2), False, 0.1),
        pytest.param((1, 2, 3, 4, 5), False, 0.0, marks=pytest.mark.slow),
        pytest.param((0, 7), True, None, marks=pytest.mark.slow),
    ],
)
def test_the_certified_optimum_is_the_closed_form(per_set, average, lambda_b):
    decays = {"lambda_w": 4e-3, "lambda_h": 1e-2}
    theory = pick_all_label_optimum(
        5, per_set, *decays.values(), average_labels=average
    )
    problem = label_sets(
        5, per_set, **decays, average_labels=average, lambda_b=lambda_b
    )
    solution = ufm.solve(problem, 0)
    certificate = ufm.certify(problem, solution.params)
    assert certificate.bounds.gap <= 1e-9
    assert float(solution.objective) == pytest.approx(theory.objective, abs=1e-11)
    labels, w = sets_of(5, per_set), np.asarray(solution.params["W"])
    features = np.asarray(solution.params["H"])
    np.testing.assert_allclose(features @ w.T, theory.logits(labels), atol=1e-8)
    np.testing.assert_allclose(w @ w.T, theory.classifier_gram, atol=1e-8)
    scales = theory.scales[labels.sum(1) - 1][:, None]
    if 5 not in labels.sum(1):  # the sum over all w_k is 0
        sums = theory.feature_ratio * scales * (labels @ w)
        np.testing.assert_allclose(features, sums, atol=1e-8)
    with np.errstate(invalid="ignore"):
        wanted = theory.scales / theory.scales[0]
    np.testing.assert_array_equal(theory.sum_scales, wanted)


def test_the_scales_are_the_least_of_all_symmetric_logits():
    """Reference: SciPy over s_1, s_2 of the objective with its nuclear norm."""
    k, counts, mu = 7, np.array([9.0, 2.0]), 3e-3
    total = 9 * 7 + 2 * 21
    weights = counts * [1, 5]  # n_m C(K-2, m-1)

    def objective(s):
        value = mu * (k - 1) * math.sqrt(weights @ s**2)
        for m, x in enumerate(s, 1):
            row = np.where(np.arange(k) < m, x * (1 - m / k), -x * m / k)
            loss = m * special.logsumexp(row) - row[:m].sum()
            value += counts[m - 1] * math.comb(k, m) / total * loss
        return value

    found = optimize.minimize(objective, [1.0, 1.0], method="BFGS", tol=1e-12)
    theory = pick_all_label_optimum(k, counts, mu, mu)
    np.testing.assert_allclose(theory.scales, found.x, atol=1e-5)
    assert theory.objective == pytest.approx(found.fun, rel=1e-10)


def test_single_labels_alone_are_cross_entropy():
    theory = pick_all_label_optimum(6, [8], 1e-3, 2e-3)
    known = cross_entropy_optimum(6, 8, 1e-3, 2e-3)
    np.testing.assert_allclose(theory.logits(np.eye(6, dtype=bool)), known.logits)
    np.testing.assert_allclose(theory.classifier_gram, known.classifier_gram)
    assert theory.objective == pytest.approx(known.objective, rel=1e-12)


@pytest.mark.parametrize("average", [False, True])
def test_all_sets_vanish_at_once(average):
    """Reference: |D^(-1/2) Theta|_2 of logits 0, the threshold of the nuclear norm."""
    per_set, k = (5, 2, 1), 6
    labels = sets_of(k, per_set)
    sizes = labels.sum(1)
    counts = np.array(per_set)[sizes - 1]
    theta = labels - sizes[:, None] / k
    theta = theta / (sizes[:, None] if average else 1) * counts[:, None] / counts.sum()
    wanted = np.linalg.norm(theta / np.sqrt(counts)[:, None], 2)
    least = label_threshold(k, per_set, average_labels=average)
    assert least == pytest.approx(wanted, rel=1e-12)
    for factor in (1 - 1e-6, 1 + 1e-6):
        mu = factor * least
        found = pick_all_label_optimum(k, per_set, mu, mu, average_labels=average)
        assert ("trivial" in found.regime) == (factor > 1)
        assert (found.scales > 0).all() == (factor < 1)
    at_all = pick_all_label_optimum(
        k, per_set, least * (1 - 1e-16), least, average_labels=average
    )
    assert at_all.scales.max() < 1e-7
    close = pick_all_label_optimum(
        k, per_set, least * 0.999, least * 0.999, average_labels=average
    )
    shares = 1 / np.arange(1, 4) if average else np.ones(3)
    np.testing.assert_allclose(close.sum_scales, shares, rtol=1e-2)


@pytest.mark.parametrize("average", [False, True])
def test_the_loss_tells_which_optimum_it_is(average):
    options = {"average_labels": average}
    for mu in (1e-2, 1e-4, 1e-9):
        wanted = pick_all_label_optimum(6, (5, 2), mu, mu, **options)
        found = optimum_of_loss(6, (5, 2), wanted.loss, **options)
        np.testing.assert_allclose(found.scales, wanted.scales, rtol=1e-4)
    most = np.log(6) if average else (30 + 60) / 60 * np.log(6)
    for loss in (most, -0.1, np.nan):
        with pytest.raises(ValueError, match="No optimum has the mean loss"):
            optimum_of_loss(6, (5, 2), loss, **options)


def test_sums_are_not_longer_than_their_sets_and_reach_them_without_decay():
    ratios = [
        pick_all_label_optimum(10, (200, 44), mu, mu).sum_scales[1]
        for mu in (5e-3, 1e-3, 1e-6, 1e-12, 1e-60)
    ]
    assert all(0.85 < ratio < 1 for ratio in ratios)
    assert ratios[2] < ratios[3] < ratios[4]
    assert ratios[4] > 0.99


@pytest.mark.parametrize(
    ("k", "per_set", "decay", "message"),
    [
        (1, (1,), 0.1, "num_classes must be at least 2"),
        (3, (), 0.1, "must have 1 to 3 numbers"),
        (3, (1, 1, 1, 1), 0.1, "must have 1 to 3 numbers"),
        (3, (1, -1), 0.1, "finite and at least 0"),
        (3, (0, 0, 5), 0.1, "no sets but that of all labels"),
        (3, (1,), 0.0, "lambda_w must be finite and > 0"),
    ],
)
def test_bad_input_is_refused(k, per_set, decay, message):
    with pytest.raises(ValueError, match=message):
        pick_all_label_optimum(k, per_set, decay, 0.1)
