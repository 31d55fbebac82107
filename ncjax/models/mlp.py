"""Multilayer perceptron."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import Classifier
from ncjax.models.last import last_layer


class MLP(nn.Module):
    """Dense layers, each followed by (batch norm and) ReLU, then the classifier.

    The output of the last hidden layer, after ReLU, is the feature vector.
    """

    classifier: Classifier | int
    widths: tuple[int, ...] = (512, 512)
    batch_norm: bool = True
    dtype: Dtype = jnp.float32
    axis_name: str | None = None  # of `pmap` or `shard_map`; under `jit` leave it out

    @nn.compact
    def __call__(
        self, images: jax.Array, train: bool, labels: jax.Array | None = None
    ) -> tuple[jax.Array, jax.Array]:
        """Images [n, h, w, c], normalised -> outputs [n, M], features [n, d]."""
        x = images.reshape(len(images), -1).astype(self.dtype)
        for i, width in enumerate(self.widths, 1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense{i}")(x)
            if self.batch_norm:
                x = nn.BatchNorm(
                    use_running_average=not train,
                    momentum=0.9,
                    dtype=self.dtype,
                    axis_name=self.axis_name,
                    name=f"norm{i}",
                )(x)
            x = nn.relu(x)
            self.sow("layers", f"out_dense{i}", x)
        classify = last_layer(self.classifier, self.dtype, self.axis_name)
        return classify(x, train=train, labels=labels), x


def mlp(
    classifier: Classifier | int,
    *,
    widths: tuple[int, ...] = (512, 512),
    batch_norm: bool = True,
    dtype: Dtype = jnp.float32,
    axis_name: str | None = None,
) -> nn.Module:
    """Multilayer perceptron.

    Args:
        classifier: what the last layer is, or its number of outputs if it is linear.
        widths: widths of the hidden layers; the last of them is the feature width d.
        batch_norm: whether a batch norm follows each hidden layer.
        dtype: type of the computation; parameters are float32.
        axis_name: name of the mapped axis under `pmap` or `shard_map`; under `jit`
            leave it out.

    Raises:
        ValueError: if there is no hidden layer or a width is below 1.
    """
    if not widths or min(widths) < 1:
        raise ValueError(
            f"model.widths must hold at least one width, each at least 1, got {widths}."
        )
    return MLP(classifier, tuple(widths), batch_norm, dtype, axis_name)
