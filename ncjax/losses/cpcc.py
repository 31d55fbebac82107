"""CPCC, a regulariser of the features: their class means follow the tree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, undefined_outside


def cpcc(
    features: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
) -> Float[Array, ""]:
    """One minus the cophenetic correlation of the class means of a batch with the tree.

    1 - Pearson correlation, over the pairs of classes in the batch, between the
    Euclidean distance of the means of their features and the number of edges between
    them in the tree.  It is 0 where the means follow the tree, 1 where they have
    nothing to do with it, at most 2.

    It is 0, with a gradient of 0, where there is no such correlation: fewer than three
    classes are in the batch, all pairs are as far apart in the tree, or all means are.

    Args:
        features: [n, d].
        labels: class of each example [n], 0..K-1.
        hierarchy: tree over the K classes.

    Returns:
        A number for the whole batch; NaN where, inside `jit`, a label is out of range.

    Raises:
        ValueError: for labels out of range.

    References:
        Zeng, Des Combes & Zhao, Learning Structured Representations by Embedding Class
        Hierarchy, ICLR 2023.
    """
    labels = class_indices(labels, hierarchy.num_classes)
    wrong = jnp.sum(undefined_outside(labels, hierarchy.num_classes))
    most = min(len(labels), hierarchy.num_classes)  # classes that a batch may hold
    classes = jnp.unique(labels, size=most, fill_value=hierarchy.num_classes)
    member = (classes[:, None] == labels[None]).astype(features.dtype)
    sizes = jnp.maximum(member.sum(axis=1, keepdims=True), 1)
    means = jnp.matmul(member / sizes, features, precision="highest")
    distances = _distances(means - means.mean(axis=0))
    first = jnp.arange(most)[:, None] < jnp.arange(most)[None]
    pairs = first & (classes < hierarchy.num_classes)[None]
    return _one_minus_correlation(distances, _edges(classes, hierarchy), pairs) + wrong


def check_distances_differ(hierarchy: Hierarchy) -> None:
    """Raises `ValueError` for a tree with which `cpcc` is 0 for every batch.

    That is a tree all of whose pairs of classes are as far apart, such as one with all
    classes below the root, or with two classes.

    Args:
        hierarchy: the class tree.
    """
    depths = hierarchy.depths[hierarchy.leaves]
    edges = depths[:, None] + depths[None] - 2 * hierarchy.lca_depths()
    found = set(edges[~np.eye(len(edges), dtype=bool)].tolist())
    if len(found) < 2:
        apart = f", {min(found)} edges" if found else ""
        raise ValueError(
            "loss.cpcc correlates distances with those in the class tree, and there "
            f"all pairs of the {hierarchy.num_classes} classes are equally far apart"
            f"{apart}. "
            "Take a tree with superclasses, or leave loss.cpcc at 0."
        )


def _distances(means: jax.Array) -> jax.Array:
    """Euclidean distances [P, P], from inner products: without a table [P, P, d]."""
    gram = jnp.matmul(means, means.T, precision="highest")
    sizes = jnp.diagonal(gram)[:, None] + jnp.diagonal(gram)[None]
    squares = sizes - 2 * gram
    # Means that coincide to rounding are at distance 0, whose root has no gradient.
    there = squares > 16 * jnp.finfo(means.dtype).eps * sizes
    return jnp.where(there, jnp.sqrt(jnp.where(there, squares, 1)), 0)


def _edges(classes: jax.Array, hierarchy: Hierarchy) -> jax.Array:
    """Number of edges between two classes [P, P]."""
    depths = jnp.asarray(hierarchy.depths[hierarchy.leaves])[classes]
    common = jnp.zeros((len(classes),) * 2, jnp.int32)
    for row in hierarchy.lineage[1:]:
        nodes = jnp.asarray(row)[classes]
        common += nodes[:, None] == nodes[None]
    return depths[:, None] + depths[None] - 2 * common


def _one_minus_correlation(x: jax.Array, y: jax.Array, where: jax.Array) -> jax.Array:
    """1 - Pearson correlation of the entries `where`; 0 where there is none."""
    weights = where.astype(x.dtype) / jnp.maximum(where.sum(), 1)

    def centred(values: jax.Array) -> tuple[jax.Array, jax.Array]:
        away = values - jnp.sum(weights * values)
        variance = jnp.sum(weights * away**2)
        # What rounding leaves of equal numbers is no variance.
        varies = variance > 1e-10 * jnp.sum(weights * values**2)
        inverse = jax.lax.rsqrt(jnp.where(varies, variance, 1))
        return away * inverse, varies

    (x, x_varies), (y, y_varies) = centred(x), centred(y.astype(x.dtype))
    return jnp.where(x_varies & y_varies, 1 - jnp.sum(weights * x * y), 0)
