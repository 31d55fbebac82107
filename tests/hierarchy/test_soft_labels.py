"""Closed form of soft labels on trees: reference values, optimality, limits."""

import numpy as np
import pytest
from scipy import optimize

from ncjax.gram import gram_cosines, gram_nc2, mean_gram
from ncjax.hierarchy import BUILTIN, HierarchyError
from ncjax.hierarchy.algebra import (
    to_eigenvalues,
    tree_levels,
)
from ncjax.hierarchy.soft_labels import (
    soft_label_limit,
    soft_label_matrix,
    soft_label_optimum,
)
from tests.hierarchy.conftest import BINARY, TREES
from tests.hierarchy.optimality import (
    assert_consistent,
    assert_global,
    soft_label_loss,
)


def test_soft_label_matrix():
    tree = BUILTIN["cifar10"]()
    rows = soft_label_matrix(tree.lca_heights() / 3, 4.0)
    np.testing.assert_allclose(rows.sum(1), 1)
    index = {name: i for i, name in enumerate(tree.class_names)}
    cat, truck = rows[index["cat"]], rows[index["automobile"]]
    want = dict(cat=0.49925, dog=0.13160, frog=0.03469, truck=0.00914)
    for name, value in want.items():
        np.testing.assert_allclose(cat[index[name]], value, atol=5e-6)
    want = dict(automobile=0.66118, truck=0.17428, ship=0.04594, cat=0.01211)
    for name, value in want.items():
        np.testing.assert_allclose(truck[index[name]], value, atol=5e-6)
    np.testing.assert_allclose(
        rows[index["airplane"], index["airplane"]], 0.75853, atol=5e-6
    )
    assert not np.allclose(rows, rows.T)


def test_soft_label_matrix_limits():
    distances = BUILTIN["cifar10"]().distances()
    np.testing.assert_allclose(soft_label_matrix(distances, 0.0), 0.1)
    np.testing.assert_array_equal(soft_label_matrix(distances, np.inf), np.eye(10))
    np.testing.assert_allclose(soft_label_matrix(distances, 1e4), np.eye(10))
    with pytest.raises(ValueError, match="beta must be >= 0, got -1"):
        soft_label_matrix(distances, -1.0)
    with pytest.raises(ValueError, match=r"\[K, K\] matrix.*got \(10, 9\)"):
        soft_label_matrix(distances[:, 1:], 1.0)


@pytest.mark.parametrize(
    ("beta", "c", "targets", "probabilities", "logits", "objective", "nc2", "rank"),
    [
        (1.0, 1e-3, (0.237254, 0.170000, 0.121811, 0.087281),
         (0.230254, 0.171000, 0.122811, 0.088281),
         (0.673655, 0.376135, 0.045113, -0.285004), 2.012355, 0.70839, 7),
        (1.0, 1e-2, (0.237254, 0.170000, 0.121811, 0.087281),
         (0.173627, 0.173627, 0.131811, 0.097281),
         (0.358540, 0.358540, 0.082994, -0.220767), 2.048906, 0.93639, 3),
        (4.0, 1e-3, (0.677586, 0.178610, 0.047081, 0.012410),
         (0.670586, 0.179610, 0.048081, 0.013410),
         (2.779547, 1.462181, 0.144282, -1.132573), 1.099480, 0.68367, 7),
        (4.0, 1e-2, (0.677586, 0.178610, 0.047081, 0.012410),
         (0.607586, 0.188610, 0.057081, 0.022410),
         (2.387466, 1.217652, 0.022444, -0.912502), 1.284710, 0.65250, 7),
        (10.0, 1e-3, (0.963019, 0.034355, 0.001226, 0.000044),
         (0.956019, 0.035355, 0.002226, 0.001044),
         (5.337852, 2.040507, -0.724912, -1.482134), 0.217013, 0.49924, 7),
        (30.0, 1e-3, None, None,
         (6.032549, -0.823738, -0.868134, -0.868136), None, 0.00637, 7),
    ],
)  # fmt: skip
def test_soft_label_reference_values(
    beta, c, targets, probabilities, logits, objective, nc2, rank
):
    optimum = soft_label_optimum(BINARY, beta, c)
    np.testing.assert_allclose(optimum.logits, logits, atol=5.1e-7)
    np.testing.assert_allclose(optimum.nc2, nc2, atol=5.1e-6)
    assert optimum.rank == rank
    assert optimum.proven
    if targets:
        row = soft_label_matrix(BINARY.lca_heights() / 3, beta)[0, [0, 1, 2, 4]]
        np.testing.assert_allclose(row, targets, atol=5.1e-7)
        np.testing.assert_allclose(optimum.probabilities, probabilities, atol=5.1e-7)
        np.testing.assert_allclose(optimum.objective, objective, atol=5.1e-7)


@pytest.mark.parametrize(
    ("beta", "values"),
    [
        (1.0, (0.067254, 0.163634, 0.301752)),
        (4.0, (0.498977, 0.762034, 0.900717)),
        (10.0, (0.928664, 0.994923, 0.999650)),
    ],
)
def test_levels_merge_where_the_targets_eigenvalues_say(beta, values):
    levels = tree_levels(BINARY)
    row = soft_label_matrix(levels.distances[levels.table], beta)[0, [0, 1, 2, 4]]
    spectrum = to_eigenvalues(row, levels.sizes)[1:]
    np.testing.assert_allclose(spectrum, values, atol=5.1e-7)
    for h, value in enumerate(spectrum):
        before = soft_label_optimum(BINARY, beta, value / 8 * (1 - 1e-6))
        after = soft_label_optimum(BINARY, beta, value / 8 * (1 + 1e-6))
        np.testing.assert_array_equal(before.active, np.arange(3) >= h)
        np.testing.assert_array_equal(after.active, np.arange(3) > h)
        assert before.regime == (
            f"merged levels: {list(range(1, h + 1))}" if h else "all levels active"
        )
    assert after.regime.startswith("trivial")


