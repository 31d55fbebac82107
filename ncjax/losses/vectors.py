"""Losses of regression: labels are vectors.  `mse` is in `ncjax.losses.flat`."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.losses.outputs import Scalar, check_floating, check_vectors
from ncjax.options import check_value


def huber(
    outputs: Float[Array, "n t"], labels: Float[Array, "n t"], *, delta: Scalar = 1.0
) -> Float[Array, "n"]:
    """Huber's loss: squares of small residuals, absolute values of large ones.

    L = sum_j r_j^2/2 where |r_j| <= delta, delta (|r_j| - delta/2) elsewhere, with
    r = z - y.  A sum over targets, like `mse`, which it is for large delta; the
    `nn.HuberLoss` of PyTorch is the mean over examples and targets, 1/t times this, and
    `nn.SmoothL1Loss` 1/(t beta) times this with delta = beta.

    Args:
        outputs: z [n, t].
        labels: y [n, t].
        delta: residual from which the loss grows linearly, positive and finite; in the
            unit of the targets.

    Returns:
        Loss of each example [n].

    Raises:
        TypeError: for integer outputs.
        ValueError: for a `delta` out of range, or labels of another shape.

    References:
        Huber, Robust Estimation of a Location Parameter, 1964.
    """
    check_floating(outputs)
    check_vectors(outputs, labels)
    must_be = "positive and finite"
    check_value("loss.delta", delta, lambda d: 0 < d < math.inf, must_be)
    size = jnp.abs(outputs - labels)
    within = jnp.minimum(size, delta)
    return jnp.sum(within * (size - 0.5 * within), axis=1)
