"""What all networks share: the way from images to features, and the last layer."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY
from functools import partial

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import LAYER, Classifier, linear

WIDEST = 10**7  # units or channels of a layer, at most


class Network(nn.Module):
    """Features of images, and the classifier on them; a subclass has `hidden`.

    Attributes:
        classifier: what the last layer is, or its number of outputs if it is linear.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis under `pmap` or `shard_map`; under `jit`
            leave it out.
    """

    classifier: Classifier | int
    _: KW_ONLY
    dtype: Dtype = jnp.float32
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool, labels: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Images [n, h, w, c], normalised -> outputs [n, M], features [n, d]."""
        x = self.hidden(images.astype(self.dtype), train)
        if x.ndim == 4:
            x = x.mean(axis=(1, 2))
        if isinstance(self.classifier, Classifier) and self.classifier.project:
            width = self.classifier.project
            x = nn.Dense(width, dtype=self.dtype, name="projection")(x)
        classify = last_layer(self.classifier, self.dtype, self.axis_name)
        return classify(x, train=train, labels=labels), x

    @abstractmethod
    def hidden(self, x: jax.Array, train: bool) -> jax.Array:
        """Images -> features [n, d], or a feature map [n, h, w, d], to be averaged."""

    def norm(self, train: bool) -> Callable[..., nn.Module]:
        """What makes a batch norm, whose running statistics keep 0.9 in each step.

        Args:
            train: whether to normalise by the statistics of the batch, and update the
                running ones; else by the running ones.
        """
        return partial(
            nn.BatchNorm,
            use_running_average=not train,
            momentum=0.9,
            dtype=self.dtype,
            axis_name=self.axis_name,
        )


def last_layer(
    classifier: Classifier | int, dtype: Dtype, axis_name: str | None
) -> nn.Module:
    """The module that makes outputs of the features; call it in `nn.compact`.

    Args:
        classifier: what the last layer is; a number means a linear layer with that many
            outputs.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis under `pmap` or `shard_map`, else None.
    """
    if not isinstance(classifier, Classifier):
        classifier = linear(classifier)
    return classifier.layer(dtype=dtype, axis_name=axis_name, name=LAYER)
