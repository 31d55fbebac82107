"""What an optimum on a balanced tree says of itself, by hand."""

import numpy as np

from ncjax.hierarchy.algebra import to_entries, tree_levels
from ncjax.hierarchy.tree_optimum import TreeOptimum
from tests.hierarchy.conftest import BINARY


def optimum(*singular_values):
    """An optimum on the binary tree with 8 leaves with these values at levels 1..3."""
    levels = tree_levels(BINARY)
    values = np.array(singular_values, float)
    return TreeOptimum(
        levels=levels,
        logits=to_entries(np.append(0, values), levels.sizes),
        probabilities=np.full(4, 1 / 8),
        singular_values=values,
        objective=0.0,
        proven=True,
    )


def test_equal_singular_values_make_a_simplex():
    simplex = optimum(2, 2, 2)
    np.testing.assert_allclose(simplex.gram, 2 * (np.eye(8) - 1 / 8), atol=1e-15)
    np.testing.assert_allclose(simplex.cosines, [1, -1 / 7, -1 / 7, -1 / 7])
    np.testing.assert_allclose(simplex.nc2, 0, atol=1e-15)
    assert simplex.rank == 7
    assert simplex.regime == "all levels active"


def test_merged_siblings():
    merged = optimum(0, 3, 3)  # the 4 contrasts of siblings are gone
    assert merged.rank == 3
    np.testing.assert_array_equal(merged.active, [False, True, True])
    assert merged.regime == "merged levels: [1]"
    np.testing.assert_allclose(merged.cosines, [1, 1, -1 / 3, -1 / 3])
    # 3 of 7 equal singular values: |s/|s| - 1/sqrt(7)| over all seven.
    want = np.sqrt(3 * (1 / np.sqrt(3) - 1 / np.sqrt(7)) ** 2 + 4 / 7)
    np.testing.assert_allclose(merged.nc2, want)


def test_all_classes_merged():
    trivial = optimum(0, 0, 0)
    assert trivial.rank == 0
    assert trivial.regime.startswith("trivial")
    assert np.isnan(trivial.nc2)
    assert np.isnan(trivial.cosines).all()
