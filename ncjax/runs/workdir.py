"""The folder of a run: config.json, metrics.jsonl, TensorBoard events, checkpoints.

config.json      the configuration, written once
metrics.jsonl    a line for each epoch, measured epochs with all metrics
checkpoints/     Orbax, numbered by epoch
events.out.*     TensorBoard
collapse.png     the curves; layers.png and confusion.png if they are asked for
seeds/SEED       with many seeds the run of each, without checkpoints
"""

from __future__ import annotations

import json
import math
import os
import socket
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ncjax import cluster
from ncjax.options import flat
from ncjax.runs.history import Row

# Where the data lie does not change what is computed.
_MAY_DIFFER = {("data", "dir"), ("data", "placement"), ("data", "device_mb")}


class WorkdirError(ValueError):
    """A folder that cannot hold this run; the message says why and what to do."""


class Workdir:
    """Opens the folder of a new run, or of the same run started before.

    Of several processes, the first alone reads and writes, but all must see the folder.
    """

    def __init__(self, path: str | os.PathLike, config: dict[str, Any]):
        """Claims the folder for `config`.

        Raises:
            WorkdirError: if the folder cannot be written, holds something else, or
                holds a run of another configuration.
        """
        self.path = Path(path).expanduser().absolute()
        self.checkpoints = self.path / "checkpoints"
        self._metrics = self.path / "metrics.jsonl"
        self._board: Any = None
        cluster.from_first(lambda: self._claim(config))
        cluster.agree(self._look)

    def _claim(self, config: dict[str, Any]) -> None:
        written = self.path / "config.json"
        try:
            if written.exists():
                _check_same(json.loads(written.read_text()), config, self.path)
            elif self.path.exists() and any(self.path.iterdir()):
                raise WorkdirError(
                    f"The workdir {self.path} is not empty and holds no run of ncjax. "
                    "Choose another with --workdir."
                )
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            if not written.exists():
                write_atomically(written, json.dumps(config, indent=2) + "\n")
        except json.JSONDecodeError as error:
            raise WorkdirError(
                f"{written} is not readable as JSON ({error}). Choose another workdir."
            ) from error
        except OSError as error:
            raise WorkdirError(
                f"The workdir {self.path} cannot be written: {error.strerror}. "
                "Choose another with --workdir."
            ) from error

    def _look(self) -> None:
        if not (self.path / "config.json").exists():
            raise WorkdirError(
                f"The workdir {self.path} is not there on {socket.gethostname()}, one "
                "of the hosts of this run. Choose one with --workdir that lies on a "
                "file system that all hosts share."
            )

    def resume(self, epoch: int) -> list[Row]:
        """Drops what was written after `epoch`; returns the rows up to it.

        From then on `write` can be called.
        """
        return cluster.from_first(lambda: self._resume(epoch))

    def _resume(self, epoch: int) -> list[Row]:
        rows = self.trim(epoch)
        self._board = _events(self.path, purge_step=epoch + 1)
        return rows

    def trim(self, epoch: int) -> list[Row]:
        """The rows up to `epoch`; those after it are dropped from metrics.jsonl."""
        lines = self._metrics.read_text().splitlines() if self._metrics.exists() else []
        rows = [row for row in map(parse_row, lines) if row and row["epoch"] <= epoch]
        if len(rows) < len(lines):
            write_atomically(self._metrics, "".join(map(_dump, rows)))
        return rows

    def write(self, row: Row) -> None:
        """Appends a row to metrics.jsonl and to TensorBoard."""
        if not cluster.is_first():
            return
        assert self._board is not None, "call resume first"
        self.append([row])
        _add(self._board, row)

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows to metrics.jsonl alone."""
        if not cluster.is_first():
            return
        with self._metrics.open("a") as file:
            file.writelines(map(_dump, rows))

    def renew_events(self) -> None:
        """Makes TensorBoard events of metrics.jsonl, unless they are newer than it."""
        if not cluster.is_first():
            return
        old = list(self.path.glob("events.out.tfevents.*"))
        written = self._metrics.stat().st_mtime_ns
        if any(events.stat().st_mtime_ns > written for events in old):
            return
        with tempfile.TemporaryDirectory(dir=self.path) as folder:
            with closing(_events(folder)) as board:
                for line in self._metrics.read_text().splitlines():
                    _add(board, parse_row(line) or {})
            for events in old:
                events.unlink()
            for events in Path(folder).iterdir():
                os.replace(events, self.path / events.name)

    def close(self) -> None:
        """Flushes TensorBoard."""
        if self._board is not None:
            self._board.close()


def claim(path: Path, mark: str) -> None:
    """Makes a folder of results; an old one is known by the file `mark` in it.

    Raises:
        WorkdirError: if it cannot be written, or holds something else.
    """
    try:
        if path.exists() and any(path.iterdir()) and not (path / mark).exists():
            raise WorkdirError(
                f"The workdir {path} is not empty and holds no {mark}. "
                "Choose another with --workdir."
            )
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise WorkdirError(
            f"The workdir {path} cannot be written: {error.strerror}. "
            "Choose another with --workdir."
        ) from error


def write_atomically(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(file.name, path)


def _events(folder: str | os.PathLike, **options: Any) -> Any:
    """A writer of TensorBoard events."""
    # Late: tensorboardX imports PyTorch where that is installed, which takes a second.
    from tensorboardX import SummaryWriter

    return SummaryWriter(os.fspath(folder), **options)


def _add(board: Any, row: Row) -> None:
    for name, value in row.items():
        if name != "epoch" and not isinstance(value, list) and math.isfinite(value):
            board.add_scalar(name, value, int(row["epoch"]))


def _dump(row: Row) -> str:
    """One line of strict JSON: numbers that are not finite become null."""
    finite = {
        k: v if isinstance(v, list) or math.isfinite(v) else None
        for k, v in row.items()
    }
    return json.dumps(finite) + "\n"


def parse_row(line: str) -> Row | None:
    """A row; None for a last line that a killed run left unfinished."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return {k: math.nan if v is None else v for k, v in row.items()}


def _check_same(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """Raises `WorkdirError` naming the fields in which two configurations differ."""
    old, new = flat(old), json.loads(json.dumps(flat(new)))
    differ = [
        f"{name} ({old.get(name)!r} there, {new.get(name)!r} now)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and tuple(name.split(".")) not in _MAY_DIFFER
    ]
    if differ:
        raise WorkdirError(
            f"The workdir {path} holds a run of another configuration; they differ in "
            f"{', '.join(differ)}. Choose another with --workdir."
        )
