"""Multilayer perceptron."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers import Classifier
from ncjax.models.network import WIDEST, Network


class MLP(Network):
    """Dense layers, each followed by (batch norm and) ReLU, then the classifier.

    The output of the last hidden layer, after ReLU, is the feature vector.
    """

    widths: tuple[int, ...] = (128, 128, 64)
    batch_norm: bool = True

    def hidden(self, x: jax.Array, train: bool) -> jax.Array:
        """Images [n, h, w, c] -> features [n, d]."""
        x = x.reshape(len(x), -1)
        norm = self.norm(train)
        for i, width in enumerate(self.widths, 1):
            x = nn.Dense(width, dtype=self.dtype, name=f"dense{i}")(x)
            x = nn.relu(norm(name=f"norm{i}")(x) if self.batch_norm else x)
            self.sow("layers", f"out_dense{i}", x)
        return x


def mlp(
    classifier: Classifier | int,
    *,
    widths: tuple[int, ...] = (128, 128, 64),
    batch_norm: bool = True,
    dtype: Dtype = jnp.float32,
) -> nn.Module:
    """Multilayer perceptron.

    Args:
        classifier: what the last layer is, or its number of outputs if it is linear.
        widths: widths of the hidden layers; the last of them is the feature width d.
        batch_norm: whether a batch norm follows each hidden layer.
        dtype: type of the computation; parameters are float32.

    Raises:
        ValueError: if there is no hidden layer, a width is below 1 or beyond `WIDEST`.
    """
    if not widths or min(widths) < 1 or max(widths) > WIDEST:
        raise ValueError(
            "model.widths must hold at least one width, each at least 1 and at most "
            f"{WIDEST}, got {widths}."
        )
    return MLP(classifier, tuple(widths), batch_norm, dtype=dtype)
