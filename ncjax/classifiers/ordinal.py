"""The classifier of ordered levels: one latent number, and thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers.classifier import LAYER, Classifier
from ncjax.losses.ordinal import ordinal_outputs
from ncjax.losses.outputs import Outputs
from ncjax.ordinal import make_thresholds, to_rows

_LEAST = 1e-3  # between neighbouring thresholds that learn


class OrdinalLayer(nn.Module):
    """Features [n, d] -> z = w . h and the thresholds b_1 < ... < b_(K-1), [n, K].

    The parameters are `kernel` [d, 1] and, where the thresholds learn, `first` [1] and
    `gaps` [K - 2], of which any values make increasing thresholds: b_1 is `first`, and
    from one to the next it is softplus(gap) + 0.001.

    Attributes:
        thresholds: b_1, ..., b_(K-1), or where they start to learn.
        learn: whether the thresholds learn.
        dtype: type of the product w . h; all else is float32.
        axis_name: not used here; other classifiers average over the devices.
    """

    thresholds: tuple[float, ...]
    learn: bool = False
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> outputs [n, K], in training and in evaluation alike."""
        start = nn.initializers.lecun_normal()
        kernel = self.param("kernel", start, (features.shape[-1], 1))
        x, kernel = (a.astype(self.dtype) for a in (features, kernel))
        latent = (x @ kernel).astype(jnp.float32)
        thresholds = jnp.asarray(self.thresholds, jnp.float32)
        if self.learn:
            raw = {k: jnp.asarray(v, jnp.float32) for k, v in _raw(self.thresholds)}
            first, gaps = (
                self.param(name, lambda _, value=value: value)
                for name, value in raw.items()
            )
            thresholds = _increasing(first, gaps)
        shape = (len(latent), len(self.thresholds))
        return jnp.concatenate(
            [latent, jnp.broadcast_to(thresholds[None], shape)], axis=1
        )


def _raw(thresholds: tuple[float, ...]) -> list[tuple[str, np.ndarray]]:
    """The parameters whose thresholds these are: inverse of `_increasing`."""
    gaps = np.maximum(np.diff(thresholds) - _LEAST, 1e-6)
    return [
        ("first", np.asarray(thresholds[:1])),
        ("gaps", gaps + np.log(-np.expm1(-gaps))),
    ]


def _increasing(first: jax.Array, gaps: jax.Array) -> jax.Array:
    """Thresholds [K - 1] that increase, for any numbers `first` [1], `gaps` [K - 2]."""
    steps = jnp.cumsum(jax.nn.softplus(gaps) + _LEAST)
    return jnp.concatenate([first, first + steps])


def ordinal(
    num_classes: int,
    *,
    outputs: Outputs | None = None,
    thresholds: tuple = (),
    gap: float = 4.0,
    learn_thresholds: bool = False,
) -> Classifier:
    """A latent number z = w . h, and thresholds that cut it into K levels.

    Its scores are the log-probabilities of the levels (`ncjax.ordinal`), so that the
    decision is the most probable level.  There is no bias: where the thresholds are
    symmetric about 0 and the features free, none is needed, and learned thresholds take
    its place.

    Args:
        num_classes: K, the number of levels.
        outputs: what the outputs mean to the loss `ordinal`, with its link; None for
            the logit.
        thresholds: b_1 < ... < b_(K-1), in the unit of z; () for evenly spaced ones
            about 0.
        gap: distance of neighbouring thresholds, if none are given.  In the middle of a
            level with this gap its probability is tanh(gap/4) with the logit: 0.76 for
            a gap of 4, 0.96 for 8; and 0.95 for 4 with the probit.
        learn_thresholds: learn them, from these values on.  Weight decay then acts on
            their parameters (`OrdinalLayer`), and pulls the gaps towards log 2.

    Returns:
        The classifier.  As metrics and probes see it, it has a row k w and a bias
        -(b_1 + ... + b_k) for level k, the largest of whose scores is that of the level
        whose thresholds z lies between: the median of the levels, which can differ from
        the most probable one.

    Raises:
        ValueError: for thresholds that are not K - 1 finite numbers in increasing
            order, a gap that is not positive, or the outputs of another loss.
    """
    if outputs is not None and not outputs.ordered:
        raise ValueError(
            "The loss takes other outputs than a latent number and thresholds. Choose "
            "the loss 'ordinal', or one on class logits."
        )
    least = _LEAST if learn_thresholds else 0.0
    thresholds = make_thresholds(num_classes, thresholds, gap, least=least)
    chosen = outputs or ordinal_outputs(num_classes=num_classes)

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        layer = variables["params"][LAYER]
        cuts = jnp.asarray(thresholds, jnp.float32)
        if learn_thresholds:
            cuts = _increasing(layer["first"], layer["gaps"])
        return to_rows(layer["kernel"][:, 0], cuts)

    return Classifier(
        partial(OrdinalLayer, thresholds, learn_thresholds),
        chosen.scores,
        weights,
    )
