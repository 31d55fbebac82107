"""Flows: closed forms, conserved quantities, and the scalar equations of Hadamard."""

import jax
import numpy as np
import pytest
from scipy import integrate

from ncjax import hierarchy, ufm
from ncjax.ufm.theory import hadamard
from tests.thin import thin

# s(0) = 0.1 on the collapse ray, at t = 1, 10, 100, 1e3, 1e4, 1e6.
RAY_TIMES = (0, 1, 10, 100, 1e3, 1e4, 1e6)
RAYS = {
    4: (0.162157, 2.756529, 6.962004, 9.741767, 12.318900, 17.295101),
    10: (0.121858, 0.687332, 6.782585, 9.725932, 12.317310, 17.295085),
}
STRENGTHS = np.random.default_rng(0).uniform(0.05, 1, 7)


def plain(num_classes, **options):
    problem = ufm.Problem.create(
        lambda_w=1.0, lambda_h=1.0, num_classes=num_classes, **options
    )
    return problem.without_decay()


@pytest.fixture(scope="module")
def ridge():
    return ufm.Problem.create(lambda_w=1e-2, lambda_h=1e-2, num_classes=4, sizes=3)


@pytest.fixture(scope="module")
def frozen():
    return ufm.flow(plain(8), ufm.modal_start(STRENGTHS), t_max=1e5, points=31)


@pytest.mark.parametrize("num_classes", thin(list(RAYS), keep={0}))
def test_collapse_ray_to_a_million(num_classes):
    half = np.sqrt(0.1) * (np.eye(num_classes) - 1 / num_classes)
    start = {"W": half, "H": half}
    path = ufm.flow(plain(num_classes), start, times=RAY_TIMES, rtol=1e-9)
    assert path.singular_values.dtype == np.float64
    np.testing.assert_allclose(
        path.singular_values[1:, 0], RAYS[num_classes], atol=2e-6
    )
    expected = [hadamard.ray_strength(0.1, float(t), num_classes) for t in RAY_TIMES]
    np.testing.assert_allclose(path.singular_values[:, 0], expected, atol=2e-6)
    assert np.max(path.drift) < 1e-9
    assert np.all(path.nc2 < 1e-9)


def test_hadamard_start_freezes_the_singular_vectors(frozen):
    strengths, leak = ufm.mode_strengths(frozen.params, ufm.hadamard_basis(8))
    assert leak.max() < 1e-9
    expected = ufm.strength_flow(STRENGTHS, frozen.times)
    np.testing.assert_allclose(strengths, expected, atol=5e-6)
    np.testing.assert_allclose(strengths[0], STRENGTHS)


def test_lyapunov_function_falls(frozen):
    strengths, _ = ufm.mode_strengths(frozen.params, ufm.hadamard_basis(8))
    spread = np.array([hadamard.spread(s) for s in strengths])
    assert np.all(np.diff(spread) < 0)
    assert 0.01 < spread[-1] < spread[0] / 2
    ratio = strengths.max(axis=1) / strengths.min(axis=1)
    assert np.all(np.diff(ratio) < 0)


def test_another_basis_does_not_freeze():
    basis = ufm.random_basis(8)
    np.testing.assert_allclose(basis.T @ basis, np.eye(8), atol=1e-14)
    start = ufm.modal_start(STRENGTHS, basis=basis)
    path = ufm.flow(plain(8), start, t_max=1e5, points=31)
    _, leak = ufm.mode_strengths(path.params, basis)
    assert leak[0] < 1e-14
    assert leak[-1] > 0.05


def test_scalar_equations_against_scipy():
    times = np.array([0, 0.1, 1, 10, 100, 1000])
    reference = integrate.solve_ivp(
        lambda t, s: hadamard.strength_velocity(s),
        (0, 1000),
        STRENGTHS,
        "LSODA",
        times,
        rtol=1e-11,
        atol=1e-13,
    )
    found = ufm.strength_flow(STRENGTHS, times)
    np.testing.assert_allclose(found, reference.y.T, rtol=1e-8)


