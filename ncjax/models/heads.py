"""The last layer: one linear classifier, or one for each level with split features."""

from __future__ import annotations

from itertools import accumulate

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax.typing import Dtype


class Classifier(nn.Module):
    """Features [n, d] -> outputs [n, M].

    With `outputs` a tuple (M_1, ..., M_L) there is a head for each entry, M their sum,
    and the features are split evenly into L parts.  Head l sees parts 1..l, but sends a
    gradient only into part l, so that finer heads do not disturb the features of
    coarser ones (Chang et al., CVPR 2021).

    The parameters are those of a Dense layer, `kernel` [d, M] and `bias` [M]; entries
    of the kernel that no head reads are 0 and stay so.
    """

    outputs: int | tuple[int, ...]
    dtype: Dtype = jnp.float32

    @nn.compact
    def __call__(self, features: jax.Array) -> jax.Array:
        """Features [n, d] -> outputs [n, M]."""
        sizes = (self.outputs,) if isinstance(self.outputs, int) else self.outputs
        columns = list(accumulate(sizes, initial=0))
        width = features.shape[-1]
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
            return x @ kernel + bias
        logits = []
        for part in range(len(sizes)):
            coarser = jax.lax.stop_gradient(x[:, : rows[part]])
            own = x[:, rows[part] : rows[part + 1]]
            seen = jnp.concatenate([coarser, own], axis=1)
            used = kernel[: rows[part + 1], columns[part] : columns[part + 1]]
            logits.append(seen @ used)
        return jnp.concatenate(logits, axis=1) + bias
