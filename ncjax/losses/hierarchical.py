"""Losses on plain logits that know the class tree: soft labels and HXE."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.soft_labels import soft_label_matrix
from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.outputs import Scalar, check_floating, check_tree, tempered
from ncjax.options import check_value, choose, is_traced


def soft_labels(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    beta: Scalar = 4.0,
    distance: str = "height",
    subtract_entropy: bool = False,
    temperature: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Cross-entropy to labels that spread over near classes.

    y_A(C) = exp(-beta d(A, C)) / sum_B exp(-beta d(B, C)), with d the distance in the
    tree divided by the tree's height; L = -sum_A y_A(C) log softmax(z)_A.  beta = 0
    makes all labels uniform, beta -> infinity one-hot.

    Args:
        logits: z [n, K].
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes.
        beta: sharpness of the labels, at least 0; 4 to 30 in the literature.
        distance: rule of `Hierarchy.distances`, "height" or "depth".
        subtract_entropy: subtract H(y(C)), the least value that L can have, which
            leaves the Kullback-Leibler divergence.  The gradient is the same.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a negative or non-finite `beta`, another rule, a temperature out
            of range, a tree with another number of classes than the logits have, or
            labels out of range.

    References:
        Bertinetto et al., Making Better Mistakes, CVPR 2020.  Their code takes the mean
        of the divergence over examples and classes, 1/K times this.
    """
    check_floating(logits)
    check_tree(hierarchy, logits.shape[1], "the logits")
    logits = tempered(logits, temperature)
    labels = class_indices(labels, hierarchy.num_classes)
    found = soft_targets(hierarchy, beta, distance)
    table, entropies = (jnp.asarray(x, logits.dtype) for x in found)
    targets = table[labels]
    shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    value = jax.nn.logsumexp(shifted, axis=1) - jnp.sum(targets * shifted, axis=1)
    if subtract_entropy:
        value -= entropies[labels]
    return value + undefined_outside(labels, hierarchy.num_classes)


def soft_targets(
    hierarchy: Hierarchy, beta: Scalar, distance: str
) -> tuple[np.ndarray | jax.Array, np.ndarray | jax.Array]:
    """Soft label of each class and its entropy in nats; float64 where beta is known.

    Args:
        hierarchy: tree over the K classes.
        beta: the sharpness of `soft_labels`, at least 0 and finite.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Returns:
        Labels [K (label), K] and entropies [K].

    Raises:
        ValueError: for a `beta` out of range, or another rule.
    """
    check_value("loss.beta", beta, lambda b: 0 <= b < math.inf, "at least 0 and finite")
    # Whole heights divided in float64: in float32 thirds would be off by 1e-8.
    whole = hierarchy.distances(distance, normalise=False).astype(np.float64)
    distances = whole / hierarchy.height
    if is_traced(beta):
        log_p = jax.nn.log_softmax(-beta * jnp.asarray(distances), axis=1)
        table = jnp.exp(log_p)
        return table, -jnp.sum(table * log_p, axis=1)
    table = soft_label_matrix(distances, float(beta))
    return table, -np.sum(table * np.log(np.maximum(table, 1e-300)), axis=1)


def hxe(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    alpha: Scalar = 0.5,
    weighting: str = "height",
    normalise: bool = False,
    temperature: Scalar = 1.0,
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
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes, of any shape.
        alpha: how fast the weights fall; 0 makes this cross-entropy.
        weighting: "height": lambda = exp(-alpha height(Cl)), the published formula; it
            is convex in z for alpha >= 0, and a large alpha stresses fine distinctions.
            "depth": lambda = exp(-alpha depth(Cl)), what the published code does and
            the published results show; not convex, and a large alpha stresses coarse
            distinctions.
        normalise: divide lambda by its sum over all nodes, the root with its 1 among
            them, as the published code does.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a non-finite `alpha`, another weighting, a temperature out of
            range, a tree with another number of classes than the logits have, or labels
            out of range.

    References:
        Bertinetto et al., Making Better Mistakes, CVPR 2020.

    Example:
        >>> import jax.numpy as jnp, ncjax
        >>> tree = ncjax.hierarchy.balanced([2, 2])
        >>> logits = jnp.array([[2.0, 1.0, 0.0, 0.0]])
        >>> ncjax.losses.hxe(logits, jnp.array([0]), hierarchy=tree, alpha=0.5)
        Array([0.422...], dtype=float32)
    """
    check_floating(logits)
    check_tree(hierarchy, logits.shape[1], "the logits")
    logits = tempered(logits, temperature)
    labels = class_indices(labels, hierarchy.num_classes)
    coefficients = hxe_coefficients(hierarchy, alpha, weighting, normalise)
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)
    relative = logits - own
    value = jnp.zeros(len(labels), logits.dtype)
    for row, weights in zip(hierarchy.lineage, coefficients, strict=False):
        if not is_traced(alpha) and not weights.any():
            continue  # alpha = 0 leaves the root alone: as quick as cross-entropy
        everything = (row == row[0]).all()
        row = jnp.asarray(row)
        below = None if everything else row[labels, None] == row[None]
        inner = jax.nn.logsumexp(relative, axis=1, where=below)
        value += jnp.asarray(weights, logits.dtype)[labels] * inner
    return value + undefined_outside(labels, hierarchy.num_classes)


def hxe_coefficients(
    hierarchy: Hierarchy, alpha: Scalar, weighting: str, normalise: bool = False
) -> np.ndarray | jax.Array:
    """Weights c of the log-sum-exps of `hxe` [D, K], float64 where alpha is known.

    Row a belongs to the leaves below the ancestor at depth a = 0..D-1 of each class; it
    is 0 from the depth of the class itself on.  A column sums to the weight of the edge
    above the class.

    Args:
        hierarchy: tree over the K classes, of depth D.
        alpha: the discount of `hxe`, finite.
        weighting: "height" or "depth", as in `hxe`.
        normalise: whether the weights are normalised, as in `hxe`.

    Raises:
        ValueError: for a non-finite `alpha`, or another weighting.
    """
    choose("loss.weighting", weighting, ("height", "depth"))
    levels = hierarchy.heights if weighting == "height" else hierarchy.depths
    check_value("loss.alpha", alpha, math.isfinite, "finite")
    xp, scale = (jnp, alpha) if is_traced(alpha) else (np, float(alpha))
    weights = xp.exp(-scale * xp.asarray(levels.astype(np.float64)))
    if normalise:  # the root, on no edge, counts in their sum with a weight of 1
        weights = xp.concatenate([xp.ones_like(weights[:1]), weights[1:]])
        weights = weights / weights.sum()
    weights = xp.concatenate([xp.zeros_like(weights[:1]), weights[1:]])
    on_edge = weights[hierarchy.lineage]  # [D + 1, K] of the edge above the node
    above = np.arange(hierarchy.height)[:, None] < hierarchy.depths[hierarchy.leaves]
    return xp.where(above, on_edge[1:] - on_edge[:-1], 0)
