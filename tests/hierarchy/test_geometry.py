"""Closed forms on trees: reference values, optimality conditions, limits.

The UFM with soft labels or height-weighted HXE is convex in Z, so that a point with
|G|_2 <= c and <-G, Z> = c |Z|_*, G the gradient of the loss, is a global optimum: that
is an independent proof of each closed form here.
"""

import numpy as np
import pytest
from scipy import optimize, special

from ncjax.gram import gram_cosines, gram_nc2, mean_gram, simplex_gram
from ncjax.hierarchy import Hierarchy, HierarchyError
from ncjax.hierarchy.algebra import (
    entry_matrix,
    is_balanced,
    to_eigenvalues,
    to_entries,
    tree_levels,
)
from ncjax.hierarchy.hxe import (
    hxe_optimum,
    hxe_recursion,
    hxe_small_c,
    hxe_weights,
)
from ncjax.hierarchy.soft_labels import (
    soft_label_limit,
    soft_label_matrix,
    soft_label_optimum,
)


def balanced(*arities: int) -> Hierarchy:
    """Arity 1 makes a chain."""
    names, parents, row = ["root"], [-1], [0]
    for arity in arities:
        below = []
        for node in row:
            for i in range(arity):
                below.append(len(names))
                names.append(f"{names[node]}{i}")
                parents.append(node)
        row = below
    return Hierarchy(names, parents)


def cifar10() -> Hierarchy:
    above = {
        "root": "Animal Vehicle",
        "Animal": "Mammal frog bird",
        "Mammal": "cat deer dog horse",
        "Vehicle": "Land ship airplane",
        "Land": "automobile truck",
    }
    pairs = {child: node for node in above for child in above[node].split()}
    names = ["root", *pairs]
    classes = sorted(set(pairs) - set(above))
    return Hierarchy(names, [-1, *map(names.index, pairs.values())], classes)


BINARY = balanced(2, 2, 2)
TREES = {
    "binary": BINARY,
    "flat": balanced(5),
    "2x3": balanced(2, 3),
    "3x2x2": balanced(3, 2, 2),
    "chains": balanced(1, 3, 1, 2),
}


@pytest.fixture(params=TREES)
def tree(request):
    return TREES[request.param]


def hxe(logits, tree, alpha, weighting):
    """Loss and gradient from the definition, - sum_l w(C_l) log p(C_l | C_{l+1})."""
    k = len(logits)
    loss, slope = 0.0, np.zeros((k, k))
    for row in range(k):
        node = tree.leaves[row]
        while node:
            w = tree.heights[node] if weighting == "height" else tree.depths[node]
            w = np.exp(-alpha * w)
            for part, sign in ((node, -1), (tree.parents[node], 1)):
                inside = tree.ancestors()[:, part]
                loss += sign * w * special.logsumexp(logits[row, inside])
                slope[row, inside] += sign * w * special.softmax(logits[row, inside])
            node = tree.parents[node]
    return loss / k, slope / k


def soft(logits, targets):
    k = len(logits)
    loss = -np.sum(targets * special.log_softmax(logits, axis=1)) / k
    return loss, (special.softmax(logits, axis=1) - targets) / k


