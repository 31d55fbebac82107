"""Units of length for features: powers of 2 that keep squares in range.

In float32 the square of 1e20 is infinite and that of 1e-20 is 0.  So lengths are
divided by a unit before they are squared; as it is a power of 2, no digit is lost.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Scalar = Float[Array, ""]


def unit_near(size: Scalar, step: int = 1) -> Scalar:
    """2 to that multiple of `step` for which 2^(-step/2) <= size/unit < 2^(step/2).

    0 for 0; without a gradient.

    Args:
        size: a length, such as the largest entry of some rows.
        step: 1 for a unit of this very size; more, so that sizes that differ by less
            than 2^step mostly share a unit, and those near 1 have the unit 1.
    """
    size = jax.lax.stop_gradient(size)
    _, exponent = jnp.frexp(size)
    most = (jnp.finfo(size.dtype).maxexp - 2) // step
    steps = jnp.clip(jnp.round(exponent / step).astype(jnp.int32), -most, most)
    return jnp.where(size > 0, jnp.ldexp(jnp.ones_like(size), steps * step), 0)


def inverse_unit(unit: Scalar) -> Scalar:
    """1 / unit; 1 if the unit is 0, that of no features."""
    return 1 / jnp.where(unit > 0, unit, 1)


def common_unit(own: Scalar, other: Scalar) -> tuple[Scalar, Scalar, Scalar]:
    """The larger unit, its inverse, and the factor to it of squares in the own unit."""
    unit = jnp.maximum(own, other)
    # Not one product: XLA squares both factors first, and 0 * infinity is NaN.
    share = jnp.where(own == unit, 1, own / jnp.where(unit > 0, unit, 1))
    return unit, inverse_unit(unit), share**2
