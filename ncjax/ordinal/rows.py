"""An ordinal classifier as a linear one, with a row for each level, and back.

The score of level k is k z - (b_1 + ... + b_k).  That of k is larger than that of k - 1
where z > b_k: the largest is that of the level whose thresholds z lies between.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def to_rows(
    direction: Float[Array, "d"], thresholds: Float[Array, "t"]
) -> tuple[Float[Array, "K d"], Float[Array, "K"]]:
    """W [K, d] and b [K] of the scores k w . h - (b_1 + ... + b_k)."""
    steps = jnp.arange(len(thresholds) + 1, dtype=direction.dtype)
    sums = jnp.cumsum(thresholds)
    return steps[:, None] * direction[None], -jnp.concatenate([0 * sums[:1], sums])


def of_rows(
    weights: Float[Array, "K d"], bias: Float[Array, "K"]
) -> tuple[Float[Array, "d"], Float[Array, "t"]]:
    """The direction w [d] and the thresholds [K - 1] of which `to_rows` made these."""
    return weights[1] - weights[0], -jnp.diff(bias)


def median_level(scores: Float[Array, "n K"]) -> jax.Array:
    """The median [n] of the levels with probabilities softmax(scores).

    It has the least expected absolute error.
    """
    below = jnp.cumsum(jax.nn.softmax(scores, axis=1), axis=1)
    return jnp.sum(below[:, :-1] < 0.5, axis=1)
