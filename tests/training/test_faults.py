"""What a fault leaves of a run: it goes on bit for bit, or says what was lost."""

import json
import shutil
from contextlib import closing

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from ncjax.config import default, resolved, validate
from ncjax.config.binding import load_data
from ncjax.runs.checkpoints import CheckpointError, Checkpoints
from ncjax.runs.record import Record
from ncjax.training.experiment import Experiment
from ncjax.training.loop import Stopped, Unbroken, advance
from tests.runs.events import scalars
from tests.thin import thin

EPOCHS = 3


class Killed(BaseException):
    """What no part of the program can catch."""


class Runs:
    """Runs of one configuration, which share one compiled program."""

    def __init__(self):
        config = default()
        config.num_epochs, config.batch_size = EPOCHS, 50
        config.model.widths = (16, 8)
        config.data.examples_per_class = config.data.test_examples_per_class = 10
        config.checkpoint.every_epochs, config.checkpoint.keep = 1, 3
        config.hierarchy.name = "none"
        self.config = validate(config)
        one = jax.devices()[:1]
        self.experiment = Experiment(self.config, load_data(self.config), one)

    def record(self, folder, **options):
        return Record(folder, resolved(self.config), keep=3, **options)

    def train(self, folder, *, until=EPOCHS, every=1, stop=None, **options):
        """Trains in a folder to the end, or is killed in the epoch after `until`."""
        config = ConfigDict(self.config)
        config.checkpoint.every_epochs = every
        unbroken = Unbroken(self.config)

        def check(losses, epoch, last):
            if epoch > until:
                raise Killed
            return unbroken(losses, epoch, last)

        with closing(self.record(folder, **options)) as record:
            how = {"progress": False, "stop": stop}
            return advance(config, self.experiment, record, check, **how)

    def state(self, folder, epoch=EPOCHS):
        with closing(Checkpoints(folder / "checkpoints", 3, read_only=True)) as kept:
            return kept.load(epoch, self.experiment.init())


@pytest.fixture(scope="module")
def runs():
    return Runs()


@pytest.fixture(scope="module")
def whole(runs, tmp_path_factory):
    """A run that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    runs.train(folder)
    return folder


@pytest.fixture(scope="module")
def cut(runs, whole, tmp_path_factory):
    """The same, stopped in epoch 3."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    with pytest.raises(Killed):
        runs.train(folder, until=2)
    return folder


@pytest.fixture
def folder(cut, tmp_path):
    """A copy of the stopped run, for the faults."""
    return shutil.copytree(cut, tmp_path / "run")


def lines(folder):
    return (folder / "metrics.jsonl").read_bytes()


def assert_same(runs, folder, whole):
    """All rows and all parameters, bit for bit, and TensorBoard complete."""
    assert lines(folder) == lines(whole)
    ours, theirs = runs.state(folder), runs.state(whole)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    found = scalars(folder)
    assert {epoch for epoch, _ in found["nc/nc1"]} == set(range(1, EPOCHS + 1))
    assert {epoch for epoch, _ in found["running/loss"]} == set(range(1, EPOCHS + 1))


def data_file(checkpoint):
    """The largest file of a checkpoint: its arrays."""
    files = (path for path in checkpoint.rglob("*") if path.is_file())
    return max(files, key=lambda path: path.stat().st_size)


def flip(path, place, bit=3):
    """Changes one bit of a file; `place` is a share of its length."""
    data = bytearray(path.read_bytes())
    data[int(place * (len(data) - 1))] ^= 1 << bit
    path.write_bytes(data)


def test_a_run_that_was_stopped_is_that_which_was_not(runs, whole, folder, capsys):
    assert runs.train(folder) == 2
    assert_same(runs, folder, whole)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("epoch", thin([0, 1, 2], keep={1}))
