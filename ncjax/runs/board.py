"""TensorBoard events: a scalar for each metric and epoch."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from ncjax.runs.history import Row


class Board:
    """Writes the rows of a run as TensorBoard events."""

    def __init__(self, folder: str | os.PathLike, *, after: int | None = None):
        """Opens a new file of events.

        Args:
            folder: folder of the events.
            after: epoch after which TensorBoard forgets what older files there hold.
        """
        # Late: tensorboardX imports PyTorch where that is installed, which takes a
        # second.
        from tensorboardX import SummaryWriter

        purge: dict[str, Any] = {} if after is None else {"purge_step": after + 1}
        self._writer = SummaryWriter(os.fspath(folder), **purge)

    def add(self, row: Row) -> None:
        """Writes the finite numbers of a row; tables are left out."""
        for name, value in row.items():
            if name != "epoch" and not isinstance(value, list) and math.isfinite(value):
                self._writer.add_scalar(name, value, int(row["epoch"]))

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()


def renew_events(folder: Path, rows: Iterable[Row]) -> None:
    """Replaces the events in a folder by those of `rows`."""
    old = list(folder.glob("events.out.tfevents.*"))
    with tempfile.TemporaryDirectory(dir=folder) as new:
        with closing(Board(new)) as board:
            for row in rows:
                board.add(row)
        for events in old:
            events.unlink()
        for events in Path(new).iterdir():
            os.replace(events, folder / events.name)
