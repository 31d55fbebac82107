"""What convolutional networks share: convolution, stem, sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import KW_ONLY
from functools import partial

import jax
from flax import linen as nn

from ncjax.models.conv import CONVOLUTIONS
from ncjax.models.network import WIDEST, Network
from ncjax.options import choose

STEMS = ("cifar", "imagenet")
Make = Callable[..., nn.Module]  # makes a layer


class ConvNet(Network):
    """A network of convolutions, whose last feature map is averaged.

    Attributes:
        feature_dim: width d of the features, or 0 for the network's own.
        method: how to convolve, a key of `CONVOLUTIONS`.
    """

    _: KW_ONLY
    feature_dim: int = 0
    method: str = "auto"

    @property
    def conv(self) -> Make:
        """What makes a convolution, the same way everywhere.

        He's normal initialisation over outgoing connections; no bias, since a batch
        norm follows.
        """
        return partial(
            nn.Conv,
            use_bias=False,
            kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
            dtype=self.dtype,
            conv_general_dilated=CONVOLUTIONS[self.method],
        )


def stem_conv(conv: Make, width: int, stem: str) -> nn.Module:
    """The first convolution: 3x3 for "cifar", 7x7 with stride 2 for "imagenet"."""
    if stem == "cifar":
        return conv(width, (3, 3), padding=1, name="stem_conv")
    return conv(width, (7, 7), (2, 2), padding=3, name="stem_conv")


def stem_pool(x: jax.Array, stem: str) -> jax.Array:
    """The pooling of the stem: none, or a 3x3 maximum with stride 2; [n, h, w, c]."""
    if stem == "cifar":
        return x
    return nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded.

    Raises:
        ValueError: if no channel is left, or more than `WIDEST`.
    """
    out = round(channels * width) if math.isfinite(width) else 0
    if not 1 <= out <= WIDEST:
        raise ValueError(
            f"model.width multiplies {channels} channels and must leave 1 to {WIDEST}, "
            f"got {width}."
        )
    return out


def check_options(feature_dim: int, conv: str, stem: str = "cifar") -> None:
    """Raises `ValueError` for options that no network takes."""
    if not 0 <= feature_dim <= WIDEST:
        raise ValueError(
            f"model.feature_dim must be at least 1, at most {WIDEST}, or 0 for the "
            f"network's own width, got {feature_dim}."
        )
    choose("model.stem", stem, STEMS)
    choose("model.conv", conv, CONVOLUTIONS)