def test_a_run_that_is_asked_to_stop_saves_its_epoch(runs, whole, tmp_path, epoch):
    """Whatever `every_epochs` says; and goes on as if it had never been asked."""
    answers = iter([*[0] * epoch, 15])
    with pytest.raises(Stopped, match="first epoch" if not epoch else "is saved") as at:
        runs.train(tmp_path / "run", every=3, stop=lambda: next(answers))
    assert (at.value.reason, at.value.epoch, at.value.saved) == (15, epoch, epoch > 0)
    assert next(answers, None) is None
    saved = sorted(path.name for path in (tmp_path / "run").glob("checkpoints/*"))
    assert saved == [str(epoch)] * (epoch > 0)
    assert runs.train(tmp_path / "run", every=3, stop=lambda: 0) == epoch
    assert_same(runs, tmp_path / "run", whole)


def test_without_a_folder_nothing_is_saved(runs):
    answers = iter([False, True])
    with pytest.raises(Stopped, match=r"after epoch 1, of which nothing is saved\.$"):
        runs.train(None, stop=lambda: next(answers))


def test_a_run_that_is_asked_to_stop_in_its_last_epoch_is_finished(runs, whole, folder):
    answers = iter([0, 1])
    assert runs.train(folder, stop=lambda: next(answers)) == 2
    assert_same(runs, folder, whole)


def truncated(checkpoint):
    path = data_file(checkpoint)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(checkpoint):
    for path in checkpoint.rglob("*"):
        if path.is_file():
            path.write_bytes(b"")


def without_arrays(checkpoint):
    data_file(checkpoint).unlink()


def without_metadata(checkpoint):
    (checkpoint / "_CHECKPOINT_METADATA").unlink()


def without_anything(checkpoint):
    shutil.rmtree(checkpoint)
    checkpoint.mkdir()


def of_another_epoch(checkpoint):
    shutil.rmtree(checkpoint)
    shutil.copytree(checkpoint.with_name("1"), checkpoint)


DAMAGE = [
    truncated,
    emptied,
    without_arrays,
    without_metadata,
    without_anything,
    of_another_epoch,
]


@pytest.mark.parametrize("damage", thin(DAMAGE, keep={0, 2, 4}))
def test_a_damaged_checkpoint_is_set_aside(runs, whole, folder, capsys, damage):
    damage(folder / "checkpoints" / "2")
    assert runs.train(folder) == 1
    said = capsys.readouterr().err
    assert "of epoch 2, " in said
    assert "checkpoint-2-unreadable: the run goes on from epoch 1." in said
    assert said.count("\n") == 1
    assert (folder / "checkpoint-2-unreadable").is_dir()
    assert_same(runs, folder, whole)


@pytest.mark.parametrize("place", thin(np.linspace(0.05, 0.95, 7), keep={1, 3, 5}))
def test_no_flipped_bit_is_taken_silently(runs, whole, folder, capsys, place):
    """It is said, or it has changed nothing that is read."""
    flip(data_file(folder / "checkpoints" / "2"), place)
    if runs.train(folder) == 1:
        assert "of epoch 2, cannot be" in capsys.readouterr().err
    assert_same(runs, folder, whole)


def test_the_checkpoint_of_another_run_is_not_taken(runs, whole, folder, capsys):
    kept = folder / "checkpoints" / "2"
    path = kept / "_CHECKPOINT_METADATA"
    with closing(Checkpoints(kept.parent, 3, read_only=True)) as opened:
        state = opened.load(2, runs.experiment.init())
    shutil.rmtree(kept)
    with closing(Checkpoints(kept.parent, 3)) as opened:
        opened.save(2, state, run="another", rows={})
    assert path.is_file()
    assert runs.train(folder) == 1
    assert "it is of a run of another configuration" in capsys.readouterr().err
    assert_same(runs, folder, whole)


def test_without_any_checkpoint_left_only_who_asks_begins_anew(
    runs, whole, folder, capsys
):
    for number in "12":
        truncated(folder / "checkpoints" / number)
    before = lines(folder)
    with pytest.raises(CheckpointError, match=r"of epoch 2.*--restart-damaged"):
        runs.train(folder)
    assert lines(folder) == before
    assert runs.train(folder, restart_damaged=True) == 0
    assert capsys.readouterr().err.count("the run begins anew.") == 2
    assert_same(runs, folder, whole)


