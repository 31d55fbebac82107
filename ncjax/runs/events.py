"""TensorBoard events: the numbers of each epoch, under the keys of the metrics."""

from __future__ import annotations

import math
import socket
import struct
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ncjax.io import write_whole
from ncjax.runs.appended import Appended
from ncjax.runs.columns import Row
from ncjax.runs.journal import read_rows

_PREFIX = "events.out.tfevents."  # by which TensorBoard knows its files


class Events:
    """Writes the events of a run that begins or goes on."""

    def __init__(self, folder: Path, rows: Iterable[Row]):
        """Begins a new file with the rows that there are.

        TensorBoard then forgets what older files hold: of the epochs that follow, and
        of those before, of which a killed run has not written all.
        """
        # Not tensorboardX's own writer: its thread, if the disk is full, ends silently,
        # and the run then waits for it for ever.
        self._file = Appended(_new_name(folder))
        self._file.append(_content(rows, purge=True))

    def add(self, row: Row) -> None:
        """Adds the finite numbers of a row; tables are left out."""
        self._file.append(_numbers(row))


def renew(folder: Path, journal: Path) -> None:
    """Makes the events of a folder anew, unless they are of the rows that there are.

    Args:
        folder: the folder.
        journal: its metrics.jsonl.
    """
    # The name tells the rows: the times of files do not, where clocks are set back.
    mark = f"{zlib.crc32(journal.read_bytes()):08x}"
    old = list(folder.glob(f"{_PREFIX}*"))
    if [events.suffix for events in old] == [f".{mark}"]:
        return
    new = _new_name(folder, mark)
    write_whole(new, _content(read_rows(journal), purge=False))
    for events in old:
        events.unlink()


def _new_name(folder: Path, mark: str = "") -> Path:
    """A name after all those there: TensorBoard reads files in the order of names."""
    times = [name.name.split(".")[3] for name in folder.glob(f"{_PREFIX}*.*")]
    stamp = max([int(time.time()), *(int(x) + 1 for x in times if x.isdecimal())])
    parts = [f"{_PREFIX}{stamp:010d}", socket.gethostname(), *([mark] if mark else [])]
    return folder / ".".join(parts)


def _content(rows: Iterable[Row], *, purge: bool) -> bytes:
    """A file of events; with `purge` TensorBoard forgets those of older files."""
    from tensorboardX.proto import event_pb2

    made: Any = event_pb2  # its messages are not declared
    begin = [_record(made.Event(wall_time=time.time(), file_version="brain.Event:2"))]
    if purge:
        start = made.SessionLog(status=made.SessionLog.START)
        event = made.Event(wall_time=time.time(), step=1, session_log=start)
        begin.append(_record(event))
    return b"".join([*begin, *map(_numbers, rows)])


def _numbers(row: Row) -> bytes:
    """The finite numbers of a row, under its keys; tables are left out."""
    # Late: tensorboardX imports PyTorch where that is installed, which takes a second.
    from tensorboardX.proto import event_pb2, summary_pb2

    # `SummaryWriter.add_scalar` would make `test/ahd_1` of `test/ahd@1`.
    made: Any = summary_pb2  # its messages are not declared
    values = [
        made.Summary.Value(tag=name, simple_value=value)
        for name, value in row.items()
        if name != "epoch" and not isinstance(value, list) and math.isfinite(value)
    ]
    event: Any = event_pb2
    return _record(
        event.Event(
            wall_time=time.time(),
            step=int(row["epoch"]),
            summary=made.Summary(value=values),
        )
    )


def _record(event: Any) -> bytes:
    """An event with its length, and the checksums of both, as files of events have."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    size = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (size, data)]
    return size + sums[0] + data + sums[1]