def assert_global(optimum, loss, slope, c):
    """The optimality conditions of a convex loss with c |Z|_*."""
    z = optimum.gram
    nuclear = np.linalg.norm(z, "nuc")
    assert np.linalg.norm(slope, 2) <= c * (1 + 1e-8) + 1e-14
    np.testing.assert_allclose(-np.sum(slope * z), c * nuclear, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(
        optimum.objective, loss + c * nuclear, rtol=1e-12, atol=1e-14
    )


def assert_consistent(optimum):
    """Fields of an optimum against the [K, K] matrices."""
    z, counts = optimum.gram, np.diff(optimum.levels.sizes, prepend=0)
    values = np.linalg.svd(z, compute_uv=False)
    np.testing.assert_allclose(z.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(
        np.sort(values)[1:],
        np.sort(np.repeat(optimum.singular_values, optimum.levels.multiplicities[1:])),
        atol=1e-9,
    )
    assert optimum.rank == np.sum(values > 1e-9)
    np.testing.assert_allclose(
        optimum.probabilities[optimum.levels.table],
        special.softmax(z, axis=1),
        rtol=1e-11,
    )
    np.testing.assert_allclose(counts @ optimum.probabilities, 1)
    if optimum.rank:
        np.testing.assert_allclose(optimum.nc2, gram_nc2(z), atol=1e-12)
        np.testing.assert_allclose(
            optimum.cosines[optimum.levels.table], gram_cosines(z), atol=1e-9
        )
    else:
        assert np.isnan(optimum.nc2)


def test_levels():
    levels = tree_levels(BINARY)
    np.testing.assert_array_equal(levels.sizes, [1, 2, 4, 8])
    np.testing.assert_array_equal(levels.heights, [0, 1, 2, 3])
    np.testing.assert_array_equal(levels.table, BINARY.lca_heights())
    np.testing.assert_array_equal(levels.multiplicities, [1, 4, 2, 1])
    np.testing.assert_allclose(levels.distances, [0, 1 / 3, 2 / 3, 1])
    assert is_balanced(BINARY)


def test_chains_make_no_level():
    levels = tree_levels(TREES["chains"])
    np.testing.assert_array_equal(levels.sizes, [1, 2, 6])
    np.testing.assert_array_equal(levels.heights, [0, 1, 3])
    assert levels.tree_height == 4
    np.testing.assert_allclose(
        levels.distances[levels.table], TREES["chains"].lca_heights() / 4
    )


def test_unbalanced_trees_are_named():
    assert not is_balanced(cifar10())
    with pytest.raises(HierarchyError, match="'airplane' lies at depth 2 of 3"):
        tree_levels(cifar10())
    uneven = Hierarchy(list("rabcdefg"), [-1, 0, 0, 1, 1, 2, 2, 2])
    with pytest.raises(HierarchyError, match="'a' has 2 and 'b' has 3"):
        tree_levels(uneven)


def test_eigenvalues_are_those_of_the_matrix(tree):
    levels = tree_levels(tree)
    entries = np.random.default_rng(0).normal(size=len(levels.sizes))
    values = to_eigenvalues(entries, levels.sizes)
    np.testing.assert_allclose(
        np.sort(np.repeat(values, levels.multiplicities)),
        np.linalg.eigvalsh(entries[levels.table]),
        atol=1e-12,
    )
    assert levels.multiplicities.sum() == tree.num_classes
    np.testing.assert_allclose(to_entries(values, levels.sizes), entries, atol=1e-12)


def test_eigenprojectors(tree):
    levels = tree_levels(tree)
    columns = entry_matrix(levels.sizes).T
    for i, left in enumerate(columns):
        for j, right in enumerate(columns):
            product = left[levels.table] @ right[levels.table]
            np.testing.assert_allclose(
                product, left[levels.table] * (i == j), atol=1e-12
            )
        np.testing.assert_allclose(
            np.trace(left[levels.table]), levels.multiplicities[i]
        )


def test_simplex():
    want = np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]]) / 3
    np.testing.assert_allclose(simplex_gram(3), want)
    with pytest.raises(ValueError, match="at least 2 classes, got 1"):
        simplex_gram(1)


def test_soft_label_matrix():
    tree = cifar10()
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
    distances = cifar10().distances()
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
    loss, slope = soft(optimum.gram, targets)
    assert_global(optimum, loss, slope, c)
    assert_consistent(optimum)


def test_soft_label_optimum_against_a_search():
    tree, beta, c, k = TREES["2x3"], 3.0, 0.02, 6
    targets = soft_label_matrix(tree.lca_heights() / 2, beta)

    def objective(x):
        h, w = x.reshape(2, k, k)
        loss, slope = soft(h @ w.T, targets)
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
    tree = cifar10()
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
    loss, slope = hxe(optimum.gram, tree, alpha, "height")
    assert_global(optimum, loss, slope, c)
    assert_consistent(optimum)
    assert (optimum.rank == 0) == (tree.num_classes * c >= 1)


@pytest.mark.parametrize("alpha", [0.2, 0.5, 1.0])
@pytest.mark.parametrize("c", [1e-3, 1e-2, 0.03, 0.06])
def test_hxe_with_depth_weights_against_a_search(alpha, c):
    optimum, k = hxe_optimum(BINARY, alpha, c, "depth"), 8
    loss, slope = hxe(optimum.gram, BINARY, alpha, "depth")
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
    _, slope = hxe(np.zeros((k, k)), tree, 0.7, weighting)
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
    with pytest.raises(ValueError, match="beta must be >= 0, got nan"):
        soft_label_optimum(BINARY, float("nan"), 1e-3)
    for c in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            soft_label_optimum(BINARY, 1.0, c)
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            hxe_optimum(BINARY, 1.0, c)
        with pytest.raises(ValueError, match="must be finite and > 0, got"):
            hxe_small_c(BINARY, 1.0, c)
    with pytest.raises(ValueError, match="alpha must be finite and >= 0, got -1"):
        hxe_optimum(BINARY, -1.0, 1e-3)
    with pytest.raises(ValueError, match="Available: height, depth"):
        hxe_optimum(BINARY, 1.0, 1e-3, "leaf")
    with pytest.raises(HierarchyError, match="balanced"):
        soft_label_optimum(cifar10(), 1.0, 1e-3)