def test_a_checkpoint_of_an_older_version_is_taken(runs, whole, folder, capsys):
    """It has no seal, and the run says so once."""
    for path in (folder / "checkpoints").glob("*/_CHECKPOINT_METADATA"):
        content = json.loads(path.read_text())
        assert content["custom_metadata"].pop("seal")
        path.write_text(json.dumps(content))
    assert runs.train(folder) == 2
    said = capsys.readouterr().err
    assert said.count("of an older version, without checksums") == 1
    assert said.count("\n") == 1
    assert_same(runs, folder, whole)


def torn(data):
    return data[:-30]


def flipped(data):
    at = data.index(b"nc/nc1")
    return data[:at] + b"\x8b" + data[at + 1 :]  # no UTF-8


def one_digit(data):
    at = data.index(b"0.", 100) + 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def without_a_newline(data):
    return data.replace(b"\n", b"", 1)


def without_the_first(data):
    return data.split(b"\n", 1)[1]


def doubled(data):
    first, rest = data.split(b"\n", 1)
    return b"\n".join([first, first, rest])


def disordered(data):
    return b"".join(line + b"\n" for line in reversed(data.splitlines()))


def zeros(data):
    return bytes(len(data))


def nothing(data):
    return b""


def foreign(data):
    return b'[1, 2]\n"epoch"\n{"epoch": "x"}\n' + data


DAMAGED_METRICS = [
    torn,
    flipped,
    one_digit,
    without_a_newline,
    without_the_first,
    doubled,
    disordered,
    zeros,
    nothing,
    foreign,
]


@pytest.mark.parametrize("damage", thin(DAMAGED_METRICS, keep={0, 3, 6, 9}))
def test_damaged_metrics_are_restored_from_the_checkpoint(
    runs, whole, folder, capsys, damage
):
    path = folder / "metrics.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    assert runs.train(folder) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"{path} is damaged in line ")
    assert said.endswith(": it is restored from the checkpoint.\n")
    assert_same(runs, folder, whole)


def test_deleted_metrics_are_restored_also_of_a_finished_run(
    runs, whole, tmp_path, capsys
):
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "metrics.jsonl").unlink()
    assert runs.train(folder) == EPOCHS
    assert "metrics.jsonl was gone: it is restored" in capsys.readouterr().err
    assert_same(runs, folder, whole)


def test_what_an_old_checkpoint_cannot_restore_is_said(runs, folder, capsys):
    for path in (folder / "checkpoints").glob("*/_CHECKPOINT_METADATA"):
        content = json.loads(path.read_text())
        path.write_text(json.dumps(content | {"custom_metadata": {}}))
    before = flipped(lines(folder))
    (folder / "metrics.jsonl").write_bytes(before)
    assert runs.train(folder) == 2
    said = capsys.readouterr().err
    assert "is damaged: line 1 is not a row" in said
    assert "have no row of 1 epochs (1): they were lost" in said
    assert (folder / "metrics.jsonl.damaged").read_bytes() == before
    assert [json.loads(x)["epoch"] for x in lines(folder).splitlines()] == [2, 3]


def test_a_workdir_that_was_made_and_not_claimed_is_taken(runs, whole, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".config.json.0123abcd").write_text('{"se')
    runs.train(folder)
    assert_same(runs, folder, whole)
    assert not list(folder.glob(".*"))


def test_a_run_is_locked_until_it_ends_or_fails(runs, folder):
    with closing(runs.record(folder)):
        assert (folder / "run.lock").exists()
    assert not (folder / "run.lock").exists()
    with pytest.raises(Killed):
        runs.train(folder, until=0)
    assert not (folder / "run.lock").exists()


@pytest.mark.parametrize("finished", [False, True])
def test_no_epoch_is_missing_in_tensorboard_after_a_kill(
    runs, whole, cut, tmp_path, finished
):
    """A killed writer leaves a file in which nothing is, or half of it."""
    folder = shutil.copytree(whole if finished else cut, tmp_path / "run")
    (events,) = folder.glob("events.out.tfevents.*")
    events.write_bytes(b"")
    runs.train(folder)
    assert_same(runs, folder, whole)
