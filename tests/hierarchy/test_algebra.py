"""Levels, eigenvalues and projectors of balanced trees."""

import numpy as np
import pytest

from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError
from ncjax.hierarchy.algebra import (
    entry_matrix,
    is_balanced,
    to_eigenvalues,
    to_entries,
    tree_levels,
)
from tests.hierarchy.conftest import BINARY, TREES


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
    assert not is_balanced(BUILTIN["cifar10"]())
    with pytest.raises(HierarchyError, match="'airplane' lies at depth 2 of 3"):
        tree_levels(BUILTIN["cifar10"]())
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
