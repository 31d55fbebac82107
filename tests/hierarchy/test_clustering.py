"""Trees from class means, and how well a tree fits distances."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet, linkage
from scipy.spatial.distance import pdist, squareform

from ncjax import hierarchy
from ncjax.hierarchy import HierarchyError, balanced, cophenetic_correlation, from_means
from ncjax.hierarchy.clustering import METHODS


def test_by_hand():
    tree = from_means([[0.0], [9.0], [1.0], [10.0]], ["cat", "car", "dog", "van"])
    assert tree.class_names == ("cat", "car", "dog", "van")
    assert tree.names[0] == "node 1"
    np.testing.assert_array_equal(
        tree.lca_heights(), [[0, 2, 1, 2], [2, 0, 2, 1], [1, 2, 0, 2], [2, 1, 2, 0]]
    )
    assert from_means([[0.0], [1.0]]).class_names == ("0", "1")
    taken = from_means([[0.0], [1.0], [5.0]], ["node 1", "b", "c"])
    assert taken.class_names == ("node 1", "b", "c")


@pytest.mark.parametrize("method", METHODS)
def test_the_groups_are_those_of_scipy(method):
    """Two classes meet in the node of the join at which SciPy's do."""
    means = np.random.default_rng(0).normal(size=(12, 3))
    tree = from_means(means, method=method)
    assert tree.num_nodes == 23
    groups, want = [{k} for k in range(12)], set()
    for a, b in linkage(means, method)[:, :2].astype(int):
        groups.append(groups[a] | groups[b])
        want.add(frozenset(groups[-1]))
    inner = [node for node in range(23) if tree.children[node]]
    below = tree.ancestors()
    assert {frozenset(np.flatnonzero(below[:, node])) for node in inner} == want


def test_correlation_with_the_distances_of_a_tree():
    tree = balanced([2, 2, 2])
    own = tree.distances().astype(float)
    assert cophenetic_correlation(tree, own) == pytest.approx(1)
    assert cophenetic_correlation(tree, 3 - 2 * own) == pytest.approx(-1)
    rng = np.random.default_rng(0)
    away = squareform(pdist(rng.normal(size=(8, 4))))
    pairs = np.triu_indices(8, 1)
    want = np.corrcoef(own[pairs], away[pairs])[0, 1]
    assert cophenetic_correlation(tree, away) == pytest.approx(want)
    assert np.isnan(cophenetic_correlation(tree, 1 - np.eye(8)))
    assert np.isnan(cophenetic_correlation(balanced([4]), away[:4, :4]))


def test_the_tree_of_means_follows_them():
    """Of ultrametric distances clustering finds the tree, as SciPy's cophenet says."""
    tree = balanced([2, 3])
    means = np.linalg.cholesky(2 - tree.distances().astype(float))
    found = from_means(means, tree.class_names)
    away = squareform(pdist(means))
    assert cophenet(linkage(means, "average"), pdist(means))[0] == pytest.approx(1)
    same = found.lca_heights() <= found.lca_heights()[0, 1:3].max()
    np.testing.assert_array_equal(same, tree.lca_heights() <= 1)
    assert cophenetic_correlation(tree, away) == pytest.approx(1)


def test_bad_input():
    for means in ([[1.0]], [1.0, 2.0], [[0.0], [np.nan]]):
        with pytest.raises(ValueError, match="means must be finite numbers"):
            from_means(means)
    with pytest.raises(ValueError, match=r"Unknown method 'mean'.*average"):
        from_means([[0.0], [1.0]], method="mean")
    with pytest.raises(ValueError, match="1 names for 2 class means"):
        from_means([[0.0], [1.0]], ["a"])
    with pytest.raises(HierarchyError, match="'a' stands for two nodes"):
        from_means([[0.0], [1.0]], ["a", "a"])
    tree = balanced([2, 2])
    for bad in (np.zeros((3, 3)), np.triu(np.ones((4, 4)))):
        with pytest.raises(ValueError, match=r"symmetric, \[4, 4\]"):
            hierarchy.cophenetic_correlation(tree, bad)
