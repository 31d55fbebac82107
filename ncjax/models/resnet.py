"""Residual networks: ResNet-18, -34, -50 and ResNeXt-50.

References:
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import Classifier
from ncjax.models.layers import (
    ConvNet,
    Make,
    check_options,
    scaled,
    stem_conv,
    stem_pool,
)


class Block(nn.Module):
    """Convolutions and a shortcut: [n, h, w, c] -> [n, h/stride, w/stride, out]."""

    conv: Make
    norm: Make
    channels: int
    out_channels: int
    stride: int
    groups: int  # groups of channels in the 3x3 convolution of a bottleneck

    def with_shortcut(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """The sum of the input x, projected if it has another shape, and of y."""
        if x.shape != y.shape:
            strides = (self.stride, self.stride)
            x = self.conv(self.out_channels, (1, 1), strides, name="shortcut_conv")(x)
            x = self.norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class BasicBlock(Block):
    """Two 3x3 convolutions and a shortcut."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        conv, norm, strides = self.conv, self.norm, (self.stride, self.stride)
        y = conv(self.channels, (3, 3), strides, padding=1, name="conv1")(x)
        y = nn.relu(norm(name="norm1")(y))
        y = conv(self.out_channels, (3, 3), padding=1, name="conv2")(y)
        return self.with_shortcut(x, norm(name="norm2")(y))


class Bottleneck(Block):
    """1x1, 3x3 (in groups) and 1x1 convolutions and a shortcut.

    The 3x3 convolution has the stride, as in today's implementations.
    """

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        norm, strides = self.norm, (self.stride, self.stride)
        grouped = partial(self.conv, feature_group_count=self.groups)
        y = self.conv(self.channels, (1, 1), name="conv1")(x)
        y = nn.relu(norm(name="norm1")(y))
        y = grouped(self.channels, (3, 3), strides, padding=1, name="conv2")(y)
        y = nn.relu(norm(name="norm2")(y))
        y = self.conv(self.out_channels, (1, 1), name="conv3")(y)
        return self.with_shortcut(x, norm(name="norm3")(y))


class ResNet(ConvNet):
    """Stem, four stages of blocks, global average pool, classifier.

    The pooled output of the last block is the feature vector.  With `feature_dim` the
    last convolution of that block is narrowed to it, and its shortcut projected.
    """

    blocks: tuple[int, ...]  # number of blocks in each stage
    width: int  # channels of the stem
    bottleneck: int = 0  # channels inside the first bottleneck; 0: basic blocks
    groups: int = 1  # groups of channels in the 3x3 convolution of a bottleneck
    stem: str = "cifar"

    def hidden(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [n, h, w, c] -> feature map."""
        conv, norm = self.conv, self.norm(train)
        x = stem_conv(conv, self.width, self.stem)(x)
        x = stem_pool(nn.relu(norm(name="stem_norm")(x)), self.stem)
        self.sow("layers", "out_stem", x)
        block, factor = (Bottleneck, 4) if self.bottleneck else (BasicBlock, 1)
        for i, count in enumerate(self.blocks):
            for j in range(count):
                last = (i + 1, j + 1) == (len(self.blocks), count)
                name = f"stage{i + 1}_block{j + 1}"
                x = block(
                    conv,
                    norm,
                    channels=(self.bottleneck or self.width) * 2**i,
                    out_channels=(self.feature_dim if last else 0)
                    or self.width * 2**i * factor,
                    stride=2 if i > 0 and j == 0 else 1,
                    groups=self.groups,
                    name=name,
                )(x)
                self.sow("layers", f"out_{name}", x)
        return x


def resnet(
    blocks: tuple[int, ...],
    groups: int | None,
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
) -> ResNet:
    """Residual network with 64 * `width` channels in its stem.

    Args:
        blocks: number of blocks in each stage.
        groups: None for basic blocks, 1 for bottlenecks, more for bottlenecks with 3x3
            convolutions in `groups` * `width` groups, which have 4 channels in the
            first stage, 32 in the last, whatever the width.
        classifier: what the last layer is, or its number of outputs if it is linear.
        width: multiplies all channels.
        feature_dim: width d of the features, by narrowing the last convolution; 0 for
            512 * `width`, or 2048 * `width` with bottlenecks.
        stem: "cifar" (3x3 convolution, no pooling) or "imagenet".
        conv: how to convolve, "auto", "xla" or "matmul"; see `ncjax.models.conv`.
        dtype: type of the computation; parameters are float32.

    Raises:
        ValueError: if an option is out of its range.
    """
    check_options(feature_dim, conv, stem)
    channels = inner = scaled(64, width)
    if groups is None:
        inner, groups = 0, 1
    elif groups > 1:
        groups = scaled(groups, width)
        inner = 4 * groups
    return ResNet(
        classifier,
        blocks,
        channels,
        inner,
        groups,
        stem,
        feature_dim=feature_dim,
        dtype=dtype,
        method=conv,
    )


resnet18 = partial(resnet, (2, 2, 2, 2), None)
resnet34 = partial(resnet, (3, 4, 6, 3), None)
resnet50 = partial(resnet, (3, 4, 6, 3), 1)
resnext50 = partial(resnet, (3, 4, 6, 3), 32)  # 32x4d
