"""Losses with an output for each node of the tree, not only for its leaves."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.flat import cross_entropy
from ncjax.losses.outputs import Outputs, Scalar, check_floating
from ncjax.options import is_traced


def multi_level(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    level_weights: tuple[Scalar, ...] | Float[Array, "L"] = (),
) -> Float[Array, "n"]:
    """A classifier for each level of the tree, all on the same features.

    L = sum_l w_l CE(z^(l), group_l(C)), with level l = 1..L from the coarsest
    superclasses to the classes; the decision is that of the last level.  A level at
    which nothing splits is left out; a class that lies less deep is a group of its own.

    Args:
        outputs: the logits of all levels side by side [n, M], coarsest first.
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes.
        level_weights: w, one weight for each level, at least 0; () means all 1.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer outputs.
        ValueError: for weights that do not fit the levels, or labels out of range.

    References:
        Wu et al., Learning to Make Better Mistakes, ACM MM 2016.
    """
    weights = level_weights if len(level_weights) else (1.0,) * len(hierarchy.levels)
    if len(weights) != len(hierarchy.levels) or not all(
        is_traced(w) or 0 <= w < math.inf for w in weights
    ):
        raise ValueError(
            f"loss.level_weights must be empty or {len(hierarchy.levels)} finite "
            f"numbers of at least 0, one for each level of the tree, got {weights}."
        )
    labels = class_indices(labels, hierarchy.num_classes)
    value, start = jnp.zeros(len(labels), outputs.dtype), 0
    for depth, weight in zip(hierarchy.levels, weights, strict=True):
        groups, names = hierarchy.superclasses(depth)
        logits = outputs[:, start : start + len(names)]
        value += weight * cross_entropy(logits, jnp.asarray(groups)[labels])
        start += len(names)
    return value + undefined_outside(labels, hierarchy.num_classes)


def level_outputs(hierarchy: Hierarchy, *, split_features: bool = False) -> Outputs:
    """The outputs of `multi_level`: the logits of all levels side by side.

    The score of a class is its logit in the last level.

    Args:
        hierarchy: tree over the K classes.
        split_features: give each level its own part of the features.  A finer level
            sees the coarser parts too, but sends no gradient into them (Chang et al.,
            Your "Flamingo" is My "Bird", CVPR 2021).
    """
    levels = [hierarchy.superclasses(depth) for depth in hierarchy.levels]
    sizes = tuple(len(names) for _, names in levels)
    columns = sum(sizes[:-1]) + levels[-1][0]
    return Outputs(
        sizes if split_features else sum(sizes),
        lambda outputs: outputs[:, columns],
        readout=np.eye(sum(sizes))[columns],
    )


def cascade(
    outputs: Float[Array, "n M"], labels: Integer[Array, "n"], *, hierarchy: Hierarchy
) -> Float[Array, "n"]:
    """A softmax over the children of every inner node, multiplied along the path.

    L = -sum over the nodes on the path from the root to the label of
    log softmax_{siblings}(z)_node.  The decision is the leaf with the largest product.

    Args:
        outputs: z [n, M - 1], an output for each node but the root.
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes, with M nodes.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer outputs.
        ValueError: for labels out of range.

    References:
        Redmon & Farhadi, YOLO9000: Better, Faster, Stronger, CVPR 2017.
    """
    check_floating(outputs)
    labels = class_indices(labels, hierarchy.num_classes)
    log_p = _log_conditional(outputs, hierarchy)
    path = jnp.asarray(hierarchy.lineage[1:] - 1)[:, labels].T  # [n, D]
    # A class that lies less deep repeats its own node, which must count once only.
    real = jnp.asarray(hierarchy.lineage[1:] != hierarchy.lineage[:-1])[:, labels].T
    value = -jnp.sum(jnp.take_along_axis(log_p, path, axis=1) * real, axis=1)
    return value + undefined_outside(labels, hierarchy.num_classes)


def cascade_outputs(hierarchy: Hierarchy) -> Outputs:
    """The outputs of `cascade`: one for each node but the root.

    The score of a class is the logarithm of its probability.

    Args:
        hierarchy: tree over the K classes.
    """

    def scores(outputs: jax.Array) -> jax.Array:
        return sum_along_paths(_log_conditional(outputs, hierarchy), hierarchy)

    readout = hierarchy.ancestors()[:, 1:].astype(np.float64)
    return Outputs(hierarchy.num_nodes - 1, scores, readout=readout)


def sum_along_paths(
    values: Float[Array, "n M"], hierarchy: Hierarchy
) -> Float[Array, "n K"]:
    """The sum of what a class and the nodes above it have, for each class.

    Args:
        values: a value of each node but the root [n, M - 1].
        hierarchy: tree over the K classes, with M nodes.
    """
    depths, parents = hierarchy.depths[1:], hierarchy.parents[1:] - 1
    bounds = np.searchsorted(depths, np.arange(1, hierarchy.height + 2))
    # Nodes are numbered depth by depth: the nodes of a depth add the sums of their
    # parents, which lie in the block before.
    blocks = [values[:, : bounds[1]]]
    for first, above, last in zip(bounds, bounds[1:], bounds[2:], strict=False):
        blocks.append(
            values[:, above:last] + blocks[-1][:, parents[above:last] - first]
        )
    return jnp.concatenate(blocks, axis=1)[:, hierarchy.leaves - 1]


def _log_conditional(outputs: jax.Array, hierarchy: Hierarchy) -> jax.Array:
    """Log-softmax of each output among those of its siblings [n, M - 1]."""
    inner, parent = np.unique(hierarchy.parents[1:], return_inverse=True)
    z = outputs.T
    # The children of one parent are numbered one after the other.
    top = jax.ops.segment_max(
        jax.lax.stop_gradient(z), parent, len(inner), indices_are_sorted=True
    )
    z = z - top[parent]
    total = jax.ops.segment_sum(jnp.exp(z), parent, len(inner), indices_are_sorted=True)
    return (z - jnp.log(total)[parent]).T
