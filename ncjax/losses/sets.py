"""Losses of multi-label classification: labels are sets, True for each label of one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.losses.outputs import check_floating


def pick_all_label(
    logits: Float[Array, "n K"],
    labels: Bool[Array, "n K"],
    *,
    average_labels: bool = False,
) -> Float[Array, "n"]:
    """The cross-entropies of all labels of an example, each as if it were alone.

    L = sum_{k in S} (logsumexp(z) - z_k) with S the set of an example; with one label
    it is `cross_entropy`.

    Args:
        logits: z [n, K].
        labels: sets of labels, True for each label of an example [n, K].
        average_labels: whether the sum is divided by its number of terms, |S|: that is
            the cross-entropy to a target that is 1/|S| on S.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits, or labels that are not bool.
        ValueError: for labels of another shape.

    References:
        Li et al., Neural Collapse in Multi-label Learning with Pick-all-label Loss,
        ICML 2024.
    """
    _check(logits, labels)
    below = jax.nn.logsumexp(logits, axis=1, keepdims=True) - logits
    terms = jnp.sum(jnp.where(labels, below, 0), axis=1)
    return terms / jnp.sum(labels, axis=1) if average_labels else terms


def bce(
    logits: Float[Array, "n K"],
    labels: Bool[Array, "n K"],
    *,
    average_labels: bool = False,
) -> Float[Array, "n"]:
    """Binary cross-entropy: a yes or no for each label, whatever the others are.

    L = sum_k (log(1 + e^{z_k}) - y_k z_k) with y_k = 1 for the labels of an example,
    else 0.  A sum over all K labels; the `nn.BCEWithLogitsLoss` of PyTorch is their
    mean, `average_labels=True`.

    Args:
        logits: z [n, K]; a label is more likely than not where z_k > 0.
        labels: sets of labels, True for each label of an example [n, K].
        average_labels: whether the sum is divided by its number of terms, K.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits, or labels that are not bool.
        ValueError: for labels of another shape.
    """
    _check(logits, labels)
    terms = jnp.sum(jax.nn.softplus(jnp.where(labels, -logits, logits)), axis=1)
    return terms / logits.shape[1] if average_labels else terms


def _check(logits: jax.Array, labels: jax.Array) -> None:
    check_floating(logits)
    if labels.dtype != bool:
        raise TypeError(
            f"Sets of labels are bool, got {labels.dtype}. Convert zeros and ones with "
            ".astype(bool)."
        )
    if labels.shape != logits.shape:
        raise ValueError(
            f"The logits have shape {logits.shape} and the labels {labels.shape}; a "
            "set has a True or False for each logit."
        )
