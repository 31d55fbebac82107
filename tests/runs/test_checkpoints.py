"""Checkpoints: written whole, read back bit for bit, the last ones kept."""

import os
from contextlib import closing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.runs.checkpoints import CheckpointError, Checkpoints, check_folder
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


def test_a_checkpoint_is_on_the_disk_before_anything_goes_on(tmp_path, monkeypatch):
    """A power cut loses what was not brought there: every file, and every name."""
    synced, sync = set(), os.fsync

    def spy(opened):
        synced.add(os.fstat(opened).st_ino)
        sync(opened)

    monkeypatch.setattr(os, "fsync", spy)
    folder = tmp_path / "run" / "checkpoints"
    with closing(Checkpoints(folder, keep=1)) as checkpoints:
        checkpoints.save(1, jax.tree.map(jnp.asarray, state(2.0)))
    kept = [folder, folder / "1", *(folder / "1").rglob("*")]
    assert len(kept) > 8
    assert [path for path in kept if path.stat().st_ino not in synced] == []


def test_a_checkpoint_that_is_not_written_is_an_error(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(2.0))
    with closing(Checkpoints(tmp_path / "checkpoints", keep=2)) as checkpoints:
        checkpoints.save(2, saved)
        with pytest.raises(CheckpointError, match="of epoch 1, was not written"):
            checkpoints.save(1, saved)
        assert checkpoints.kept == [2]


def test_a_checkpoint_that_appears_while_it_is_written_is_an_error(tmp_path):
    """A double of Orbax, which then cannot rename what it has written."""

    def save(*_, **__):
        raise FileExistsError("Destination already exists")

    saved = jax.tree.map(jnp.asarray, state(2.0))
    with closing(Checkpoints(tmp_path / "checkpoints", keep=2)) as checkpoints:
        checkpoints._checkpointer.save = save
        with pytest.raises(CheckpointError, match="of epoch 1, has appeared while"):
            checkpoints.save(1, saved)


def damage(folder):
    for file in folder.rglob("*"):
        if file.is_file():
            file.write_bytes(b"")


def files(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_damaged_checkpoint_is_named_and_can_be_set_aside(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(2.0))
    checkpoints = Checkpoints(tmp_path / "run" / "checkpoints", keep=2)
    for number in (1, 2):
        checkpoints.save(number, saved)
    checkpoints.close()
    damage(tmp_path / "run" / "checkpoints" / "2")
    again = Checkpoints(tmp_path / "run" / "checkpoints", keep=2)
    assert again.kept == [1, 2]
    with pytest.raises(CheckpointError, match=r"run .*run, of epoch 2, cannot be read"):
        again.load(2, saved)
    before = files(tmp_path / "run" / "checkpoints" / "2")
    away = again.set_aside(2)
    assert away == tmp_path / "run" / "checkpoint-2-unreadable"
    assert files(away) == before
    again.reload()
    assert again.kept == [1]
    jax.tree.map(np.testing.assert_array_equal, again.load(1, saved), saved)
    again.save(2, saved)
    jax.tree.map(np.testing.assert_array_equal, again.load(2, saved), saved)
    assert again.set_aside(2).name == "checkpoint-2-unreadable-2"
    assert files(away) == before
    again.close()


def test_a_whole_checkpoint_is_known_without_its_network(tmp_path):
    saved = jax.tree.map(jnp.asarray, state(2.0))
    folder = tmp_path / "checkpoints"
    with closing(Checkpoints(folder, keep=2)) as checkpoints:
        for number in (1, 2):
            checkpoints.save(number, saved, run="r")
        assert checkpoints.is_whole(2, run="r")
        assert not checkpoints.is_whole(2, run="another")
        assert not checkpoints.is_whole(3, run="r")
        damage(folder / "2")
        assert not checkpoints.is_whole(2, run="r")
        (path,) = folder.glob("1/_CHECKPOINT_METADATA")
        path.write_text(path.read_text().replace('"seal"', '"no seal"'))
        assert not checkpoints.is_whole(1, run="r")


@pytest.mark.parametrize("name", ["sweep[lr=0.05]", "a*b", "really?", "[x]/run"])
def test_a_folder_whose_checkpoints_would_be_lost_is_refused(tmp_path, name):
    with pytest.raises(CheckpointError, match=r"takes for a pattern.*--workdir"):
        check_folder(tmp_path / name)
    for usual in ("lr=0.05", "a b", "x,y;z", "{x}", "ä", "100%", "]"):
        check_folder(tmp_path / usual)
