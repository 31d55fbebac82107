"""The folder of a run: config.json, metrics.jsonl, TensorBoard events, checkpoints.

config.json      the configuration, and as "about" what made it and went on with it
metrics.jsonl    a line for each epoch; measured epochs have all metrics
checkpoints/     Orbax, numbered by epoch
events.out.*     TensorBoard
collapse.png     the curves; layers.png and confusion.png if they are asked for
seeds/SEED       with many seeds the run of each seed, without checkpoints
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
from ncjax.config.stored import ABOUT, RECORDER, complete
from ncjax.io import plain, to_json, write_json, write_lines
from ncjax.options import InputError
from ncjax.runs.about import about
from ncjax.runs.history import Row, parse_row, read_lines, read_rows

# Fields that may differ when a run goes on: where the data lie changes no result.
_MAY_DIFFER = {"data.dir", "data.download", "data.placement", "data.device_mb"}


class WorkdirError(InputError):
    """A folder that cannot hold this run; the message says why and what to do."""


class Workdir:
    """Opens the folder of a new run, or of the same run started before.

    Of several processes, the first alone reads and writes, but all must see the folder.
    """

    def __init__(self, path: str | os.PathLike, config: dict[str, Any]):
        """Claims the folder for a run, of a nested dict of plain values.

        Raises:
            WorkdirError: if the folder cannot be written, holds something else, or
                holds a run of another configuration.
        """
        self.path = Path(path).expanduser().absolute()
        self._metrics = self.path / "metrics.jsonl"
        self._events: Any = None
        self._goes_on = False  # whether config.json is still to name this process
        cluster.from_first(lambda: self._claim(config))
        cluster.agree(self._look)

    @property
    def latest(self) -> int:
        """The last epoch of which there is a row; 0 without any."""

        def last() -> int:
            rows = map(parse_row, read_lines(self._metrics))
            return max((int(row["epoch"]) for row in rows if row), default=0)

        return cluster.from_first(last)

    def resume(self, epoch: int) -> list[Row]:
        """Drops what was written after `epoch`; returns the rows up to it.

        Only then can `write` be called.
        """

        def go_on() -> list[Row]:
            rows = self.trim(epoch)
            # TensorBoard then forgets what older files hold: of the epochs that follow,
            # and of those before, of which a killed run has not written all.
            self._events = _new_events(self.path, purge_step=1)
            for row in rows:
                _add(self._events, row)
            return rows

        return cluster.from_first(go_on)

    def trim(self, epoch: int) -> list[Row]:
        """The rows up to `epoch`; those after it are dropped from metrics.jsonl."""
        lines = read_lines(self._metrics)
        rows = [row for row in map(parse_row, lines) if row and row["epoch"] <= epoch]
        # A killed run may have written its last row, and not the end of that line.
        if len(rows) < len(lines) or not _ends_a_line(self._metrics):
            write_lines(self._metrics, rows)
        return rows

    def write(self, row: Row) -> None:
        """Appends a row to metrics.jsonl and to TensorBoard."""
        if cluster.is_first():
            assert self._events is not None, "call resume first"
            self.append([row])
            _add(self._events, row)

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows to metrics.jsonl alone; numbers not finite become null."""
        if cluster.is_first():
            if self._goes_on and rows:
                self._sign(int(rows[0]["epoch"]))
            with self._metrics.open("a") as file:
                file.writelines(to_json(row) + "\n" for row in rows)

    def renew_events(self) -> None:
        """Makes TensorBoard events of metrics.jsonl, unless they are newer than it."""
        if not cluster.is_first() or not self._metrics.exists():
            return
        written = self._metrics.stat().st_mtime_ns
        old = list(self.path.glob("events.out.tfevents.*"))
        if any(events.stat().st_mtime_ns > written for events in old):
            return
        with tempfile.TemporaryDirectory(dir=self.path) as folder:
            with closing(_new_events(folder)) as new:
                for row in read_rows(self._metrics):
                    _add(new, row)
            for events in old:
                events.unlink()
            for events in Path(folder).iterdir():
                os.replace(events, self.path / events.name)

    def close(self) -> None:
        """Writes what is left of the TensorBoard events."""
        if self._events is not None:
            self._events.close()

    def _claim(self, config: dict[str, Any]) -> None:
        content = config | {ABOUT: about()}
        if claim(self.path, "config.json", holds="run of ncjax", content=content):
            _check_same(self.path, config)
            self._goes_on = True

    def _sign(self, epoch: int) -> None:
        """Adds to config.json what goes on with the run, and with which epoch."""
        self._goes_on = False
        path = self.path / "config.json"
        stored = json.loads(path.read_text())
        later = stored.setdefault(ABOUT, {}).setdefault("continued", [])
        later.append({"from_epoch": epoch} | about())
        write_json(path, stored)

    def _look(self) -> None:
        """Raises `WorkdirError` in a process that does not see the folder."""
        if not (self.path / "config.json").exists():
            raise WorkdirError(
                f"The workdir {self.path} is not there on {socket.gethostname()}, one "
                "of the hosts of this run. Choose one with --workdir that lies on a "
                "file system that all hosts share."
            )


def claim(path: Path, mark: str, *, holds: str = "", content: Any = None) -> bool:
    """Makes a folder of results; the file `mark` says that an older one `holds` them.

    A new folder gets the file, if there is content for it.

    Returns:
        Whether the file was there.

    Raises:
        WorkdirError: if the folder cannot be written, or holds something else.
    """
    try:
        known = (path / mark).exists()
        if not known and path.exists() and any(path.iterdir()):
            raise WorkdirError(
                f"The workdir {path} is not empty and holds no {holds or mark}. "
                "Choose another with --workdir."
            )
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
        if not known and content is not None:
            write_json(path / mark, content)
    except OSError as error:
        raise WorkdirError(
            f"The workdir {path} cannot be written: {error.strerror}. "
            "Choose another with --workdir."
        ) from error
    return known


def _ends_a_line(path: Path) -> bool:
    """Whether a file, if there is one, ends with the end of a line."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def _new_events(folder: str | os.PathLike, **options: Any) -> Any:
    """A `SummaryWriter` of TensorBoard events, in a new file."""
    # Late: tensorboardX imports PyTorch where that is installed, which takes a second.
    from tensorboardX import SummaryWriter

    return SummaryWriter(os.fspath(folder), **options)


def _add(events: Any, row: Row) -> None:
    """Writes the finite numbers of a row, under its keys; tables are left out."""
    from tensorboardX.proto import summary_pb2

    # `events.add_scalar` would make `test/ahd_1` of `test/ahd@1`.
    made: Any = summary_pb2  # its messages are not declared
    values = [
        made.Summary.Value(tag=name, simple_value=value)
        for name, value in row.items()
        if name != "epoch" and not isinstance(value, list) and math.isfinite(value)
    ]
    events.file_writer.add_summary(made.Summary(value=values), int(row["epoch"]))


def _check_same(path: Path, config: dict[str, Any]) -> None:
    """Raises `WorkdirError` naming the fields in which a folder has another value."""
    written = path / "config.json"
    try:
        stored = json.loads(written.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise WorkdirError(
            f"{written} is not readable as JSON ({error}). Choose another workdir."
        ) from error
    kinds = ["a recorder" if RECORDER in x else "training" for x in (stored, config)]
    if kinds[0] != kinds[1]:
        raise WorkdirError(
            f"The workdir {path} holds a run of {kinds[0]}, and this is one of "
            f"{kinds[1]}. Choose another with --workdir."
        )
    old, new = plain(complete(stored)), plain(complete(config))
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
