"""A run whose folder cannot be written any more says so, and goes on afterwards."""

# ruff: noqa: F401, F811  (fixtures of another module)

import os
import resource
import shutil
import subprocess
from contextlib import closing

import pytest

from ncjax.options import TrainingError
from ncjax.training.loop import advance
from tests.training.test_faults import (
    assert_same,
    cut,
    lines,
    runs,
    whole,
)


def _slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


def train(runs, folder, fault=None, at=2):
    """Trains to the end; a fault happens after epoch `at` was trained.

    The checkpoint of the epoch before is on the disk by then; `tests.faults.driver` has
    faults at any moment.
    """

    def check(losses, epoch, last):
        if fault is not None and epoch == at:
            record._saver.wait()
            fault()
        return [True]

    with closing(runs.record(folder)) as record:
        return advance(runs.config, runs.experiment, record, check, progress=False)


@pytest.fixture
def most():
    """Lets no file grow beyond so many bytes: a fault of the operating system."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


# A checkpoint has files of 20 bytes to 10,000, and writes them last.
@pytest.mark.parametrize("size", [10, _slow(2000), _slow(4000)])
def test_files_that_cannot_grow(runs, whole, tmp_path, most, capfd, size):
    folder, free = tmp_path / "run", resource.RLIM_INFINITY
    with pytest.raises(TrainingError) as found:
        train(runs, folder, lambda: most(size))
    most(free)
    said = str(found.value)
    assert "File too large (EFBIG). The run stopped after epoch " in said
    assert "The checkpoint of epoch 1 is whole." in said
    assert "\n" not in said
    assert lines(whole).startswith(lines(folder))  # no torn row
    assert train(runs, folder) == 1
    assert_same(runs, folder, whole)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("at", [_slow(1), 2, _slow(3)])
def test_a_folder_that_was_moved_is_not_made_anew(runs, whole, tmp_path, at):
    folder, away = tmp_path / "run", tmp_path / "away"
    with pytest.raises(TrainingError, match=r"the folder was deleted or moved"):
        train(runs, folder, lambda: folder.rename(away), at)
    assert not folder.exists()
    assert train(runs, away) == at - 1
    assert_same(runs, away, whole)


def test_files_that_others_delete_are_written_again(runs, whole, tmp_path, capsys):
    folder = tmp_path / "run"

    def fault():
        for path in folder.iterdir():
            path.unlink() if path.is_file() else shutil.rmtree(path)

    train(runs, folder, fault, at=3)
    said = capsys.readouterr().err
    assert said.count("metrics.jsonl was deleted or changed by others") == 1
    assert said.count("config.json was deleted while the run went on") == 1
    assert train(runs, folder) == 3
    assert_same(runs, folder, whole)


@pytest.mark.parametrize("at", [1, _slow(3)])
def test_metrics_that_others_write_are_restored(runs, whole, tmp_path, capsys, at):
    folder = tmp_path / "run"
    path = folder / "metrics.jsonl"
    train(runs, folder, lambda: path.write_text("mine"), at)
    assert lines(folder) == lines(whole)
    assert "all its rows are written anew" in capsys.readouterr().err
    assert_same(runs, folder, whole)


@pytest.mark.slow
def test_a_figure_that_cannot_be_written_loses_nothing(runs, whole, tmp_path, most):
    folder = shutil.copytree(whole, tmp_path / "run")
    with closing(runs.record(folder)) as record:
        record.resume(3)
    most(10)
    with pytest.raises(TrainingError, match=r"collapse.*The checkpoint of epoch 3 is"):
        record.draw()
    most(resource.RLIM_INFINITY)
    assert_same(runs, folder, whole)
    record.draw()
    assert (folder / "collapse.png").is_file()


@pytest.mark.parametrize("at", [2, _slow(3)])
def test_a_checkpoint_that_appears_late(runs, whole, cut, tmp_path, at):
    """A double of a file system whose other hosts see new names late, as NFS may.

    Checkpoint 2 is hidden until the run, which goes on from 1, has trained epoch `at`.
    """
    folder = shutil.copytree(cut, tmp_path / "run")
    hidden, there = tmp_path / "hidden", folder / "checkpoints" / "2"
    there.rename(hidden)

    def appear():
        if there.exists():
            shutil.rmtree(there)
        hidden.rename(there)

    assert train(runs, folder, appear, at) == 1
    assert_same(runs, folder, whole)


@pytest.fixture
def disk(tmp_path):
    """A disk of its own, of some size; only root can have one."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options):
        made = subprocess.run(["mount", *options, place], capture_output=True)
        if made.returncode:
            pytest.skip("no disk can be mounted here")
        return place

    yield mount
    subprocess.run(["umount", "--lazy", place], capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("pages", range(2, 30, 3))
def test_a_full_disk(runs, whole, tmp_path, disk, capfd, pages):
    """Filled at epoch 2 but for some pages: it fails here and there."""
    place = disk("-t", "tmpfs", "-o", "size=4m", "tmpfs")
    filling = place / "filling"

    def fault():
        room = os.statvfs(place)
        left = (room.f_bavail - pages) * room.f_frsize
        filling.write_bytes(bytes(max(left, 0)))

    folder = place / "run"
    with pytest.raises(TrainingError, match="No space left on device") as found:
        train(runs, folder, fault)
    assert "\n" not in str(found.value)
    assert lines(whole).startswith(lines(folder))
    assert "Traceback" not in capfd.readouterr().err
    filling.unlink()
    assert train(runs, folder) in (1, 2)
    assert_same(runs, folder, whole)


@pytest.mark.slow
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_disk_that_becomes_read_only(runs, whole, disk, capfd, at):
    place = disk("-t", "tmpfs", "-o", "size=4m", "tmpfs")
    folder = place / "run"
    with pytest.raises(TrainingError, match="Make it writable again"):
        train(runs, folder, lambda: disk("-o", "remount,ro"), at)
    assert "Traceback" not in capfd.readouterr().err
    disk("-o", "remount,rw")
    assert train(runs, folder) == at - 1
    assert_same(runs, folder, whole)
