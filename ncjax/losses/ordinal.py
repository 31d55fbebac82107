"""The loss of cumulative link models: labels are levels with an order."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.outputs import Outputs, check_floating
from ncjax.ordinal import bounds, get_link, log_probabilities, log_probability


def ordinal(
    outputs: Float[Array, "n K"], labels: Integer[Array, "n"], *, link: str = "logit"
) -> Float[Array, "n"]:
    """Negative log-likelihood of the level in a cumulative link model.

    L = -log(g(b_(q+1) - z) - g(b_q - z)) for the level q of an example, with g the
    logistic distribution function ("logit") or that of the normal distribution
    ("probit"), thresholds b_1 < ... < b_(K-1), b_0 = -inf and b_K = inf.

    Args:
        outputs: z and b_1, ..., b_(K-1) of each example [n, K], as those of the
            classifier `ordinal`; the thresholds must increase.
        labels: level of each example [n], 0..K-1.
        link: "logit" or "probit".

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer outputs.
        ValueError: for an unknown link, or labels out of range.

    References:
        McCullagh, Regression Models for Ordinal Data, JRSS B 42, 1980; as last layer of
        a network: Ma et al., Neural Collapse in Cumulative Link Models for Ordinal
        Regression, NeurIPS 2025 (arXiv 2506.05801).
    """
    check_floating(outputs)
    labels = class_indices(labels, outputs.shape[1])
    lower, upper = (
        jnp.take_along_axis(ends, labels[:, None], axis=1)[:, 0]
        for ends in bounds(outputs[:, 1:])
    )
    value = -log_probability(outputs[:, 0], lower, upper, link)
    return value + undefined_outside(labels, outputs.shape[1])


def ordinal_outputs(*, num_classes: int, link: str = "logit") -> Outputs:
    """The outputs that `ordinal` takes: scores are the log-probabilities of levels.

    Args:
        num_classes: number of levels K.
        link: "logit" or "probit".

    Raises:
        ValueError: for an unknown link.
    """
    get_link(link)

    def scores(outputs: jax.Array) -> jax.Array:
        return log_probabilities(outputs[:, 0], outputs[:, 1:], link)

    return Outputs(num_classes, scores, ordered=True)
