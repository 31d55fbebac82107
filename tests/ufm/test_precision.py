"""Float64 whatever JAX's x64 mode: on the way in, inside, and on the way out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.ufm.precision import double, to_double

THIRD = 1 / 3


def test_a_function_runs_in_float64():
    third = double(lambda x: jnp.asarray(x) / 3)(1.0)
    assert isinstance(third, np.ndarray)
    assert third.dtype == np.float64
    assert float(third) == THIRD
    assert jnp.asarray(1.0).dtype == jnp.float32  # the mode is as it was


def test_under_x64_it_is_the_function_itself():
    with jax.enable_x64(True):
        assert isinstance(double(lambda x: jnp.asarray(x) / 3)(1.0), jax.Array)


def test_a_float32_transformation_around_it_is_refused():
    with pytest.raises(TypeError, match="enable_x64"):
        jax.jit(double(lambda x: x / 3))(1.0)


def test_reals_become_float64_and_the_rest_stays():
    key = jax.random.key(0)
    tree = {"x": jnp.float32(0.5), "y": 2.0, "n": 3, "key": key}
    found = to_double(tree)
    assert found["x"].dtype == found["y"].dtype == np.float64
    assert found["n"] == 3
    assert found["key"] is key


def test_traced_float32_values_are_refused():
    with pytest.raises(TypeError, match="float32; these models need float64"):
        jax.jit(to_double)(jnp.float32(1))
