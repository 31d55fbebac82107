"""Programs compiled in haste say what the others say."""

import jax
import jax.numpy as jnp
import pytest

from ncjax.compiling import quick, quick_jit


def test_only_a_cpu_compiles_in_haste():
    assert quick("gpu") == quick("tpu") == {}
    assert quick("cpu")["xla_backend_optimization_level"] == 0


def test_xla_knows_the_options():
    compiled = jax.jit(jnp.sin, compiler_options=quick("cpu")).lower(1.0).compile()
    assert compiled(1.0) == pytest.approx(0.841471)


def test_static_arguments_and_one_program_for_equal_shapes():
    traced = []

    def power(x, *, exponent):
        traced.append(exponent)
        return x**exponent

    program = quick_jit(power, static_argnames="exponent")
    assert traced == []
    assert [float(program(x, exponent=3)) for x in (2.0, 3.0)] == [8, 27]
    assert traced == [3]
