"""TensorBoard events: the numbers of each epoch, under the keys of the metrics."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from ncjax.runs.columns import Row


class Events:
    """Writes the events of a run that begins or goes on."""

    def __init__(self, folder: Path, rows: Sequence[Row]):
        """Begins a new file with the rows that there are.

        TensorBoard then forgets what older files hold: of the epochs that follow, and
        of those before, of which a killed run has not written all.
        """
        self._writer = _writer(folder, purge_step=1)
        for row in rows:
            self.add(row)

    def add(self, row: Row) -> None:
        """Adds the finite numbers of a row; tables are left out."""
        _add(self._writer, row)

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def renew(folder: Path, rows: Sequence[Row], written: int) -> None:
    """Makes the events of a folder anew, unless they are newer than its rows.

    Args:
        folder: the folder.
        rows: the rows of all its epochs.
        written: when they were written, in nanoseconds since 1970.
    """
    old = list(folder.glob("events.out.tfevents.*"))
    if any(events.stat().st_mtime_ns > written for events in old):
        return
    with tempfile.TemporaryDirectory(dir=folder) as made:
        with closing(_writer(made)) as new:
            for row in rows:
                _add(new, row)
        for events in old:
            events.unlink()
        for events in Path(made).iterdir():
            os.replace(events, folder / events.name)


def _writer(folder: str | os.PathLike, **options: Any) -> Any:
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
