"""Class trees from the geometry of class means, and how well a tree fits distances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ncjax.hierarchy.tree import Hierarchy, name_nodes
from ncjax.options import unknown

METHODS = ("single", "complete", "average", "weighted", "centroid", "median", "ward")


def from_means(
    means: Any, names: Sequence[str] | None = None, method: str = "average"
) -> Hierarchy:
    """The binary tree that agglomerative clustering makes of the class means.

    The two nearest groups are joined until one is left; the node of a join is called
    "node 1", "node 2", ...

    Args:
        means: [K, d], the mean of each class, K at least 2.
        names: names of the classes; by default "0", "1", ...
        method: distance of two groups, as in `scipy.cluster.hierarchy.linkage`:
            "average" is the mean distance of their members, "single" the least,
            "complete" the largest; also "weighted", "centroid", "median", "ward".

    Returns:
        The tree, with the classes in the order of the means.

    Raises:
        ValueError: for means that are not finite or not [K, d], another number of
            names, or another method.
        HierarchyError: for a tree that is too deep, or a name that comes twice.

    Example:
        >>> from ncjax.hierarchy.clustering import from_means
        >>> tree = from_means([[0.0], [9.0], [1.0]], ["cat", "car", "dog"])
        >>> tree.nested()
        {'node 1': {'node 2': ['cat', 'dog'], 'car': None}}
    """
    from scipy.cluster.hierarchy import linkage  # late: half a second

    means = np.asarray(means, np.float64)
    if means.ndim != 2 or len(means) < 2 or not np.isfinite(means).all():
        raise ValueError(
            "means must be finite numbers [K, d], a row for each of 2 or more classes, "
            f"got shape {means.shape}."
        )
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    k = len(means)
    classes = [str(i) for i in range(k)] if names is None else [str(n) for n in names]
    if len(classes) != k:
        raise ValueError(f"There are {len(classes)} names for {k} class means.")
    # A join makes node k, k + 1, ...; listed from the last, the root, down.
    joins = linkage(means, method)[:, :2].astype(int)
    parents = np.full(2 * k - 1, -1)
    for join, children in enumerate(joins):
        parents[children] = k + join
    order = np.r_[2 * k - 2 : k - 1 : -1, :k]
    place = np.argsort(order)
    above = np.where(parents < 0, -1, place[parents])[order]
    labels: list[str | None] = [None] * (k - 1)
    return Hierarchy(name_nodes([*labels, *classes]), above, classes)


def cophenetic_correlation(
    tree: Hierarchy, distances: Any, rule: str = "height"
) -> float:
    """Pearson correlation, over pairs of classes, of their distances with a tree's.

    Args:
        tree: class tree over the K classes.
        distances: distance of each two classes [K, K], symmetric; such as that of their
            class means.
        rule: rule of `Hierarchy.distances`, "height" or "depth".

    Returns:
        A number in [-1, 1]; NaN where all distances, or all those in the tree, are
        equal.

    Raises:
        ValueError: for distances that are not [K, K] and symmetric, or another rule.
    """
    distances, k = np.asarray(distances, np.float64), tree.num_classes
    if distances.shape != (k, k) or not np.allclose(distances, distances.T):
        raise ValueError(
            f"distances must be symmetric, [{k}, {k}] for the {k} classes of the tree, "
            f"got shape {distances.shape}."
        )
    pairs = np.triu_indices(k, 1)
    given, own = (
        x[pairs] - x[pairs].mean()
        for x in (distances, tree.distances(rule, normalise=False).astype(np.float64))
    )
    scale = np.linalg.norm(given) * np.linalg.norm(own)
    return float(given @ own / scale) if scale > 0 else float("nan")
