"""What convolutional networks share: convolution, normalisation, stem, sizes."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
from flax import linen as nn
from flax.typing import Dtype

from ncjax.models.conv import CONVOLUTIONS

STEMS = ("cifar", "imagenet")


def conv_and_norm(
    train: bool, dtype: Dtype, axis_name: str | None, method: str
) -> tuple[Callable[..., nn.Module], Callable[..., nn.Module]]:
    """Convolution and batch norm, initialised and averaged the same way everywhere.

    He's normal initialisation over outgoing connections; no bias, since a batch norm
    follows; running statistics keep 0.9 of what they were in each step.

    Args:
        train: whether to normalise by the statistics of the batch, and update the
            running ones; else by the running ones.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis over which statistics are averaged, if any.
        method: how to convolve, a key of `CONVOLUTIONS`.

    Returns:
        What makes a convolution, and what makes a batch norm.
    """
    he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")
    conv = partial(
        nn.Conv,
        use_bias=False,
        kernel_init=he_normal,
        dtype=dtype,
        conv_general_dilated=CONVOLUTIONS[method],
    )
    norm = partial(
        nn.BatchNorm,
        use_running_average=not train,
        momentum=0.9,
        dtype=dtype,
        axis_name=axis_name,
    )
    return conv, norm


def stem_conv(conv: Callable[..., nn.Module], width: int, stem: str) -> nn.Module:
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
        ValueError: if no channel is left.
    """
    if not math.isfinite(width) or (out := round(channels * width)) < 1:
        raise ValueError(
            f"model.width multiplies {channels} channels and must leave at least 1, "
            f"got {width}."
        )
    return out


def check_options(feature_dim: int, conv: str, stem: str = "cifar") -> None:
    """Raises `ValueError` for options that no network takes."""
    if feature_dim < 0:
        raise ValueError(
            "model.feature_dim must be at least 1, or 0 for the network's own width, "
            f"got {feature_dim}."
        )
    if stem not in STEMS:
        raise ValueError(
            f"Unknown config.model.stem {stem!r}. Available: {', '.join(STEMS)}."
        )
    if conv not in CONVOLUTIONS:
        raise ValueError(
            f"Unknown config.model.conv {conv!r}. Available: {', '.join(CONVOLUTIONS)}."
        )
