"""Cross-entropy of the class and of all nodes above it (HACE)."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.outputs import Scalar, check_floating, check_tree, tempered
from ncjax.options import check_value, is_traced


def hace(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    dilution: Scalar = 0.5,
    temperature: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Hierarchy-aware cross-entropy: that of the class and of each node above it.

    With p = softmax(z), S(v) the leaves below a node v, P_v = sum_{j in S(v)} p_j, and
    C = C0, C1, ..., Ch = root the path of the label,

        L = -sum_{l < h} (1 - dilution) dilution^l log P_{C_l},

    as P_root = 1.  The weight that is left for the root, dilution^h, has no effect.
    On a tree of one level this is 1 - dilution times cross-entropy.  On any tree it
    lies between 1 - dilution times and 1 times cross-entropy, so that as weight decay
    vanishes the class means of its global minimum are those of cross-entropy, a simplex
    ETF.  It is not convex in z; its gradients sum to 0 over the logits.

    Args:
        logits: z [n, K].
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes, of any shape.
        dilution: share of the weight that each node passes on to the node above it,
            above 0 and below 1; 0.2, 0.5 and 0.7 in the paper.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a `dilution` or a temperature out of range, a tree with another
            number of classes than the logits have, or labels out of range.

    References:
        HACE, arXiv:2605.06274.  The published code adds 1e-6 to P before the logarithm;
        here log P is a difference of log-sum-exps, which needs no such number.
    """
    check_floating(logits)
    check_tree(hierarchy, logits.shape[1], "the logits")
    logits = tempered(logits, temperature)
    labels = class_indices(labels, hierarchy.num_classes)
    weights = hace_weights(hierarchy, dilution)
    shifted = logits - jax.lax.stop_gradient(logits.max(1, keepdims=True))
    own = jnp.take_along_axis(shifted, labels[:, None], axis=1)[:, 0]
    rows = [jnp.asarray(row) for row in hierarchy.lineage[1:-1]]
    below = [row[labels, None] == row[None] for row in rows]
    inside = [*_log_sums(shifted, own, below), own]  # the last are the classes
    everything = jax.nn.logsumexp(shifted, axis=1)
    value = jnp.zeros(len(labels), logits.dtype)
    for log_sum, weight in zip(inside, weights, strict=True):
        value += jnp.asarray(weight, logits.dtype)[labels] * (everything - log_sum)
    return value + undefined_outside(labels, hierarchy.num_classes)


def hace_weights(hierarchy: Hierarchy, dilution: Scalar) -> np.ndarray | jax.Array:
    """Weights of the nodes on the path of each class [D, K].

    Row a - 1 belongs to the node at depth a = 1..D; it is 0 beyond the class.  With the
    weight of the root, dilution^depth, a column sums to 1.

    Args:
        hierarchy: tree over the K classes, of depth D.
        dilution: share that each node passes on upwards, above 0 and below 1.

    Raises:
        ValueError: for a `dilution` out of range.
    """
    name, must_be = "loss.dilution", "above 0 and below 1"
    check_value(name, dilution, lambda d: 0 < d < 1, must_be)
    xp, scale = (jnp, dilution) if is_traced(dilution) else (np, float(dilution))
    depths = np.arange(1, hierarchy.height + 1)[:, None]
    steps = hierarchy.depths[hierarchy.leaves] - depths  # from the class up to the node
    power = scale ** np.maximum(steps, 0).astype(np.float64)
    return xp.where(steps >= 0, (1 - scale) * power, 0)


def _log_sums(
    logits: jax.Array, own: jax.Array, below: list[jax.Array]
) -> list[jax.Array]:
    """Log-sum-exps [n] of the logits [n, K] below each node of the paths.

    The largest logit of a row is 0, that of the label `own` [n].  One exponential of
    each serves all nodes; only where such a sum may underflow, each needs its own.
    """
    powers = jnp.exp(logits)
    sums = [jnp.sum(powers, axis=1, where=mask) for mask in below]

    def near() -> list[jax.Array]:
        # Under `vmap` both branches are computed: no logarithm of 0, nor its gradient.
        return [jnp.log(jnp.where(total > 0, total, 1)) for total in sums]

    def far() -> list[jax.Array]:
        return [jax.nn.logsumexp(logits, axis=1, where=mask) for mask in below]

    if not below:
        return []
    return jax.lax.cond(jnp.all(own > -60), near, far)
