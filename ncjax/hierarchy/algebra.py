"""Balanced trees: matrices whose entries depend only on the lowest common ancestor.

A tree is balanced if all leaves lie equally deep and all nodes of one height have
equally many leaves below them.  All such matrices of one tree then commute, and so
share their eigenvectors: contrasts of siblings, contrasts of the groups above them, and
so on up to the constant vector.  Everything here is float64 NumPy.

The levels of a tree are the heights at which some pair of classes meets, numbered 0 (a
class with itself) to L (the root); `sizes` [L + 1] counts the leaves below a node of
each level, 1 = n_0 < n_1 < ... < n_L = K.  A chain of nodes with a single child makes
no level.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ncjax.hierarchy.tree import Hierarchy, HierarchyError


@dataclasses.dataclass(frozen=True)
class TreeLevels:
    """The levels of a balanced tree.

    Attributes:
        heights: int [L + 1], height of the nodes of each level; 0 first.
        sizes: int [L + 1], leaves below such a node: 1 = n_0 < n_1 < ... < n_L = K.
        tree_height: H, the height of the root (more than heights[L] only if the root
            has a single child).
        table: int16 [K, K], the level at which two classes meet.
    """

    heights: np.ndarray
    sizes: np.ndarray
    tree_height: int
    table: np.ndarray

    @property
    def distances(self) -> np.ndarray:
        """Distance of classes that meet at each level [L + 1]: its height over H."""
        return self.heights / self.tree_height

    @property
    def multiplicities(self) -> np.ndarray:
        """How often each eigenvalue of `to_eigenvalues` occurs [L + 1].

        1 for the constant vector, then K/n_{h-1} - K/n_h for h = 1..L.
        """
        groups = self.sizes[-1] // self.sizes
        return np.concatenate([[1], groups[:-1] - groups[1:]])


def tree_levels(tree: Hierarchy) -> TreeLevels:
    """The levels of a balanced tree.

    Raises:
        HierarchyError: if the tree is not balanced, naming the node that differs.
    """
    depths = tree.depths[tree.leaves]
    if uneven := np.flatnonzero(depths != tree.height).tolist():
        leaf = tree.leaves[uneven[0]]
        raise HierarchyError(
            f"A balanced tree has all leaves at one depth, but {tree.names[leaf]!r} "
            f"lies at depth {tree.depths[leaf]} of {tree.height}."
        )
    below = []
    for row in tree.lineage[::-1]:
        nodes, counts = np.unique(row, return_counts=True)
        if uneven := np.flatnonzero(counts != counts[0]).tolist():
            raise HierarchyError(
                "In a balanced tree nodes of one height have equally many leaves, but "
                f"{tree.names[nodes[0]]!r} has {counts[0]} and "
                f"{tree.names[nodes[uneven[0]]]!r} has {counts[uneven[0]]}."
            )
        below.append(counts[0])
    sizes, heights = np.unique(below, return_index=True)
    return TreeLevels(
        heights=heights,
        sizes=sizes,
        tree_height=tree.height,
        table=np.searchsorted(heights, tree.lca_heights()).astype(np.int16),
    )


def is_balanced(tree: Hierarchy) -> bool:
    """Whether `tree_levels` accepts the tree."""
    try:
        tree_levels(tree)
    except HierarchyError:
        return False
    return True


def to_eigenvalues(entries: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Eigenvalues of the matrix with entry a_h where two classes meet at level h.

    lambda_h = a_0 + sum_{j=1}^{h-1} (n_j - n_{j-1}) a_j - n_{h-1} a_h for contrasts
    that vanish above level h, and a_0 + sum_{j=1}^{L} (n_j - n_{j-1}) a_j for the
    constant vector.

    Args:
        entries: a [L + 1], the entry of two classes that meet at each level.
        sizes: n [L + 1], the leaves below a node of each level.

    Returns:
        The eigenvalues [L + 1]: that of the constant vector, then lambda_1..lambda_L.
    """
    entries = np.asarray(entries, np.float64)
    sums = np.cumsum(np.diff(sizes, prepend=0) * entries)
    return np.concatenate([sums[-1:], sums[:-1] - sizes[:-1] * entries[1:]])


def to_entries(eigenvalues: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The entries a [L + 1] of the matrix with these eigenvalues.

    The inverse of `to_eigenvalues`, with its arguments:
    a_h = lambda_const/K + sum_j lambda_j ([h <= j-1]/n_{j-1} - [h <= j]/n_j).
    """
    return entry_matrix(sizes) @ np.asarray(eigenvalues, np.float64)


def entry_matrix(sizes: np.ndarray) -> np.ndarray:
    """Entries of the L + 1 projectors onto the eigenspaces [L + 1, L + 1].

    Column h holds the entries a [L + 1] of one projector, in the order of
    `to_eigenvalues`.

    Args:
        sizes: n [L + 1], the leaves below a node of each level.
    """
    inverse = 1 / np.asarray(sizes, np.float64)
    level = np.arange(len(sizes))[:, None]
    upper = np.where(level <= level.T[:, 1:] - 1, inverse[:-1], 0)
    lower = np.where(level <= level.T[:, 1:], inverse[1:], 0)
    return np.hstack([np.full((len(sizes), 1), inverse[-1]), upper - lower])
