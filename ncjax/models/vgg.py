"""VGG-13 with batch norm, in its CIFAR version."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import Classifier
from ncjax.models.layers import ConvNet, check_options, scaled


class VGG(ConvNet):
    """Stages of 3x3 convolutions, each ended by a 2x2 maximum, classifier.

    Without the hidden fully connected layers of the ImageNet version: the last feature
    map, 1x1 for images of 32x32, else averaged, is the feature vector.  With
    `feature_dim` the last convolution is narrowed to it.
    """

    stages: tuple[tuple[int, ...], ...]  # channels of the convolutions

    def hidden(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [n, h, w, c] -> feature map."""
        norm = self.norm(train)
        number, last = 0, sum(len(stage) for stage in self.stages)
        for stage in self.stages:
            for i, channels in enumerate(stage, 1):
                number += 1
                out = (self.feature_dim if number == last else 0) or channels
                # The bias has no effect before a batch norm and stays 0; it is there
                # because published numbers of parameters count it.
                name = f"conv{number}"
                x = self.conv(out, (3, 3), padding=1, use_bias=True, name=name)(x)
                x = nn.relu(norm(name=f"norm{number}")(x))
                if i == len(stage):  # an odd row or column makes a window of its own
                    x = nn.max_pool(x, (2, 2), (2, 2), padding="SAME")
                self.sow("layers", f"out_conv{number}", x)
        return x


def vgg13(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
) -> nn.Module:
    """VGG-13 with batch norm, 64 to 512 channels times `width`.

    Args:
        classifier: what the last layer is, or its number of outputs if it is linear.
        width: multiplies all channels.
        feature_dim: width d of the features, by narrowing the last convolution; 0 for
            512 * `width`.
        conv: how to convolve, "auto", "xla" or "matmul"; see `ncjax.models.conv`.
        dtype: type of the computation; parameters are float32.

    Raises:
        ValueError: if an option is out of its range.

    References:
        Simonyan & Zisserman, Very Deep Convolutional Networks for Large-Scale Image
        Recognition, ICLR 2015.
    """
    check_options(feature_dim, conv)
    stages = tuple((scaled(c, width),) * 2 for c in (64, 128, 256, 512, 512))
    return VGG(classifier, stages, feature_dim=feature_dim, dtype=dtype, method=conv)
