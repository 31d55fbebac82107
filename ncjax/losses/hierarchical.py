"""Losses on plain logits that know the class tree: soft labels and HXE."""

from __future__ import annotations

import math
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.soft_labels import soft_label_matrix
from ncjax.losses.checks import (
    Scalar,
    check_floating,
    check_tree,
    distance_rule,
)
from ncjax.options import is_traced


def soft_labels(
    logits: Float[Array, "n K"],
    labels: Int[Array, "n"],
    *,
    hierarchy: Hierarchy,
    beta: Scalar = 4.0,
    distance: str = "height",
    subtract_entropy: bool = False,
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

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a negative or non-finite `beta`, another rule, or a tree with
            another number of classes than the logits have.

    References:
        Bertinetto et al., Making Better Mistakes, CVPR 2020.  Their code takes the mean
        of the divergence over examples and classes, 1/K times this.
    """
    check_floating(logits)
    check_tree(hierarchy, logits.shape[1], "the logits")
    table, entropies = _targets_and_entropies(hierarchy, beta, distance, logits.dtype)
    targets = table[labels]
    shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    value = jax.nn.logsumexp(shifted, axis=1) - jnp.sum(targets * shifted, axis=1)
    if subtract_entropy:
        value -= entropies[labels]
    return value


def soft_targets(hierarchy: Hierarchy, beta: float, distance: str) -> np.ndarray:
    """Soft label of each class, float64 [K (label), K]; see `soft_labels`.

    Args:
        hierarchy: tree over the K classes.
        beta: at least 0 and finite.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for a `beta` out of range, or another rule.
    """
    if not 0 <= beta < math.inf:
        raise ValueError(f"loss.beta must be at least 0 and finite, got {beta}.")
    return soft_label_matrix(_distances(hierarchy, distance), float(beta))


def _targets_and_entropies(
    hierarchy: Hierarchy, beta: Scalar, distance: str, dtype: DTypeLike
) -> tuple[jax.Array, jax.Array]:
    """Soft labels [K (label), K] and the entropy of each in nats [K]."""
    if is_traced(beta):
        distances = jnp.asarray(_distances(hierarchy, distance), dtype)
        log_p = jax.nn.log_softmax(-beta * distances, axis=1)
        table = jnp.exp(log_p)
        return table, -jnp.sum(table * log_p, axis=1)
    known = soft_targets(hierarchy, float(beta), distance)
    entropies = -np.sum(known * np.log(np.maximum(known, 1e-300)), axis=1)
    return jnp.asarray(known, dtype), jnp.asarray(entropies, dtype)


def _distances(hierarchy: Hierarchy, distance: str) -> np.ndarray:
    """Distances of the classes over the height of the tree, float64 [K, K]."""
    rule = distance_rule("loss.distance", distance)
    # Whole heights divided in float64: in float32 thirds would be off by 1e-8.
    whole = hierarchy.distances(rule, normalise=False).astype(np.float64)
    return whole / hierarchy.height


def hxe(
    logits: Float[Array, "n K"],
    labels: Int[Array, "n"],
    *,
    hierarchy: Hierarchy,
    alpha: Scalar = 0.5,
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

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a non-finite `alpha`, another weighting, or a tree with another
            number of classes than the logits have.

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
    if is_traced(alpha):
        exponents = -alpha * jnp.asarray(_levels(hierarchy, weighting), logits.dtype)
        coefficients = _coefficients(jnp, hierarchy, exponents, normalise)
    else:
        coefficients = hxe_coefficients(hierarchy, float(alpha), weighting, normalise)
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
    return value


def hxe_coefficients(
    hierarchy: Hierarchy, alpha: float, weighting: str, normalise: bool = False
) -> np.ndarray:
    """Weights c of the log-sum-exps of `hxe`, float64 [D, K].

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
    if not math.isfinite(alpha):
        raise ValueError(f"loss.alpha must be finite, got {alpha}.")
    exponents = -float(alpha) * _levels(hierarchy, weighting)
    return np.asarray(_coefficients(np, hierarchy, exponents, normalise))


def _coefficients(
    xp: ModuleType, hierarchy: Hierarchy, exponents: Any, normalise: bool
) -> np.ndarray | jax.Array:
    """`hxe_coefficients` by NumPy, or by `jax.numpy` where alpha is traced.

    Args:
        xp: `numpy` or `jax.numpy`.
        hierarchy: tree over the K classes.
        exponents: logarithm of the weight of each node, or of the edge above it [M].
        normalise: whether the weights are normalised, as in `hxe`.
    """
    weights = xp.exp(exponents)
    if normalise:  # the root, on no edge, counts in their sum with a weight of 1
        weights = xp.concatenate([xp.ones_like(weights[:1]), weights[1:]])
        weights = weights / weights.sum()
    weights = xp.concatenate([xp.zeros_like(weights[:1]), weights[1:]])
    on_edge = weights[hierarchy.lineage]  # [D + 1, K] of the edge above the node
    above = np.arange(hierarchy.height)[:, None] < hierarchy.depths[hierarchy.leaves]
    return xp.where(above, on_edge[1:] - on_edge[:-1], 0)


def _levels(hierarchy: Hierarchy, weighting: str) -> np.ndarray:
    """Height or depth of each node, float64 [M]."""
    if weighting not in ("height", "depth"):
        raise ValueError(
            f"Unknown loss.weighting {weighting!r}. Available: height, depth."
        )
    levels = hierarchy.heights if weighting == "height" else hierarchy.depths
    return levels.astype(np.float64)
