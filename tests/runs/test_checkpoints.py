"""Checkpoints: written whole, read back bit for bit, the last ones kept."""

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.runs.checkpoints import Checkpoints
from ncjax.training.step import TrainState


def state(value, hyper=None):
    params = {"kernel": jnp.full((2, 3), value), "bias": jnp.arange(3.0) * value}
    return TrainState(jnp.int32(7), params, {}, {"trace": -value}, hyper or {})


def test_what_is_saved_is_read_back(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(1 / 3))
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert checkpoints.latest is None
    for number in (1, 2, 5):
        checkpoints.save(number, saved)
    assert checkpoints.latest == 5
    assert checkpoints.kept == [2, 5]
    like = jax.tree.map(jnp.zeros_like, saved)
    jax.tree.map(np.testing.assert_array_equal, checkpoints.load(5, like), saved)
    checkpoints.close()


def test_numbers_in_which_networks_differ_are_kept_too(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(2.0, {"loss.beta": 4.0}))
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=1)
    checkpoints.save(1, saved)
    like = jax.tree.map(jnp.zeros_like, saved)
    assert checkpoints.load(1, like).hyper == {"loss.beta": 4.0}
    checkpoints.close()


def test_a_reader_finds_what_is_there(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(2.0))
    writer = Checkpoints(tmp_path / "checkpoints", keep=1)
    writer.save(3, saved)
    reader = Checkpoints(tmp_path / "checkpoints", keep=1, read_only=True)
    assert reader.latest == 3
    for one in (writer, reader):
        one.close()
