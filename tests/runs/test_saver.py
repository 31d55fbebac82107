"""Checkpoints that are written while training goes on."""

import threading
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.runs.checkpoints import CheckpointError, Checkpoints
from ncjax.runs.saver import Saver
from tests.runs.test_checkpoints import state


class Double(Checkpoints):
    """Checkpoints that wait to be let go, and keep what they were given."""

    latest = None

    def __init__(self, clock=None, seconds=0.0):
        self.go, self.given = threading.Event(), {}
        self.clock, self.seconds = clock, seconds

    def save(self, number, state, *, run, rows):
        if self.clock is None:
            assert self.go.wait(60)
        else:
            self.clock.now += self.seconds
        if number < 0:
            raise CheckpointError(f"{number} was not written")
        self.given[number] = state, run, rows


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_training_goes_on_while_a_checkpoint_is_written():
    """What is written is the state of its epoch, though that was donated meanwhile."""
    double, given = Double(), jax.tree.map(jnp.asarray, state(2.0))
    saver = Saver(double)
    change = jax.jit(lambda x: jax.tree.map(lambda y: y * 0, x), donate_argnums=0)
    saver.save(3, given, run="r", rows={"": "row"})
    jax.block_until_ready(change(given))
    assert double.given == {}
    double.go.set()
    saver.close()
    assert saver.latest == 3
    written, *others = double.given[3]
    assert others == ["r", {"": "row"}]
    jax.tree.map(np.testing.assert_array_equal, written, state(2.0))


def test_the_next_waits_for_the_one_before():
    double = Double()
    saver = Saver(double)
    threading.Timer(0.2, double.go.set).start()
    for epoch in (1, 2):
        saver.save(epoch, state(1.0), run="", rows={})
    assert 1 in double.given
    saver.close()
    assert list(double.given) == [1, 2]


@pytest.mark.parametrize("after", ["check", "wait", "save", "close"])
def test_an_error_is_raised_once_by_whatever_comes_next(after):
    double = Double()
    double.go.set()
    saver = Saver(double)
    saver.save(-1, state(1.0), run="", rows={})
    saver._thread.submit(lambda: None).result()  # by now it has failed
    arguments = {"args": (2, state(1.0)), "kwargs": {"run": "", "rows": {}}}
    given = arguments if after == "save" else {"args": (), "kwargs": {}}
    with pytest.raises(CheckpointError, match="-1 was not written"):
        getattr(saver, after)(*given["args"], **given["kwargs"])
    saver.close()


def test_checkpoints_take_their_share_of_the_time():
    clock = Clock()
    saver = Saver(Double(clock, seconds=2.0), max_share=0.1, clock=clock)
    assert saver.due()
    saver.save(1, state(1.0), run="", rows={})
    saver.wait()  # until 2
    for now, due in [(2, False), (19.9, False), (20, True)]:
        clock.now = now
        assert saver.due() is due
    saver.close()


def test_none_is_due_while_one_is_written():
    double, clock = Double(), Clock()
    saver = Saver(double, max_share=0.5, clock=clock)
    saver.save(1, state(1.0), run="", rows={})
    clock.now = 1e9
    assert not saver.due()
    double.go.set()
    saver.close()


def test_with_the_whole_time_all_are_written():
    saver = Saver(Double(), max_share=1.0)
    saver.save(1, state(1.0), run="", rows={})
    assert saver.due()
    saver._checkpoints.go.set()
    saver.close()


def test_what_is_written_is_read_back(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(1 / 3, {"loss.beta": 4.0}))
    with closing(Checkpoints(tmp_path / "checkpoints", keep=2)) as checkpoints:
        saver = Saver(checkpoints)
        for epoch in (1, 2, 3):
            saver.save(epoch, saved, run="r", rows={"": "row\n"})
        saver.close()
        assert checkpoints.kept == [2, 3]
        like = jax.tree.map(jnp.zeros_like, saved)
        found = checkpoints.load(3, like, run="r")
        assert {type(leaf) for leaf in jax.tree.leaves(found)} == {type(like.step)}
        jax.tree.map(np.testing.assert_array_equal, found, saved)
        assert checkpoints.rows(3, run="r") == {"": "row\n"}
