"""Models with several layers."""

import jax
import numpy as np
import pytest

from ncjax.ufm import Deep, certify, solve_many
from ncjax.ufm.theory import deep_collapse


@pytest.mark.slow
def test_deep_linear():
    """Three linear layers: all orthogonal frames; the least over their scale z."""
    problem = Deep.create(
        depth=3, num_classes=6, lambda_w=0.004, lambda_h=0.004, activation="linear"
    )
    found = solve_many(problem, range(4))
    assert np.all(found.converged)
    z = np.linspace(0, 1, 100_001)
    frame = np.min((1 - z) ** 2 / 2 + 2 * 0.004 * 6 * np.sqrt(z))
    best = int(np.argmin(found.objective))
    np.testing.assert_allclose(found.objective[best], frame, atol=1e-9)
    params = jax.tree.map(lambda x: x[best], found.params)
    assert problem.balance_error(params) < 1e-9
    assert certify(problem, params).verdict.startswith("not certifiable: more than one")


def solve_deep_relu(depth, num_classes):
    """The published setting, n = 1, from four starts."""
    problem = Deep.create(
        depth=depth,
        num_classes=num_classes,
        feature_dim=30,
        lambda_w=0.004,
        lambda_h=0.004,
    )
    return solve_many(problem, range(4))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "num_classes", "frame"),
    [(3, 10, 0.079183), (4, 3, None), (4, 4, None), (4, 6, None)],
)
def test_deep_relu_ends_in_orthogonal_frames(depth, num_classes, frame):
    found = solve_deep_relu(depth, num_classes)
    cost = deep_collapse.dnc_cost(num_classes, 1, [0.004] * depth, 0.004)
    np.testing.assert_allclose(found.objective, cost, atol=1e-6)
    assert frame is None or cost == pytest.approx(frame, abs=5e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("depth", "num_classes", "frame", "bound"),
    [(4, 10, 0.09917987, 0.0885), (5, 6, 0.07170725, 0.0688)],
)
def test_deep_relu_finds_ranks_below_the_frames(depth, num_classes, frame, bound):
    """As low as gradient descent was seen to come, which is below SRG for L = 4."""
    found = solve_deep_relu(depth, num_classes)
    best = int(np.argmin(found.objective))
    assert found.objective[best] < bound < frame
    np.testing.assert_allclose(found.objective.max(), frame, atol=1e-6)
    params = jax.tree.map(lambda x: x[best], found.params)
    value = params["H"]
    for layer in params["hidden"]:
        before = value @ layer.T
        value = np.maximum(before, 0)
    values = np.linalg.svd(before, compute_uv=False)
    assert np.sum(values > 1e-3 * values[0]) < num_classes
    values = np.linalg.svd(value, compute_uv=False)
    assert np.sum(values > 1e-3 * values[0]) == num_classes
