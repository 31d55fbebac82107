"""The folder of a run: config.json, metrics.jsonl, TensorBoard events, checkpoints.

config.json      the configuration, written once
metrics.jsonl    a line for each epoch; measured epochs have all metrics
checkpoints/     Orbax, numbered by epoch
events.out.*     TensorBoard
collapse.png     the curves; layers.png and confusion.png if they are asked for
seeds/SEED       with many seeds the run of each seed, without checkpoints
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax import cluster
from ncjax.config.stored import complete
from ncjax.io import plain, write_json
from ncjax.options import InputError
from ncjax.runs.board import Board, renew_events
from ncjax.runs.history import Row
from ncjax.runs.rows import append_rows, read_rows, trim_rows

# Fields that may differ when a run goes on: where the data lie changes no result.
_MAY_DIFFER = {"data.dir", "data.placement", "data.device_mb"}


class WorkdirError(InputError):
    """A folder that cannot hold this run; the message says why and what to do."""


class Workdir:
    """Opens the folder of a new run, or of the same run started before.

    Of several processes, the first alone reads and writes, but all must see the folder.
    """

    def __init__(self, path: str | os.PathLike, config: dict[str, Any]):
        """Claims the folder for a run.

        Args:
            path: the folder; it is made if it does not exist.
            config: configuration of the run, a nested dict of plain values.

        Raises:
            WorkdirError: if the folder cannot be written, holds something else, or
                holds a run of another configuration.
        """
        self.path = Path(path).expanduser().absolute()
        self.checkpoints = self.path / "checkpoints"
        self._metrics = self.path / "metrics.jsonl"
        self._board: Board | None = None
        cluster.from_first(lambda: self._claim(config))
        cluster.agree(self._look)

    def resume(self, epoch: int) -> list[Row]:
        """Drops what was written after `epoch`; returns the rows up to it.

        From then on `write` can be called.
        """
        return cluster.from_first(lambda: self._resume(epoch))

    def trim(self, epoch: int) -> list[Row]:
        """The rows up to `epoch`; those after it are dropped from metrics.jsonl."""
        return trim_rows(self._metrics, epoch)

    def write(self, row: Row) -> None:
        """Appends a row to metrics.jsonl and to TensorBoard."""
        if not cluster.is_first():
            return
        assert self._board is not None, "call resume first"
        self.append([row])
        self._board.add(row)

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows to metrics.jsonl alone."""
        if cluster.is_first():
            append_rows(self._metrics, rows)

    def renew_events(self) -> None:
        """Makes TensorBoard events of metrics.jsonl, unless they are newer than it."""
        if not cluster.is_first() or not self._metrics.exists():
            return
        written = self._metrics.stat().st_mtime_ns
        old = self.path.glob("events.out.tfevents.*")
        if not any(events.stat().st_mtime_ns > written for events in old):
            renew_events(self.path, read_rows(self._metrics))

    def close(self) -> None:
        """Writes what is left of the TensorBoard events."""
        if self._board is not None:
            self._board.close()

    def _claim(self, config: dict[str, Any]) -> None:
        """Makes the folder and its config.json, or checks those that are there."""
        written = self.path / "config.json"
        try:
            if written.exists():
                _check_same(_read_config(written), config, self.path)
            claim(self.path, "config.json", holds="run of ncjax")
            if not written.exists():
                write_json(written, config)
        except OSError as error:
            raise _not_writable(self.path, error) from error

    def _look(self) -> None:
        """Raises `WorkdirError` in a process that does not see the folder."""
        if not (self.path / "config.json").exists():
            raise WorkdirError(
                f"The workdir {self.path} is not there on {socket.gethostname()}, one "
                "of the hosts of this run. Choose one with --workdir that lies on a "
                "file system that all hosts share."
            )

    def _resume(self, epoch: int) -> list[Row]:
        rows = self.trim(epoch)
        self._board = Board(self.path, after=epoch)
        return rows


def claim(path: Path, mark: str, *, holds: str = "") -> None:
    """Makes a folder of results.

    Args:
        path: the folder.
        mark: file by which an older folder of results is known.
        holds: what such a folder holds, for the error; by default the file `mark`.

    Raises:
        WorkdirError: if the folder cannot be written, or holds something else.
    """
    try:
        if path.exists() and any(path.iterdir()) and not (path / mark).exists():
            raise WorkdirError(
                f"The workdir {path} is not empty and holds no {holds or mark}. "
                "Choose another with --workdir."
            )
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise _not_writable(path, error) from error


def _read_config(path: Path) -> dict[str, Any]:
    """The configuration in a config.json."""
    try:
        return json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise WorkdirError(
            f"{path} is not readable as JSON ({error}). Choose another workdir."
        ) from error


def _not_writable(path: Path, error: OSError) -> WorkdirError:
    return WorkdirError(
        f"The workdir {path} cannot be written: {error.strerror}. "
        "Choose another with --workdir."
    )


def _check_same(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    """Raises `WorkdirError` naming the fields in which two configurations differ.

    A folder of an older version lacks the fields that came later: they had the values
    that are the defaults today.
    """
    old, new = (plain(complete(config)) for config in (old, new))
    differ = [
        f"{name} ({old.get(name)!r} there, {new.get(name)!r} now)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name) and name not in _MAY_DIFFER
    ]
    if differ:
        raise WorkdirError(
            f"The workdir {path} holds a run of another configuration; they differ in "
            f"{', '.join(differ)}. Choose another with --workdir."
        )