@pytest.mark.parametrize("beta", [0.5, 3.0, 12.0, np.inf])
@pytest.mark.parametrize("c", [1e-6, 1e-3, 1e-2, 0.05, 0.3])
def test_soft_label_optimum_is_global(tree, beta, c):
    optimum = soft_label_optimum(tree, beta, c)
    targets = soft_label_matrix(tree.lca_heights() / tree.height, beta)
    loss, slope = soft_label_loss(optimum.gram, targets)
    assert_global(optimum, loss, slope, c)
    assert_consistent(optimum)


def test_soft_label_optimum_against_a_search():
    tree, beta, c, k = TREES["2x3"], 3.0, 0.02, 6
    targets = soft_label_matrix(tree.lca_heights() / 2, beta)

    def objective(x):
        h, w = x.reshape(2, k, k)
        loss, slope = soft_label_loss(h @ w.T, targets)
        return loss + c / 2 * x @ x, np.stack([slope @ w, slope.T @ h]).ravel() + c * x

    start = np.random.default_rng(0).normal(size=2 * k * k)
    found = optimize.minimize(objective, start, jac=True, options={"gtol": 1e-9})
    optimum = soft_label_optimum(tree, beta, c)
    np.testing.assert_allclose(optimum.objective, found.fun, rtol=1e-12)
    h, w = found.x.reshape(2, k, k)
    np.testing.assert_allclose(h @ w.T, optimum.gram, atol=1e-5)
    np.testing.assert_allclose(h @ h.T, optimum.gram, atol=1e-5)
    np.testing.assert_allclose(w @ w.T, optimum.gram, atol=1e-5)


def test_soft_labels_without_temperature_or_with_one_hot_targets(tree):
    k, c = tree.num_classes, 1e-3
    assert soft_label_optimum(tree, 0.0, c).rank == 0
    sharp = soft_label_optimum(tree, np.inf, c)
    np.testing.assert_allclose(sharp.nc2, 0, atol=1e-12)
    np.testing.assert_allclose(
        sharp.logits[0] - sharp.logits[1:], np.log(1 / c - k + 1)
    )


def test_soft_labels_as_c_vanishes(tree):
    beta = 2.0
    levels = tree_levels(tree)
    distances = levels.distances[levels.table]
    limit = soft_label_limit(distances, free_bias=False)
    np.testing.assert_allclose(limit, soft_label_limit(distances, free_bias=True))
    optimum = soft_label_optimum(tree, beta, 1e-11)
    np.testing.assert_allclose(optimum.gram, beta * limit, atol=1e-8)
    np.testing.assert_allclose(
        gram_cosines(limit), 1 - distances / distances[0].mean(), atol=1e-12
    )
    norms = np.diag(limit)
    np.testing.assert_allclose(
        norms[:, None] + norms - 2 * limit, 2 * distances, atol=1e-12
    )
    np.testing.assert_allclose(mean_gram(limit), limit, atol=1e-12)


def test_soft_label_limit_of_the_binary_tree():
    limit = soft_label_limit(BINARY.lca_heights() / 3, free_bias=False)
    np.testing.assert_allclose(
        gram_cosines(limit)[0, [0, 1, 2, 4]], np.array([17, 9, 1, -7]) / 17
    )
    np.testing.assert_allclose(gram_nc2(limit), 0.689124, atol=5.1e-7)
    values = np.linalg.eigvalsh(limit)[[1, 5, 7]]
    np.testing.assert_allclose(values / values[0], [1, 3, 7])


def test_soft_label_limit_of_the_cifar10_tree():
    tree = BUILTIN["cifar10"]()
    distances = tree.lca_heights() / 3
    plain = soft_label_limit(distances, free_bias=False)
    far, mid, near, own = -0.366667, -0.033333, 0.3, 0.633333
    np.testing.assert_allclose(
        plain[tree.class_names.index("cat")],
        [far, far, mid, own, near, near, mid, near, far, far],
        atol=5.1e-7,
    )
    np.testing.assert_allclose(gram_nc2(mean_gram(plain)), 0.707252, atol=5.1e-7)
    free = soft_label_limit(distances, free_bias=True)
    np.testing.assert_allclose(
        np.linalg.eigvalsh(free),
        [0, *[1 / 3] * 4, *[2 / 3] * 2, 0.820678, 0.951252, 2.694737],
        atol=5.1e-7,
    )
    np.testing.assert_allclose(gram_nc2(free), 0.713462, atol=5.1e-7)
    np.testing.assert_allclose(mean_gram(free), free, atol=1e-12)


def test_bad_input():
    with pytest.raises(ValueError, match="beta must be >= 0, got nan"):
        soft_label_optimum(BINARY, float("nan"), 1e-3)
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            soft_label_optimum(BINARY, 1.0, c)
    with pytest.raises(HierarchyError, match="balanced"):
        soft_label_optimum(BUILTIN["cifar10"](), 1.0, 1e-3)
