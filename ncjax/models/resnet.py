"""Residual networks: ResNet-18, -34, -50 and ResNeXt-50.

References:
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016.
    Xie et al., Aggregated Residual Transformations for Deep Neural Networks, CVPR 2017.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import Classifier
from ncjax.models.last import last_layer
from ncjax.models.layers import (
    check_options,
    conv_and_norm,
    scaled,
    stem_conv,
    stem_pool,
)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    channels: int
    out_channels: int
    stride: int
    dtype: Dtype
    axis_name: str | None
    method: str

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[n, h, w, c] -> [n, h/stride, w/stride, out_channels]."""
        conv, norm = conv_and_norm(train, self.dtype, self.axis_name, self.method)
        strides = (self.stride, self.stride)
        y = conv(self.channels, (3, 3), strides, padding=1, name="conv1")(x)
        y = nn.relu(norm(name="norm1")(y))
        y = conv(self.out_channels, (3, 3), padding=1, name="conv2")(y)
        y = norm(name="norm2")(y)
        if x.shape != y.shape:
            x = conv(self.out_channels, (1, 1), strides, name="shortcut_conv")(x)
            x = norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class Bottleneck(nn.Module):
    """1x1, 3x3 (in groups) and 1x1 convolutions and a shortcut.

    The 3x3 convolution has the stride, as in today's implementations.
    """

    channels: int
    out_channels: int
    stride: int
    dtype: Dtype
    axis_name: str | None
    method: str
    groups: int = 1

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """[n, h, w, c] -> [n, h/stride, w/stride, out_channels]."""
        conv, norm = conv_and_norm(train, self.dtype, self.axis_name, self.method)
        strides = (self.stride, self.stride)
        y = conv(self.channels, (1, 1), name="conv1")(x)
        y = nn.relu(norm(name="norm1")(y))
        y = conv(
            self.channels,
            (3, 3),
            strides,
            padding=1,
            feature_group_count=self.groups,
            name="conv2",
        )(y)
        y = nn.relu(norm(name="norm2")(y))
        y = conv(self.out_channels, (1, 1), name="conv3")(y)
        y = norm(name="norm3")(y)
        if x.shape != y.shape:
            x = conv(self.out_channels, (1, 1), strides, name="shortcut_conv")(x)
            x = norm(name="shortcut_norm")(x)
        return nn.relu(x + y)


class ResNet(nn.Module):
    """Stem, four stages of blocks, global average pool, classifier.

    The pooled output of the last block is the feature vector.  With `feature_dim` the
    last convolution of that block is narrowed to it, and its shortcut projected.
    """

    classifier: Classifier | int
    blocks: tuple[int, ...]  # number of blocks in each stage
    width: int  # channels of the stem
    bottleneck: int = 0  # channels inside the first bottleneck; 0: basic blocks
    groups: int = 1  # groups of channels in the 3x3 convolution of a bottleneck
    feature_dim: int = 0
    stem: str = "cifar"
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    method: str = "auto"  # how to convolve

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool, labels: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Images [n, h, w, c], normalised -> outputs [n, M], features [n, d]."""
        conv, norm = conv_and_norm(train, self.dtype, self.axis_name, self.method)
        x = stem_conv(conv, self.width, self.stem)(images.astype(self.dtype))
        x = stem_pool(nn.relu(norm(name="stem_norm")(x)), self.stem)
        self.sow("layers", "out_stem", x)
        for i, count in enumerate(self.blocks):
            for j in range(count):
                last = (i + 1, j + 1) == (len(self.blocks), count)
                wide = self.width * 2**i * (4 if self.bottleneck else 1)
                options = {
                    "out_channels": (self.feature_dim if last else 0) or wide,
                    "stride": 2 if i > 0 and j == 0 else 1,
                    "dtype": self.dtype,
                    "axis_name": self.axis_name,
                    "method": self.method,
                    "name": f"stage{i + 1}_block{j + 1}",
                }
                if self.bottleneck:
                    inner = self.bottleneck * 2**i
                    block = Bottleneck(inner, groups=self.groups, **options)
                else:
                    block = BasicBlock(self.width * 2**i, **options)
                x = block(x, train)
                self.sow("layers", f"out_stage{i + 1}_block{j + 1}", x)
        x = x.mean(axis=(1, 2))
        classify = last_layer(self.classifier, self.dtype, self.axis_name)
        return classify(x, train=train, labels=labels), x


def resnet18(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """ResNet-18, 64 to 512 channels times `width`.

    Args:
        classifier: what the last layer is, or its number of outputs if it is linear.
        width: multiplies all channels.
        feature_dim: width d of the features, by narrowing the last convolution; 0 for
            512 * `width`.
        stem: "cifar" (3x3 convolution, no pooling) or "imagenet".
        conv: how to convolve, "auto", "xla" or "matmul"; see `ncjax.models.conv`.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis under `pmap` or `shard_map`; under `jit`
            leave it out.

    Raises:
        ValueError: if an option is out of its range.
    """
    return _resnet(
        classifier, (2, 2, 2, 2), width, feature_dim, stem, conv, dtype, axis_name
    )


def resnet34(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """ResNet-34; everything else as in `resnet18`."""
    return _resnet(
        classifier, (3, 4, 6, 3), width, feature_dim, stem, conv, dtype, axis_name
    )


def resnet50(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """ResNet-50 with bottlenecks: 2048 * `width` features; else as in `resnet18`."""
    model = _resnet(
        classifier, (3, 4, 6, 3), width, feature_dim, stem, conv, dtype, axis_name
    )
    return model.clone(bottleneck=model.width)


def resnext50(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """ResNeXt-50 (32x4d): `resnet50` with 3x3 convolutions in 32 * `width` groups.

    A group has 4 channels in the first stage, 32 in the last, whatever the width.
    """
    model = _resnet(
        classifier, (3, 4, 6, 3), width, feature_dim, stem, conv, dtype, axis_name
    )
    groups = scaled(32, width)
    return model.clone(bottleneck=4 * groups, groups=groups)


def _resnet(
    classifier, blocks, width, feature_dim, stem, conv, dtype, axis_name
) -> ResNet:
    check_options(feature_dim, conv, stem)
    return ResNet(
        classifier,
        blocks,
        scaled(64, width),
        feature_dim=feature_dim,
        stem=stem,
        dtype=dtype,
        axis_name=axis_name,
        method=conv,
    )
