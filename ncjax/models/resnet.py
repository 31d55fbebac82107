"""Residual networks with the CIFAR stem (3x3 convolution, no pooling)."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.models.heads import Classifier

_he_normal = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    channels: int
    stride: int
    dtype: Dtype
    axis_name: str | None

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[n, h, w, c] -> [n, h/stride, w/stride, channels]."""
        conv = partial(
            nn.Conv, use_bias=False, kernel_init=_he_normal, dtype=self.dtype
        )
        norm = partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=0.9,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )
        strides = (self.stride, self.stride)
        y = conv(self.channels, (3, 3), strides, padding=1, name="conv1")(x)
        y = nn.relu(norm(name="norm1")(y))
        y = conv(self.channels, (3, 3), padding=1, name="conv2")(y)
        y = norm(name="norm2")(y)
        if x.shape != y.shape:
            x = conv(self.channels, (1, 1), strides, name="shortcut_conv")(x)
            x = norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Stem, stages of basic blocks, global average pool, linear classifier.

    The pooled output of the last block is the feature vector.
    """

    outputs: int | tuple[int, ...]
    blocks: tuple[int, ...]
    width: int
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, train: bool) -> tuple[jax.Array, jax.Array]:
        """Images [n, h, w, c], normalised -> logits [n, M], features [n, d]."""
        x = images.astype(self.dtype)
        x = nn.Conv(
            self.width,
            (3, 3),
            padding=1,
            use_bias=False,
            kernel_init=_he_normal,
            dtype=self.dtype,
            name="stem_conv",
        )(x)
        x = nn.BatchNorm(
            use_running_average=not train,
            momentum=0.9,
            dtype=self.dtype,
            axis_name=self.axis_name,
            name="stem_norm",
        )(x)
        x = nn.relu(x)
        self.sow("layers", "out_stem", x)
        for i, count in enumerate(self.blocks):
            for j in range(count):
                x = BasicBlock(
                    channels=self.width * 2**i,
                    stride=2 if i > 0 and j == 0 else 1,
                    dtype=self.dtype,
                    axis_name=self.axis_name,
                    name=f"stage{i + 1}_block{j + 1}",
                )(x, train)
                self.sow("layers", f"out_stage{i + 1}_block{j + 1}", x)
        x = x.mean(axis=(1, 2))
        logits = Classifier(self.outputs, self.dtype, name="classifier")(x)
        return logits, x


def resnet18(
    outputs: int | tuple[int, ...],
    *,
    width: float = 1.0,
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """ResNet-18, 64 to 512 channels times `width`; feature width d = 512 * `width`.

    Raises:
        ValueError: if `width` leaves no channel.

    References:
        He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    """
    channels = round(64 * width)
    if channels < 1:
        raise ValueError(
            f"model.width multiplies 64 channels and must leave at least 1, got {width}"
        )
    return ResNet(outputs, (2, 2, 2, 2), channels, dtype, axis_name)