@pytest.mark.slow
def test_dead_mode_stays_dead_and_imbalance_is_conserved():
    strengths = STRENGTHS.copy()
    strengths[2] = 0
    start = ufm.modal_start(strengths, imbalance=0.3 * STRENGTHS**2, feature_dim=9)
    path = ufm.flow(plain(8, feature_dim=9), start, t_max=1e3, points=12)
    assert np.max(path.drift) < 1e-6
    kept = ufm.modal_start(strengths, feature_dim=9)
    path = ufm.flow(plain(8, feature_dim=9), kept, t_max=1e3, points=12)
    found, _ = ufm.mode_strengths(path.params, ufm.hadamard_basis(8))
    assert np.max(np.abs(found[:, 2])) < 1e-12
    assert found[-1, 0] > 5


@pytest.mark.slow
def test_descent_follows_flow(frozen):
    problem, start = plain(8), ufm.modal_start(STRENGTHS)
    path = ufm.descend(problem, start, learning_rate=0.01, times=[0, 20])
    found, leak = ufm.mode_strengths(path.params, ufm.hadamard_basis(8))
    expected = ufm.strength_flow(STRENGTHS, [0.0, 20.0])
    np.testing.assert_allclose(found[-1], expected[-1], atol=2e-3)
    assert np.max(leak) < 1e-12
    assert path.steps == 2000
    # First order: half the rate, half the error.
    finer = ufm.descend(problem, start, learning_rate=0.005, times=[0, 20])
    closer, _ = ufm.mode_strengths(finer.params, ufm.hadamard_basis(8))
    errors = [np.abs(x[-1] - expected[-1]).max() for x in (found, closer)]
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.1)


@pytest.mark.slow
def test_flow_stops_at_the_certified_optimum(ridge):
    path = ufm.flow(ridge, 0, t_max=1e6, stop_gap=1e-9)
    assert path.stopped
    assert path.gap[-1] <= 1e-9
    assert path.times[-1] < 1e4
    assert np.all(np.diff(path.times) > 0)
    assert np.all(np.diff(path.objective) < 1e-12)
    assert np.max(path.drift) < 1e-6  # balance decays like exp(-2 lambda t)
    closest = ufm.solve(ridge)
    assert path.objective[-1] == pytest.approx(float(closest.objective), abs=1e-9)
    at_end = ufm.certify(ridge, jax.tree.map(lambda x: x[-1], path.params))
    assert at_end.verdict.startswith("global optimum")
    slow = ufm.flow(ridge, 0, t_max=1e6, stop_gradient=1e-5)
    assert slow.stopped
    assert slow.gradient_norm[-1] <= 1e-5


def test_momentum_reaches_the_same_optimum(ridge):
    path = ufm.descend(
        ridge, 0, learning_rate=0.1, momentum=0.9, t_max=1e4, stop_gap=1e-8
    )
    assert path.stopped
    assert path.gap[-1] <= 1e-8
    assert path.steps < 10_000


def test_flow_against_scipy(ridge):
    start = ufm.small_start(ridge, 3)
    shapes = {k: v.shape for k, v in start.items()}

    def velocity(t, x):
        w, h = x[:16].reshape(shapes["W"]), x[16:].reshape(shapes["H"])
        logits = h @ w.T
        p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        g = (p - np.eye(4)) / 4
        return -np.concatenate(
            [(g.T @ h + 1e-2 * w).ravel(), (g @ w / 3 + 1e-2 * h).ravel()]
        )

    x0 = np.concatenate([start["W"].ravel(), start["H"].ravel()])
    reference = integrate.solve_ivp(
        velocity, (0, 200), x0, "LSODA", [200], rtol=1e-10, atol=1e-12
    )
    path = ufm.flow(ridge, start, times=[0, 10, 200])
    got = np.concatenate([path.params["W"][-1].ravel(), path.params["H"][-1].ravel()])
    np.testing.assert_allclose(got, reference.y[:, -1], atol=1e-6)


@pytest.mark.slow
def test_class_means_move_as_equal_samples_do(ridge):
    start, samples = ufm.small_start(ridge, 1), ridge.samples()
    labels = np.repeat(np.arange(4), 3)
    spread = {"W": start["W"], "H": start["H"][labels]}
    means = ufm.flow(ridge, start, times=[0, 100])
    all_of_them = ufm.flow(samples, spread, times=[0, 100], labels=labels)
    np.testing.assert_allclose(all_of_them.objective, means.objective, atol=1e-7)
    # Within-class variation decays with weight decay alone: exp(-2 lambda t).
    noisy = ufm.flow(samples, 0, t_max=2e3, points=12, labels=labels)
    assert noisy.nc1[0] > 1
    assert noisy.nc1[-1] < 1e-9


