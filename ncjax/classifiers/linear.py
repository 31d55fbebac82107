"""The linear classifier: one layer, or one for each level with split features."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype

from ncjax.classifiers.classifier import LAYER, Classifier
from ncjax.losses.outputs import Outputs


class LinearLayer(nn.Module):
    """Features [n, d] -> outputs [n, M].

    With `outputs` a tuple (M_1, ..., M_L) there is a head for each entry, M their sum,
    and the features are split evenly into L parts.  Head l sees parts 1..l, but sends a
    gradient only into part l, so that finer heads do not disturb the features of
    coarser ones (Chang et al., CVPR 2021).

    The parameters are those of a Dense layer, `kernel` [d, M] and `bias` [M]; entries
    of the kernel that no head reads are 0 and stay so.

    Attributes:
        outputs: M, or the number of outputs of each head.
        dtype: type of the computation; the parameters are float32.
        axis_name: not used here; other classifiers average over the devices.
        least_width: the least number of features; with fewer it is refused.
    """

    outputs: int | tuple[int, ...]
    dtype: Dtype = jnp.float32
    axis_name: str | None = None
    least_width: int = 1

    @nn.compact
    def __call__(
        self,
        features: jax.Array,
        train: bool = False,
        labels: jax.Array | None = None,
    ) -> jax.Array:
        """Features [n, d] -> outputs [n, M], in training and in evaluation alike."""
        sizes = (self.outputs,) if isinstance(self.outputs, int) else self.outputs
        columns = list(accumulate(sizes, initial=0))
        width = features.shape[-1]
        if width < self.least_width:
            raise ValueError(
                f"The loss needs at least {self.least_width} features, and the network "
                f"has {width}. Choose a wider network, or a tree with fewer nodes."
            )
        rows = [round(width * part / len(sizes)) for part in range(len(sizes) + 1)]
        if rows != sorted(set(rows)):
            raise ValueError(
                f"{width} features cannot be split between {len(sizes)} heads; choose "
                "a larger feature width."
            )

        def initialise(key, shape, dtype=jnp.float32):
            kernel = nn.initializers.lecun_normal()(key, shape, dtype)
            for part in range(1, len(sizes)):
                unread = slice(columns[part - 1], columns[part])
                kernel = kernel.at[rows[part] :, unread].set(0)
            return kernel

        kernel = self.param("kernel", initialise, (width, columns[-1]))
        bias = self.param("bias", nn.initializers.zeros_init(), (columns[-1],))
        x, kernel, bias = (a.astype(self.dtype) for a in (features, kernel, bias))
        if len(sizes) == 1:
            return x @ kernel + bias[None]
        outputs = []
        for part in range(len(sizes)):
            coarser, own, _ = jnp.split(x, rows[part : part + 2], axis=1)
            seen = jnp.concatenate([jax.lax.stop_gradient(coarser), own], axis=1)
            used = kernel[: rows[part + 1], columns[part] : columns[part + 1]]
            outputs.append(seen @ used)
        return jnp.concatenate(outputs, axis=1) + bias[None]


def linear(num_classes: int, *, outputs: Outputs | None = None) -> Classifier:
    """A learned linear layer, outputs = W h + b.

    Args:
        num_classes: K, the number of classes.
        outputs: what the outputs mean to a loss that asks for others than one logit
            for each class; None for the K logits.

    Returns:
        The classifier; its `weights` are those of the K logits, also where these are
        sums of several outputs (the readout of `Outputs`).
    """
    chosen = outputs or Outputs(num_classes, lambda logits: logits)

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        layer = variables["params"][LAYER]
        weights, bias = layer["kernel"].T, layer["bias"]
        if chosen.readout is None:
            return weights, bias
        table = jnp.asarray(chosen.readout, jnp.float32)
        return table @ weights, table @ bias

    layer = partial(LinearLayer, chosen.size, least_width=chosen.least_width)
    return Classifier(layer, chosen.scores, weights)
