"""Losses that know no hierarchy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.outputs import Scalar, check_floating, check_vectors, tempered
from ncjax.options import check_value, is_traced


def cross_entropy(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    label_smoothing: Scalar = 0.0,
    temperature: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Softmax cross-entropy, with optional label smoothing.

    With y = (1 - eps) e_label + eps/K: L = -sum_k y_k log softmax(z)_k
    = logsumexp(z) - (1 - eps) z_label - (eps/K) sum_k z_k.

    Args:
        logits: z [n, K].
        labels: class of each example [n], 0..K-1.
        label_smoothing: eps in [0, 1), the share of the target that is spread evenly
            over all classes.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: if `label_smoothing` is outside [0, 1), or for a temperature or
            labels out of range.

    References:
        Szegedy et al., Rethinking the Inception Architecture, CVPR 2016.
    """
    check_floating(logits)
    logits = tempered(logits, temperature)
    check_value("label_smoothing", label_smoothing, lambda s: 0 <= s < 1, "in [0, 1)")
    labels = class_indices(labels, logits.shape[1])
    target = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    if is_traced(label_smoothing) or label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing * logits.mean(1)
    value = jax.nn.logsumexp(logits, axis=1) - target
    return value + undefined_outside(labels, logits.shape[1])


def mse(
    logits: Float[Array, "n K"], labels: Integer[Array, "n"] | Float[Array, "n K"]
) -> Float[Array, "n"]:
    r"""Half the squared distance of the outputs to the label, a vector or a class.

    L = (1/2) |z - y|^2, a sum (not a mean) over outputs, with y = e_label for classes.
    Averaged over examples this is the (1/2N) ||WH + b1' - Y||^2 of the theory (Zhou et
    al. 2022, Han et al. 2022, Tirer & Bruna 2022; Andriopoulos et al. 2024 for
    regression), so weight decay enters it with no further factor.  To repeat a recipe
    written for another convention, with K outputs:

    | loss of a batch of n | it is | learning rate | weight decay |
    |---|---|---|---|
    | mean over examples of (1/2)\|z - y\|^2 | this | as it is | as it is |
    | the same without the 1/2 | 2 times this | x 2 | x 1/2 |
    | `nn.MSELoss()`, mean over examples and outputs | 2/K times this | x 2/K | x K/2 |
    | `nn.MSELoss(reduction="sum")` | 2n times this | x 2n | x 1/(2n) |

    Args:
        logits: outputs z [n, K].
        labels: class of each example [n], 0..K-1; or y [n, K].

    Returns:
        Loss of each example [n].

    Raises:
        TypeError: for integer outputs.
        ValueError: for classes out of range, or vectors of another size.

    References:
        Andriopoulos et al., The Prevalence of Neural Collapse in Neural Multivariate
        Regression, NeurIPS 2024.
        Han, Papyan & Donoho, Neural Collapse Under MSE Loss, ICLR 2022.
        Zhou et al., On the Optimization Landscape of Neural Collapse under MSE Loss,
        ICML 2022.
    """
    check_floating(logits)
    if jnp.ndim(labels) == 2 and jnp.issubdtype(labels.dtype, jnp.floating):
        check_vectors(logits, labels)
        return 0.5 * jnp.sum((logits - labels) ** 2, axis=1)
    labels = class_indices(labels, logits.shape[1])
    targets = jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    value = 0.5 * jnp.sum((logits - targets) ** 2, axis=1)
    return value + undefined_outside(labels, logits.shape[1])


def normface(
    logits: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    *,
    temperature: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Cross-entropy of cosines over a temperature, by a classifier on the sphere.

    L = -log(e^{z_y} / sum_k e^{z_k}) with z_k = cos(w_k, h)/tau of the classifier
    `spherical`; of the logits of another classifier it is plain cross-entropy.

    Args:
        logits: z [n, K].
        labels: class of each example [n], 0..K-1.
        temperature: T, positive and finite; the loss is that of the logits z / T.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer logits.
        ValueError: for a temperature or labels out of range.

    References:
        Wang et al., NormFace: L2 Hypersphere Embedding for Face Verification, 2017.
    """
    return cross_entropy(logits, labels, temperature=temperature)


def hardmax(
    logits: Float[Array, "n K"], labels: Integer[Array, "n"]
) -> Float[Array, "n"]:
    """How far the greatest logit of another class is above that of the label.

    L = max_{k != y} z_k - z_y, the limit of T times the cross-entropy of z / T for
    T -> 0 where it is above 0.  On the sphere the greatest L of a class is least at
    the softmax code, with the value -rho.

    Args:
        logits: z [n, K], K at least 2.
        labels: class of each example [n], 0..K-1.

    Returns:
        Loss of each example [n], in the unit of the logits; below 0 where the decision
        is right.

    Raises:
        TypeError: for integer logits.
        ValueError: for labels out of range.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024 (HardMax problem).
    """
    check_floating(logits)
    labels = class_indices(labels, logits.shape[1])
    mine = labels[:, None] == jnp.arange(logits.shape[1])[None]
    own = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    value = jnp.max(jnp.where(mine, -jnp.inf, logits), axis=1) - own
    return value + undefined_outside(labels, logits.shape[1])
