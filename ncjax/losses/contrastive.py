"""Losses that compare the examples of a batch with each other.

The loss of an example depends on the others of its batch, on all devices together;
where a set is measured in other batches, its mean loss is another one.  `present` says
which examples there are: the last batch of a set is filled up with some that are not.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer

from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.embeddings import inverse_norm
from ncjax.losses.outputs import FixedVectors, Scalar, check_floating, tempered


def ntce(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    temperature: Scalar = 1.0,
    present: Bool[Array, "n"] | None = None,
) -> Float[Array, "n"]:
    """Cross-entropy over the examples of the batch, with the class as the anchor.

    L_i = -log(e^{z_iy} / sum_j e^{z_jy}), y the class of example i, over all examples j
    of the batch: normalised temperature cross-entropy, of cosines over a temperature.
    In a softmax over classes the sum is over the columns of z instead.

    Args:
        logits: z [n, K], such as cos(w_k, h_i)/tau.
        labels: class of each example [n], 0..K-1.
        temperature: T, positive and finite; the loss is that of the logits z / T.
        present: which examples there are [n]; by default all.

    Returns:
        Loss of each example [n], in nats, at least 0.

    Raises:
        TypeError: for integer logits.
        ValueError: for a temperature or labels out of range.

    References:
        Neural Collapse by Design, ICML 2026, arXiv 2605.20302.
    """
    check_floating(logits)
    logits = tempered(logits, temperature)
    labels = class_indices(labels, logits.shape[1])
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    if present is not None:  # of a batch of padding alone the sum would be empty
        present = (present | ~jnp.any(present))[:, None]
    value = jax.nn.logsumexp(logits, axis=0, where=present)[labels] - own
    return value + undefined_outside(labels, logits.shape[1])


def nonl(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    temperature: Scalar = 1.0,
    present: Bool[Array, "n"] | None = None,
) -> Float[Array, "n"]:
    """The loss `ntce` with negatives only: examples of other classes.

    L_i = -log(e^{z_iy} / sum_{j: y_j != y} e^{z_jy}); it can be below 0, and does not
    weaken as an example comes near its class.  An example of a batch of one class alone
    has the loss 0, with a gradient of 0.

    Args:
        logits: z [n, K], such as cos(w_k, h_i)/tau.
        labels: class of each example [n], 0..K-1.
        temperature: T, positive and finite; the loss is that of the logits z / T.
        present: which examples there are [n]; by default all.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a temperature or labels out of range.

    References:
        Neural Collapse by Design, ICML 2026, arXiv 2605.20302.
    """
    check_floating(logits)
    logits = tempered(logits, temperature)
    labels = class_indices(labels, logits.shape[1])
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    other = labels[:, None] != jnp.arange(logits.shape[1])[None]
    other &= _there(present, len(labels))[:, None]
    some = jnp.any(other, axis=0)
    # An empty sum would have no finite logarithm, and its gradient none at all.
    total = jax.nn.logsumexp(logits, axis=0, where=other | ~some[None])
    value = jnp.where(some[labels], total[labels] - own, 0)
    return value + undefined_outside(labels, logits.shape[1])


def supcon(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    vectors: FixedVectors,
    temperature: Scalar = 1.0,
    present: Bool[Array, "n"] | None = None,
) -> Float[Array, "n"]:
    """Supervised contrastive loss with a fixed prototype of each class in the batch.

    With u_i = e_i/|e_i|, the prototypes p_k = w_k/|w_k|, and A_i all other examples and
    all prototypes,

        L_i = log sum_{a in A_i} e^{u_i . a/T} - mean_{a in A_i of class y_i} u_i . a/T.

    An example that is alone of its class in the batch still has its prototype.

    Args:
        outputs: e [n, M], the embedding of each example.
        labels: class of each example [n], 0..K-1.
        vectors: w, one for each class.
        temperature: T, positive and finite; the published losses have 0.1 or so.
        present: which examples there are [n]; by default all.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer outputs.
        ValueError: for a temperature or labels out of range.

    References:
        Khosla et al., Supervised Contrastive Learning, NeurIPS 2020.
        Gill, Vakilian & Thrampoulidis, Engineering the Neural Collapse Geometry of
        Supervised-Contrastive Loss, ICASSP 2024 (the prototypes).
    """
    check_floating(outputs)
    table = jnp.asarray(vectors.at(outputs.shape[1]), outputs.dtype)
    labels = class_indices(labels, len(table))
    units = outputs * inverse_norm(outputs)
    prototypes = table * inverse_norm(table)
    known = jnp.concatenate([units, prototypes])
    products = tempered(jnp.matmul(units, known.T, precision="highest"), temperature)
    number = len(units)
    itself = jnp.arange(number)[:, None] == jnp.arange(len(known))[None]
    classes = jnp.concatenate([labels, jnp.arange(len(table))])
    there = jnp.concatenate([_there(present, number), jnp.ones(len(table), bool)])
    others = ~itself & there[None]
    same = (labels[:, None] == classes[None]) & others
    total = jax.nn.logsumexp(products, axis=1, where=others)
    # A label out of range has no prototype, and may be alone.
    count = jnp.maximum(jnp.sum(same, axis=1), 1)
    value = total - jnp.sum(jnp.where(same, products, 0), axis=1) / count
    return value + undefined_outside(labels, len(table))


def _there(present: jax.Array | None, number: int) -> jax.Array:
    """Which of so many examples there are, [n]."""
    return jnp.ones(number, bool) if present is None else jnp.asarray(present, bool)
