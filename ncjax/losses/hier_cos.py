"""Hier-COS: an orthogonal direction for each node, and a subspace for each class."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.heads import sum_along_paths
from ncjax.losses.outputs import Outputs, Scalar, check_floating
from ncjax.options import check_value


def hier_cos(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    level_weight: Scalar = 0.05,
) -> Float[Array, "n"]:
    """Coordinates e on orthonormal directions of the nodes, pulled onto the path.

    With the path of the label C, the nodes 1..L from below the root down to C, and
    t_l = exp(2 / (L + 1 - l)) / (their sum) on it, 0 elsewhere,

        L = KL(t | softmax(|e|)) + level_weight sum over depths a of R_a,
        R_a = sum over the nodes v at depth a of | [v on the path] - |e_v| / |e_a| |,

    with e_a the coordinates of the nodes at depth a; where the class ends above that
    depth, R_a = sum of |e_v|.  With weight decay on e the optimum is known up to signs,
    which the loss does not see (`ncjax.ufm.frames`).

    Args:
        outputs: e [n, M - 1], a coordinate for each node but the root.
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes, with M nodes.
        level_weight: weight of the second term, at least 0; the alpha of the paper.

    Returns:
        Loss of each example [n].

    Raises:
        TypeError: for integer outputs.
        ValueError: for a `level_weight` out of range, another number of outputs, or
            labels out of range.

    References:
        Sani et al., Hier-COS: Making Deep Features Hierarchy-aware via Composition of
        Orthogonal Subspaces, CVPR 2026 (arXiv:2503.07853).  Their code takes the mean
        of R_a over those examples of the batch whose class reaches depth a, this loss
        over all of them; in trees whose classes all lie at one depth it is the same.
    """
    check_floating(outputs)
    if outputs.shape[1] != hierarchy.num_nodes - 1:
        raise ValueError(
            f"The outputs have {outputs.shape[1]} columns, but the tree has "
            f"{hierarchy.num_nodes - 1} nodes below the root, each with one."
        )
    name, must_be = "loss.level_weight", "at least 0 and finite"
    check_value(name, level_weight, lambda w: 0 <= w < math.inf, must_be)
    labels = class_indices(labels, hierarchy.num_classes)
    table, entropies = (
        jnp.asarray(x, outputs.dtype)[labels] for x in path_targets(hierarchy)
    )
    size, dtype = jnp.abs(outputs), outputs.dtype
    value = jax.nn.logsumexp(size, axis=1) - jnp.sum(table * size, axis=1) - entropies
    depths = np.arange(1, hierarchy.height + 1)
    at_depth = jnp.asarray(hierarchy.depths[1:, None] == depths, dtype)  # [M - 1, D]

    def by_depth(x: jax.Array) -> jax.Array:
        return jnp.matmul(x, at_depth, precision="highest")

    own, total = by_depth(jnp.where(table > 0, size, 0)), by_depth(size)
    squares = by_depth(size**2)
    # The share of the own node is at most 1: its distance from 1 has that sign.
    off = 1 + (total - 2 * own) * jax.lax.rsqrt(jnp.where(squares > 0, squares, 1))
    reached = jnp.asarray(hierarchy.depths[hierarchy.leaves])[labels, None] >= depths
    value += level_weight * jnp.sum(jnp.where(reached, off, total), axis=1)
    return value + undefined_outside(labels, hierarchy.num_classes)


def path_targets(hierarchy: Hierarchy) -> tuple[np.ndarray, np.ndarray]:
    """The target t of each class in `hier_cos`, and its entropy in nats, float64.

    Args:
        hierarchy: tree over the K classes, with M nodes.

    Returns:
        t [K, M - 1], a share of each node but the root, and the entropies [K].
    """
    last = hierarchy.depths[hierarchy.leaves, None]  # L
    steps = last + 1 - hierarchy.depths[None, 1:]
    on_path = hierarchy.ancestors()[:, 1:]
    powers = np.where(on_path, np.exp(2 / np.maximum(steps, 1)), 0)
    table = powers / powers.sum(axis=1, keepdims=True)
    return table, -np.sum(table * np.log(np.maximum(table, 1e-300)), axis=1)


def hier_cos_outputs(hierarchy: Hierarchy) -> Outputs:
    """The outputs of `hier_cos`: a coordinate for each node but the root.

    The score of a class is the length of e within the subspace of the class, which the
    directions of the class and of the nodes above it span.

    Args:
        hierarchy: tree over the K classes, with M nodes.
    """

    def scores(outputs: jax.Array) -> jax.Array:
        squares = sum_along_paths(outputs**2, hierarchy)
        there = squares > 0  # the root of 0 has no finite gradient
        return jnp.where(there, jnp.sqrt(jnp.where(there, squares, 1)), 0)

    size = hierarchy.num_nodes - 1
    readout = hierarchy.ancestors()[:, 1:].astype(np.float64)
    return Outputs(size, scores, readout=readout, least_width=size)