@pytest.mark.slow
def test_many_flows_are_those_one_by_one(ridge):
    problems = [
        ufm.Problem.create(lambda_w=x, lambda_h=1e-2, num_classes=4, sizes=3)
        for x in (1e-2, 2e-2)
    ]
    many = ufm.flow_many(problems, [0, 1], times=[0, 10, 100])
    assert many.objective.shape == (2, 3)
    for i, problem in enumerate(problems):
        one = ufm.flow(problem, i, times=[0, 10, 100])
        np.testing.assert_allclose(many.objective[i], one.objective, atol=1e-7)
    assert np.isnan(many.drift[1]).all()  # conserved for equal decays only
    assert not np.isnan(many.drift[0]).any()


@pytest.mark.slow
def test_many_flows_stop_by_themselves(ridge, monkeypatch):
    """Side by side, as on an accelerator."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    stopped = ufm.flow_many(ridge, [0, 1], t_max=1e5, points=9, stop_gap=1e-6)
    assert np.all(stopped.stopped)
    assert np.all(stopped.gap[:, -1] <= 1e-6)


@pytest.mark.slow
def test_models_without_a_gap():
    tree = hierarchy.balanced(2, 2)
    depth = ufm.Problem.create(
        "hxe", hierarchy=tree, weighting="depth", lambda_w=1e-2, lambda_h=1e-2
    )
    path = ufm.flow(depth, 0, times=[0, 100])
    assert np.isnan(path.gap).all()
    assert path.objective[-1] < path.objective[0]
    deep = ufm.Deep.create(
        depth=2,
        width=5,
        activation="linear",
        lambda_w=1e-3,
        lambda_h=1e-3,
        num_classes=3,
    )
    path = ufm.flow(deep, deep.init(jax.random.key(0)), times=[0, 300])
    assert path.objective[-1] < path.objective[0]
    assert path.nc2.shape == (2,)
    with pytest.raises(ValueError, match="no gap to stop at: more than one layer"):
        ufm.flow(deep, 0, stop_gap=1e-6)


def test_there_is_no_gap_to_stop_at_without_a_convex_loss(ridge):
    depth = ufm.Problem.create(
        "hxe",
        hierarchy=hierarchy.balanced(2, 2),
        weighting="depth",
        lambda_w=1e-2,
        lambda_h=1e-2,
    )
    match = "no gap to stop at: the loss is not known to be convex"
    with pytest.raises(ValueError, match=match):
        ufm.flow(depth, 0, stop_gap=1e-6)
    with pytest.raises(ValueError, match=match):
        ufm.flow_many([depth, depth], [0, 1], stop_gap=1e-6)
    with pytest.raises(ValueError, match=match):
        ufm.descend(depth, 0, learning_rate=0.1, stop_gap=1e-6)


def test_bad_input(ridge):
    with pytest.raises(ValueError, match="times must increase from 0"):
        ufm.flow(ridge, times=[1, 2])
    with pytest.raises(ValueError, match="t_max must be finite"):
        ufm.flow(ridge, t_max=0)
    with pytest.raises(ValueError, match="this problem takes"):
        ufm.flow(ridge, {"W": np.ones((4, 2)), "H": np.ones((4, 2))})
    with pytest.raises(ValueError, match=r"momentum in \[0, 1\)"):
        ufm.descend(ridge, learning_rate=0.1, momentum=1.0)
    with pytest.raises(FloatingPointError, match="learning_rate = 1e\\+06 is too"):
        ufm.descend(ridge, learning_rate=1e6, t_max=1e8)
    with pytest.raises(FloatingPointError, match="did not reach t = 10000 in 20 steps"):
        ufm.flow(ridge, max_steps=20)
    with pytest.raises(ValueError, match="must be a power of two, at least 2, got 6"):
        ufm.modal_start(np.ones(5))
    with pytest.raises(ValueError, match="feature_dim=5 is too small: 7 modes"):
        ufm.modal_start(np.ones(7), feature_dim=5)
