"""Closed form of HXE on balanced trees: reference values, optimality, limits."""

import numpy as np
import pytest
from scipy import optimize, special

from ncjax.hierarchy import BUILTIN, HierarchyError
from ncjax.hierarchy.algebra import (
    to_eigenvalues,
    tree_levels,
)
from ncjax.hierarchy.hxe import hxe_optimum, hxe_recursion, hxe_small_c, hxe_weights
from tests.hierarchy.conftest import BINARY
from tests.hierarchy.optimality import (
    assert_consistent,
    assert_global,
    hxe_loss,
)
from tests.thin import thin


@pytest.mark.parametrize(
    ("weighting", "alpha", "c", "objective", "logits", "nc2"),
    [
        ("height", 0.1, 1e-4, 0.00704696,
         (7.933364, -1.276276, -1.176212, -1.076166), 0.02273),
        ("height", 0.1, 1e-3, 0.05432690,
         (5.912430, -0.988301, -0.887666, -0.787199), 0.03064),
        ("height", 0.5, 1e-4, 0.00664679,
         (7.432929, -1.776711, -1.276322, -0.775894), 0.12071),
        ("height", 0.5, 1e-3, 0.05030938,
         (5.408039, -1.492692, -0.988768, -0.484452), 0.16632),
        ("height", 1.0, 1e-4, 0.00614631,
         (6.806725, -2.402915, -1.401883, -0.400011), 0.25857),
        ("height", 1.0, 1e-3, 0.04526069,
         (4.770785, -2.129945, -1.119519, -0.100450), 0.36444),
        ("height", 1.0, 1e-2, 0.28629315,
         (2.649458, -1.618433, -0.515513, 0), 0.47298),
        ("depth", 0.5, 1e-3, 0.04978413,
         (5.339164, -0.036717, -0.547531, -1.051847), None),
        ("depth", 1.0, 1e-3, 0.04411723,
         (4.608543, 0.852307, -0.230762, -1.249831), None),
    ],
)  # fmt: skip
def test_hxe_reference_values(weighting, alpha, c, objective, logits, nc2):
    optimum = hxe_optimum(BINARY, alpha, c, weighting)
    np.testing.assert_allclose(optimum.objective, objective, atol=5.1e-9)
    np.testing.assert_allclose(optimum.logits, logits, atol=5.1e-7)
    assert optimum.rank == (6 if c == 1e-2 else 7)
    assert optimum.proven == (weighting == "height")
    if nc2:
        np.testing.assert_allclose(optimum.nc2, nc2, atol=5.1e-6)
    # Siblings: further apart than the rest with height weights, closer with depth.
    assert np.all(np.diff(optimum.cosines[1:]) > 0) == (weighting == "height")


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0, 4.0])
@pytest.mark.parametrize("c", [1e-6, 1e-3, 1e-2, 0.05, 0.3])
def test_hxe_optimum_is_global(tree, alpha, c):
    optimum = hxe_optimum(tree, alpha, c)
    loss, slope = hxe_loss(optimum.gram, tree, alpha, "height")
    assert_global(optimum, loss, slope, c)
    assert_consistent(optimum)
    assert (optimum.rank == 0) == (tree.num_classes * c >= 1)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("c", thin([1e-3, 1e-2, 0.03, 0.06], keep={0, 2}))
def test_hxe_with_depth_weights_against_a_search(alpha, c):
    optimum, k = hxe_optimum(BINARY, alpha, c, "depth"), 8
    loss, slope = hxe_loss(optimum.gram, BINARY, alpha, "depth")
    assert_global(optimum, loss, slope, c)  # necessary also where not convex
    assert_consistent(optimum)
    inside = BINARY.ancestors().T  # node by class
    weights = np.exp(-alpha * BINARY.depths) / k

    def objective(x):
        h, w = x.reshape(2, k, k)
        z, loss, slope = h @ w.T, 0.0, np.zeros((k, k))
        for node in range(1, BINARY.num_nodes):
            for part, sign in ((node, -1), (BINARY.parents[node], 1)):
                block = np.ix_(inside[node], inside[part])
                scale = sign * weights[node]
                loss += scale * special.logsumexp(z[block], axis=1).sum()
                slope[block] += scale * special.softmax(z[block], axis=1)
        return loss + c / 2 * x @ x, np.stack([slope @ w, slope.T @ h]).ravel() + c * x

    rng = np.random.default_rng(0)
    found = min(
        optimize.minimize(
            objective, rng.normal(size=2 * k * k), jac=True, method="L-BFGS-B"
        ).fun
        for _ in range(3)
    )
    assert optimum.objective <= found + 1e-12
    np.testing.assert_allclose(optimum.objective, found, atol=1e-6)


