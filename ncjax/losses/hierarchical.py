"""Losses on plain logits that know the class tree: soft labels and HXE."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.soft_labels import soft_label_matrix
from ncjax.losses.checks import check_tree, distance_rule


def soft_labels(
    logits: Float[Array, "n K"],
    labels: Int[Array, "n"],
    *,
    hierarchy: Hierarchy,
    beta: float = 4.0,
    distance: str = "height",
    subtract_entropy: bool = False,
) -> Float[Array, "n"]:
    """Cross-entropy to labels that spread over near classes.

    y_A(C) = exp(-beta d(A, C)) / sum_B exp(-beta d(B, C)), with d the distance in the
    tree divided by the tree's height; L = -sum_A y_A(C) log softmax(z)_A.  beta = 0
    makes all labels uniform, beta -> infinity one-hot.

    Args:
        logits: z [n, K].
        labels: C [n], 0..K-1.
        hierarchy: tree over the K classes.
        beta: at least 0; 4 to 30 in the literature.
        distance: rule of `Hierarchy.distances`, "height" or "depth".
        subtract_entropy: subtract H(y(C)), the least value that L can have: the
            Kullback-Leibler divergence.  The gradient is the same.

    Returns:
        [n], in nats.

    Raises:
        ValueError: for a negative or non-finite `beta`, another rule, or a tree with
            another number of classes than the logits have.

    References:
        Bertinetto et al., Making Better Mistakes, CVPR 2020.  Their code takes the mean
        of the divergence over examples and classes, 1/K times this.
    """
    check_tree(hierarchy, logits.shape[1], "the logits")
    table = soft_targets(hierarchy, beta, distance)
    targets = jnp.asarray(table, logits.dtype)[labels]
    shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    value = jax.nn.logsumexp(shifted, axis=1) - jnp.sum(targets * shifted, axis=1)
    if subtract_entropy:
        entropy = -np.sum(table * np.log(np.maximum(table, 1e-300)), axis=1)
        value -= jnp.asarray(entropy, logits.dtype)[labels]
    return value


def soft_targets(hierarchy: Hierarchy, beta: float, distance: str) -> np.ndarray:
    """Soft label of each class, float64 [K (label), K]; see `soft_labels`."""
    if not 0 <= beta < math.inf:
        raise ValueError(f"loss.beta must be at least 0 and finite, got {beta}.")
    rule = distance_rule("loss.distance", distance)
    # Whole heights divided in float64: in float32 thirds would be off by 1e-8.
    distances = hierarchy.distances(rule, normalise=False)
    return soft_label_matrix(distances.astype(np.float64) / hierarchy.height, beta)


def hxe(
    logits: Float[Array, "n K"],
    labels: Int[Array, "n"],
    *,
    hierarchy: Hierarchy,
    alpha: float = 0.5,
    weighting: str = "height",
    normalise: bool = False,
) -> Float[Array, "n"]:
    """Hierarchical cross-entropy: a weighted sum over the edges from leaf to root.

    With p = softmax(z), C = C0, C1, ..., Ch = root the path of the label and S(Cl) the
    leaves below Cl, p(Cl | Cl+1) = p(S(Cl)) / p(S(Cl+1)) and

        L = -sum_{l < h} lambda(Cl) log p(Cl | Cl+1)
          = sum_l c_l log sum_{j in S(Cl)} exp(z_j - z_C),

    c_l = lambda(Cl-1) - lambda(Cl), of which the last has no second term.  The second
    form is the one computed: exact where p underflows.

    Args:
        logits: z [n, K].
        labels: C [n], 0..K-1.
        hierarchy: tree over the K classes, of any shape.
        alpha: 0 makes this cross-entropy.
        weighting: "height": lambda = exp(-alpha height(Cl)), the published formula; it
            is convex in z for alpha >= 0, and a large alpha stresses fine distinctions.
            "depth": lambda = exp(-alpha depth(Cl)), what the published code does and
            the published results show; not convex, and a large alpha stresses coarse
            distinctions.
        normalise: divide lambda by its sum over all nodes, the root with its 1 among
            them, as the published code does.

    Returns:
        [n], in nats.

    Raises:
        ValueError: for a non-finite `alpha`, another weighting, or a tree with another
            number of classes than the logits have.

    References:
        Bertinetto et al., Making Better Mistakes, CVPR 2020.
    """
    check_tree(hierarchy, logits.shape[1], "the logits")
    coefficients = hxe_coefficients(hierarchy, alpha, weighting, normalise)
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    relative = logits - own
    value = jnp.zeros(len(labels), logits.dtype)
    for row, weights in zip(hierarchy.lineage, coefficients, strict=False):
        if not weights.any():
            continue
        everything = (row == row[0]).all()
        row = jnp.asarray(row)
        below = None if everything else row[labels, None] == row[None]
        inner = jax.nn.logsumexp(relative, axis=1, where=below)
        value += jnp.asarray(weights, logits.dtype)[labels] * inner
    return value


def hxe_coefficients(
    hierarchy: Hierarchy, alpha: float, weighting: str, normalise: bool = False
) -> np.ndarray:
    """Weight c [D, K] of the log-sum-exp below the ancestor at depth 0..D-1.

    0 from the depth of the class itself on; a column sums to the weight of the leaf.
    """
    if not math.isfinite(alpha):
        raise ValueError(f"loss.alpha must be finite, got {alpha}.")
    if weighting not in ("height", "depth"):
        raise ValueError(
            f"Unknown loss.weighting {weighting!r}. Available: height, depth."
        )
    order = hierarchy.heights if weighting == "height" else hierarchy.depths
    weights = np.exp(-alpha * order.astype(np.float64))
    if normalise:
        weights[0] = 1.0  # not on any edge, but counted in their sum
        weights /= weights.sum()
    on_edge = weights[hierarchy.lineage]  # [D + 1, K] of the edge above the node
    on_edge[0] = 0
    above = np.arange(hierarchy.height)[:, None] < hierarchy.depths[hierarchy.leaves]
    return np.where(above, on_edge[1:] - on_edge[:-1], 0)
