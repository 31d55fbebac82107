"""Units of length: powers of 2 that have an inverse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ncjax.units import common_unit, inverse_unit, unit_near

near = jax.jit(unit_near, static_argnames="step")


@settings(max_examples=50, deadline=None)
@given(exponent=st.integers(-125, 127), mantissa=st.floats(0.5, 0.99))
def test_a_unit_is_near_and_exact(exponent, mantissa):
    size = np.ldexp(np.float32(mantissa), exponent)
    for step in (1, 32):
        unit = near(size, step=step)
        assert np.frexp(unit)[0] == 0.5
        assert unit * inverse_unit(unit) == 1
        most = 2.0 ** (step / 2 + (32 if abs(exponent) > 90 else 1))
        assert 1 / most <= size / unit <= most


def test_ordinary_sizes_have_the_unit_1():
    for size in (2.0**-17, 1e-4, 1.0, 100.0, 2.0**16 - 1):
        assert near(size, step=32) == 1
    assert near(0.0) == 0
    assert inverse_unit(jnp.float32(0)) == 1
    assert jax.grad(unit_near)(3.0) == 0
    with jax.enable_x64(True):
        assert near(1e300, step=32) == pytest.approx(2.0**992)


def test_squares_follow_the_larger_unit():
    unit, inverse, factor = common_unit(jnp.float32(2.0**-32), jnp.float32(1))
    assert (unit, inverse, factor) == (1, 1, 2.0**-64)
    assert common_unit(jnp.float32(0), jnp.float32(4))[2] == 0
