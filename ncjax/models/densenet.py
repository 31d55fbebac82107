"""DenseNet-121."""

from __future__ import annotations

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


class DenseLayer(nn.Module):
    """Norm, ReLU, 1x1 convolution, norm, ReLU, 3x3 convolution; appended to its input.

    The 1x1 convolution leaves at most 4 times as many channels as the layer adds.
    """

    conv: Make
    norm: Make
    growth: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[n, h, w, c] -> [n, h, w, c + growth]."""
        conv, norm = self.conv, self.norm
        y = nn.relu(norm(name="norm1")(x))
        y = conv(4 * self.growth, (1, 1), name="conv1")(y)
        y = nn.relu(norm(name="norm2")(y))
        y = conv(self.growth, (3, 3), padding=1, name="conv2")(y)
        return jnp.concatenate([x, y], axis=3)


class DenseNet(ConvNet):
    """Stem, stages of dense layers with transitions between them, classifier.

    A transition halves the channels (norm, ReLU, 1x1 convolution) and the image (2x2
    mean).  The last feature map, after norm and ReLU, averaged, is the feature vector.
    With `feature_dim` one more transition, to that many channels and without the 2x2
    mean, stands before that last norm: there is no last convolution to narrow, since
    the classifier sees what all layers of the stage have appended.
    """

    layers: tuple[int, ...]  # number of dense layers in each stage
    growth: int  # channels that a layer adds; the stem has twice as many
    stem: str = "cifar"

    def hidden(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [n, h, w, c] -> feature map."""
        conv, norm = self.conv, self.norm(train)

        def transition(x: jax.Array, stage: int, channels: int) -> jax.Array:
            x = nn.relu(norm(name=f"transition{stage}_norm")(x))
            return conv(channels, (1, 1), name=f"transition{stage}_conv")(x)

        x = stem_conv(conv, 2 * self.growth, self.stem)(x)
        if self.stem == "imagenet":  # the CIFAR stem is the convolution alone
            x = stem_pool(nn.relu(norm(name="stem_norm")(x)), self.stem)
        self.sow("layers", "out_stem", x)
        for i, count in enumerate(self.layers, 1):
            for j in range(1, count + 1):
                name = f"stage{i}_layer{j}"
                x = DenseLayer(conv, norm, self.growth, name=name)(x)
            if i < len(self.layers):
                self.sow("layers", f"out_stage{i}", x)
                x = transition(x, i, x.shape[3] // 2)
                x = nn.avg_pool(
                    x, (2, 2), (2, 2), padding="SAME", count_include_pad=False
                )
        if self.feature_dim:
            x = transition(x, len(self.layers), self.feature_dim)
        x = nn.relu(norm(name="last_norm")(x))
        self.sow("layers", f"out_stage{len(self.layers)}", x)
        return x


def densenet121(
    classifier: Classifier | int,
    *,
    width: float = 1.0,
    feature_dim: int = 0,
    stem: str = "cifar",
    conv: str = "auto",
    dtype: Dtype = jnp.float32,
) -> nn.Module:
    """DenseNet-121: each layer adds 32 * `width` channels.

    Args:
        classifier: what the last layer is, or its number of outputs if it is linear.
        width: multiplies all channels.
        feature_dim: width d of the features, by one more transition; 0 for
            1024 * `width`.
        stem: "cifar" (3x3 convolution, no pooling) or "imagenet".
        conv: how to convolve, "auto", "xla" or "matmul"; see `ncjax.models.conv`.
        dtype: type of the computation; parameters are float32.

    Raises:
        ValueError: if an option is out of its range.

    References:
        Huang et al., Densely Connected Convolutional Networks, CVPR 2017.
    """
    check_options(feature_dim, conv, stem)
    return DenseNet(
        classifier,
        (6, 12, 24, 16),
        scaled(32, width),
        stem,
        feature_dim=feature_dim,
        dtype=dtype,
        method=conv,
    )