def test_hxe_off_diagonal_pull_is_c(tree):
    """sum_a c_a p^(a) has every entry off the diagonal equal to c."""
    levels, c = tree_levels(tree), 1e-4
    for weighting in ("height", "depth"):
        weights = hxe_weights(levels, 0.3, weighting)
        x = hxe_recursion(weights, levels.sizes, c)
        groups = np.cumsum(np.diff(levels.sizes, prepend=0) * x)
        discounts = weights - np.append(weights[1:], 0)
        pulls = [
            x[h] * np.sum((discounts / groups[1:])[h - 1 :]) for h in range(1, len(x))
        ]
        np.testing.assert_allclose(pulls, c)


def test_hxe_recursion_tells_where_levels_merge():
    levels = tree_levels(BINARY)
    weights = hxe_weights(levels, 1.0, "height")
    values = to_eigenvalues(
        np.log(hxe_recursion(weights, levels.sizes, 1e-2)), levels.sizes
    )
    assert values[3] < 0 < values[2]
    assert np.isnan(hxe_recursion(weights, levels.sizes, 1.0)).all()


def test_hxe_without_discount_is_cross_entropy(tree):
    k, c = tree.num_classes, 1e-3
    for weighting in ("height", "depth"):
        optimum = hxe_optimum(tree, 0.0, c, weighting)
        assert optimum.proven
        np.testing.assert_allclose(optimum.probabilities[1:], c)
        np.testing.assert_allclose(optimum.nc2, 0, atol=1e-12)
        s = np.log(1 / c - k + 1)
        want = -np.log(1 - (k - 1) * c) + c * (k - 1) * s
        np.testing.assert_allclose(optimum.objective, want)


@pytest.mark.parametrize("alpha", [0.1, 0.7])
def test_hxe_siblings_contrast_is_that_of_cross_entropy(tree, alpha):
    c = 1e-4
    optimum = hxe_optimum(tree, alpha, c)
    assert optimum.active.all()
    np.testing.assert_allclose(
        optimum.singular_values[0], np.log(1 / c - tree.num_classes + 1)
    )


@pytest.mark.parametrize("weighting", ["height", "depth"])
def test_hxe_levels_leave_the_origin_where_their_weight_says(tree, weighting):
    """At Z = 0 level h pulls with w_h/K, so that it alone is unstable iff K c < w_h."""
    levels, k = tree_levels(tree), tree.num_classes
    _, slope = hxe_loss(np.zeros((k, k)), tree, 0.7, weighting)
    entries = [slope[levels.table == h].mean() for h in range(len(levels.sizes))]
    np.testing.assert_allclose(np.array(entries)[levels.table], slope, atol=1e-15)
    pulls = -to_eigenvalues(np.array(entries), levels.sizes)[1:]
    np.testing.assert_allclose(pulls, hxe_weights(levels, 0.7, weighting) / k)


def test_hxe_tends_to_the_simplex_like_one_over_the_log():
    cs = np.array([1e-8, 1e-12, 1e-16])
    nc2 = np.array([hxe_optimum(BINARY, 0.5, c).nc2 for c in cs])
    assert np.all(np.diff(nc2) < 0)
    np.testing.assert_allclose(nc2 * np.log(1 / cs), 1.06, rtol=0.02)


@pytest.mark.parametrize("weighting", ["height", "depth"])
def test_hxe_as_c_vanishes(tree, weighting):
    errors = [
        np.abs(
            hxe_optimum(tree, 0.4, c, weighting).logits
            - hxe_small_c(tree, 0.4, c, weighting)
        ).max()
        for c in (1e-5, 1e-7)
    ]
    assert errors[0] < 1e-3
    np.testing.assert_allclose(errors[1] / errors[0], 1e-2, rtol=0.02)
    logits, heights = hxe_small_c(tree, 0.4, 1e-5, weighting), tree_levels(tree).heights
    sign = 1 if weighting == "height" else -1
    np.testing.assert_allclose(np.diff(logits[1:]), sign * 0.4 * np.diff(heights[1:]))


def test_hxe_depth_weights_collapse_at_the_root_weight():
    for alpha in (0.5, 1.0):
        edge = np.exp(-alpha) / 8
        assert hxe_optimum(BINARY, alpha, 0.99 * edge, "depth").rank == 1
        assert hxe_optimum(BINARY, alpha, 1.01 * edge, "depth").rank == 0


def test_bad_input():
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            hxe_optimum(BINARY, 1.0, c)
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            hxe_small_c(BINARY, 1.0, c)
    with pytest.raises(ValueError, match="alpha must be finite and >= 0, got -1"):
        hxe_optimum(BINARY, -1.0, 1e-3)
    with pytest.raises(ValueError, match="Available: height, depth"):
        hxe_optimum(BINARY, 1.0, 1e-3, "leaf")
    with pytest.raises(HierarchyError, match="balanced"):
        hxe_optimum(BUILTIN["cifar10"](), 1.0, 1e-3)
