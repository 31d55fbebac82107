"""Programs compiled in haste say what the others say."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.compiling import in_turn, quick, quick_jit
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.training.experiment import Experiment
from tests.thin import thin


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


def numbers_of(a):
    """Two decompositions that do not wait for each other."""
    return jnp.linalg.svd(a, compute_uv=False), jnp.linalg.qr(a, mode="r")


def test_in_turn_decomposes_one_matrix_at_a_time():
    """Batches wait in the threads that are to work on them (see `in_turn`)."""
    batch = jax.random.normal(jax.random.key(0), (3, 5, 4))
    together, one_by_one = jax.jit(jax.vmap(numbers_of)), jax.vmap(in_turn(numbers_of))
    assert set(decomposed(together.lower(batch))) == {3}
    assert set(decomposed(jax.jit(one_by_one).lower(batch))) == {2}
    for got, *expected in zip(one_by_one(batch), *map(numbers_of, batch), strict=True):
        np.testing.assert_array_equal(got, np.stack(expected))


@pytest.mark.parametrize("layers", thin(["last", "all"], keep={1}))
@pytest.mark.parametrize("buffer", [0, pytest.param(100, marks=pytest.mark.slow)])
def test_many_networks_are_measured_without_batches_of_matrices(layers, buffer):
    config = default()
    config.num_seeds, config.data.examples_per_class = 3, 20
    config.model.widths = (16, 8)
    config.eval.layers, config.eval.buffer_mb = layers, buffer
    experiment = Experiment(config, load_data(config), jax.devices()[:1])
    state, measure = experiment.init(), experiment.run_evaluate
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    sets = experiment.train_set, experiment.test_set
    lowered = measure.lower(variables, *sets)
    for program in lowered:
        assert set(decomposed(program)) == {2}


def decomposed(lowered):
    """The number of axes of what each decomposition of a program is given."""
    given = re.findall(r"@lapack_.*: \(tensor<([\dx]+)x[a-z]", lowered.as_text())
    return [len(shape.split("x")) for shape in given]
