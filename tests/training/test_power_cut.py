"""After a power cut a run goes on bit for bit, from the last checkpoint on the disk."""

# ruff: noqa: F401, F811  (fixtures of another module)

import os
import random
import shutil

import pytest

from ncjax.runs.checkpoints import CheckpointError
from ncjax.runs.saver import Saver
from tests.thin import thin
from tests.training.power_cut import Disk
from tests.training.test_faults import EPOCHS, assert_same, runs, whole


def cut(runs, tmp_path, monkeypatch, points, **kind):
    """Copies of the disk at some points of a run: [(folder, last epoch of a save)].

    A point is the number of a sync, before which the power fails; one more is the end.
    """
    root = tmp_path / "root"
    root.mkdir()
    disk, found, saved = Disk(root, **kind), [], [0]
    write = Saver._write

    def written(self, epoch, *rest):
        write(self, epoch, *rest)
        saved.append(epoch)

    def before(number):
        if number in points:
            take(saved[-1])

    def take(epoch):
        found.append((tmp_path / f"cut-{len(found)}", epoch))
        disk.copy(found[-1][0])

    disk.before = before
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk.fsync)
        patch.setattr(Saver, "_write", written)
        runs.train(root / "run")
    take(EPOCHS)
    disk.close()
    return found, disk.syncs


def goes_on(runs, folder):
    """Goes on; the epoch after which."""
    try:
        return runs.train(folder)
    except CheckpointError:  # the first was half written: says so, and asks
        return runs.train(folder, restart_damaged=True)


def check(runs, whole, found):
    for place, saved in found:
        assert saved <= goes_on(runs, place / "run")
        assert_same(runs, place / "run", whole)
        shutil.rmtree(place)


@pytest.fixture(scope="module")
def syncs(runs, tmp_path_factory):
    """How often a run syncs."""
    with pytest.MonkeyPatch.context() as patch:
        return cut(runs, tmp_path_factory.mktemp("count"), patch, ())[1]


@pytest.mark.parametrize("names_at_once", thin([False, True], keep={0}))
def test_a_power_cut(runs, whole, syncs, tmp_path, monkeypatch, names_at_once):
    points = random.Random(7).sample(range(syncs), 1)
    found, _ = cut(runs, tmp_path, monkeypatch, points, names_at_once=names_at_once)
    assert len(found) == 2
    check(runs, whole, found)


@pytest.mark.slow
@pytest.mark.parametrize("names_at_once", [False, True])
def test_a_power_cut_anywhere(runs, whole, syncs, tmp_path, monkeypatch, names_at_once):
    points = range(syncs)
    found, _ = cut(runs, tmp_path, monkeypatch, points, names_at_once=names_at_once)
    assert len(found) > 30
    check(runs, whole, found)
