"""Runs of one tiny configuration: in this process they share one compiled program.

A run in here is the whole command `ncjax train`; only the compiled programs are those
of the run before, and no figure is drawn.
"""

import contextlib
import io
import json
import shutil
import socket
import struct
import traceback
from contextlib import closing
from pathlib import Path
from unittest import mock

import jax
import numpy as np
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event, SessionLog

from ncjax.cli import program
from ncjax.runs.checkpoints import Checkpoints
from ncjax.runs.record import Record
from ncjax.training import loop
from tests.faults.said import Ran

EPOCHS, CUT = 10, 8  # a run that was stopped has CUT rows and CUT - 1 checkpoints
FLAGS = (
    "--config.data.name=digits",
    "--config.data.examples_per_class=10",
    "--config.data.test_examples_per_class=10",
    "--config.model.widths=(16,8)",
    "--config.hierarchy.name=none",
    "--config.batch_size=50",
    f"--config.num_epochs={EPOCHS}",
    "--config.checkpoint.keep=2",
    "--config.checkpoint.max_share=1.0",
)


def command(folder, every, *more):
    """The arguments of `ncjax` for a run that is saved after each `every` epochs."""
    saved = f"--config.checkpoint.every_epochs={every}"
    return ["train", *FLAGS, saved, f"--workdir={folder}", *more]


class Killed(BaseException):
    """What no part of the program can catch."""


class Lab:
    """Trains in folders, and compares them with a run that was never stopped."""

    def __init__(self, root):
        """Keeps its own runs below the folder `root`."""
        self._root = Path(root)
        self._experiments = {}
        self._arrays = {}

    def train(self, folder, every=1, *more):
        """The command in a folder: how it ended."""
        said = io.StringIO()
        shared = mock.patch.object(loop, "Experiment", self._shared(loop.Experiment))
        plain = mock.patch.object(Record, "draw")
        quiet = contextlib.redirect_stdout(io.StringIO())
        with shared, plain, quiet, contextlib.redirect_stderr(said):
            try:
                status = program.main(command(folder, every, *more))
            except Exception:
                status = 1
                traceback.print_exc()
        return Ran(status, said.getvalue())

    def _shared(self, make):
        """Makes an experiment but once; how often it is saved does not change it.

        It has one device, as the real processes have: tests have more.
        """

        def experiment(config, dataset, devices=None, **more):
            told = config.to_dict() | {"checkpoint": None}
            key = json.dumps(told, sort_keys=True, default=str)
            if key not in self._experiments:
                made = make(config, dataset, jax.devices()[:1], **more)
                self._experiments[key] = made
                made.compile(made.init())
                made.compile = lambda state: None
            return self._experiments[key]

        return experiment

    def whole(self, every=1):
        """The folder of a run that was never stopped; made if it is not there."""
        folder = self._root / f"whole-{every}"
        if every not in self._arrays:
            ran = self.train(folder, every)
            assert ran.status == 0, ran.err
            self._arrays[every] = self._state(folder)
        return folder

    def cut(self, every=1):
        """The folder of a run that was killed after row CUT; made if not there."""
        folder = self._root / f"cut-{every}"
        if not folder.exists():
            save = Record.save

            def saved_or_killed(record, epoch, state):
                if epoch == CUT:
                    raise Killed
                save(record, epoch, state)

            with (
                mock.patch.object(Record, "save", saved_or_killed),
                contextlib.suppress(Killed),
            ):
                self.train(folder, every)
            dead = {"host": socket.gethostname(), "pid": 2**22 + 1, "started": "1"}
            dead |= {"token": "0" * 32, "since": "2020-02-02 02:02:02"}
            (folder / "run.lock").write_text(json.dumps(dead) + "\n")
        return folder

    def copy(self, folder, every=1, finished=False):
        """Makes a folder a copy of the run that was killed, or never stopped."""
        shutil.copytree(self.whole(every) if finished else self.cut(every), folder)

    def judge(self, folder, every=1):
        """In what a finished run differs from one that was never stopped; or ""."""
        folder, whole = Path(folder), self.whole(every)
        ours, theirs = (lines(x) for x in (folder, whole))
        if ours != theirs:
            pairs = enumerate(zip(ours + [b""] * EPOCHS, theirs, strict=False), start=1)
            first = next((n for n, (a, b) in pairs if a != b), len(theirs) + 1)
            return f"metrics.jsonl has {len(ours)} lines, line {first} differs"
        try:
            state = self._state(folder)
        except Exception as error:  # whatever a damaged folder leads to
            return f"no checkpoint of the last epoch: {str(error)[:100]}"
        names = self._arrays[every].keys() | state.keys()
        differ = sorted(x for x in names if self._arrays[every].get(x) != state.get(x))
        if differ:
            return f"{len(differ)} of {len(names)} arrays differ, as {differ[0]}"
        return in_tensorboard(folder, ours)

    def _state(self, folder):
        """Name of each array of the last checkpoint -> its type, shape and bytes."""
        (experiment,) = self._experiments.values()
        with closing(Checkpoints(folder / "checkpoints", 2, read_only=True)) as kept:
            state = kept.load(EPOCHS, experiment.init())
        leaves, _ = jax.tree_util.tree_flatten_with_path(state)
        arrays = {jax.tree_util.keystr(path): np.asarray(x) for path, x in leaves}
        return {k: (str(x.dtype), x.shape, x.tobytes()) for k, x in arrays.items()}


def lines(folder):
    """The lines of metrics.jsonl; none without the file."""
    path = Path(folder) / "metrics.jsonl"
    return path.read_bytes().splitlines() if path.exists() else []


def in_tensorboard(folder, rows):
    """What TensorBoard does not show of the finite numbers in rows; or ""."""
    shown = points(folder)
    wanted = {
        (name, row["epoch"]): np.float32(value)
        for row in map(json.loads, rows)
        for name, value in row.items()
        if name != "epoch" and isinstance(value, float)
    }
    missing = [key for key, value in wanted.items() if shown.get(key) != value]
    if missing:
        return f"TensorBoard lacks {len(missing)} of {len(wanted)} points: {missing[0]}"
    return ""


def points(folder):
    """(name, epoch) -> value, of all events files as TensorBoard reads them.

    It reads a file up to the first record whose checksum is wrong; one that begins
    anew at an epoch takes the place of what older files have from there on.
    """
    found = {}
    for path in sorted(Path(folder).glob("events.out.tfevents.*")):
        data, at = path.read_bytes(), 0
        while at + 12 <= len(data):
            size, check = struct.unpack_from("<QI", data, at)
            end = at + 12 + size
            if check != masked(data[at : at + 8]) or end + 4 > len(data):
                break
            if struct.unpack_from("<I", data, end)[0] != masked(data[at + 12 : end]):
                break
            event = Event.FromString(data[at + 12 : end])
            if event.session_log.status == SessionLog.START:
                found = {key: x for key, x in found.items() if key[1] < event.step}
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found[value.tag, event.step] = np.float32(value.simple_value)
            at = end + 4
    return found


def masked(data):
    """The checksum of TensorBoard's records."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
