"""TensorBoard events: the numbers of each epoch, under the keys of the metrics.

Before them stand the configuration, as a text and as hyperparameters; after them, once
they are drawn, the figures of the run.
"""

from __future__ import annotations

import json
import math
import socket
import struct
import time
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ncjax.config.stored import ABOUT
from ncjax.io import plain, write_whole
from ncjax.options import flat
from ncjax.runs.appended import Appended
from ncjax.runs.columns import Row
from ncjax.runs.journal import read_rows
from ncjax.runs.metrics import compared

_PREFIX = "events.out.tfevents."  # by which TensorBoard knows its files


class Events:
    """Writes the events of a run that begins or goes on."""

    def __init__(self, folder: Path, rows: Iterable[Row], config: Mapping[str, Any]):
        """Begins a new file with the configuration and the rows that there are.

        TensorBoard then forgets what older files hold: of the epochs that follow, and
        of those before, of which a killed run has not written all.

        Args:
            folder: the folder of the run.
            rows: the rows.
            config: content of its config.json.
        """
        # Not tensorboardX's own writer: its thread, if the disk is full, ends silently,
        # and the run then waits for it for ever.
        self._file = Appended(_new_name(folder))
        self._file.append(_content(rows, config, purge=True))

    def add(self, row: Row) -> None:
        """Adds the finite numbers of a row; tables are left out."""
        self._file.append(_numbers(row))

    def show(self, figures: Iterable[Path], epoch: int) -> None:
        """Adds figures, PNG files, as they are after an epoch."""
        self._file.append(b"".join(_picture(path, epoch) for path in figures))


def renew(folder: Path, journal: Path, config: Mapping[str, Any]) -> None:
    """Makes the events of a folder anew, unless they are of the rows that there are.

    Args:
        folder: the folder.
        journal: its metrics.jsonl.
        config: content of its config.json.
    """
    # The name tells the rows: the times of files do not, where clocks are set back.
    mark = f"{zlib.crc32(journal.read_bytes()):08x}"
    old = list(folder.glob(f"{_PREFIX}*"))
    if [events.suffix for events in old] == [f".{mark}"]:
        return
    new = _new_name(folder, mark)
    write_whole(new, _content(read_rows(journal), config, purge=False))
    for events in old:
        events.unlink()


def _new_name(folder: Path, mark: str = "") -> Path:
    """A name after all those there: TensorBoard reads files in the order of names."""
    times = [name.name.split(".")[3] for name in folder.glob(f"{_PREFIX}*.*")]
    stamp = max([int(time.time()), *(int(x) + 1 for x in times if x.isdecimal())])
    parts = [f"{_PREFIX}{stamp:010d}", socket.gethostname(), *([mark] if mark else [])]
    return folder / ".".join(parts)


def _content(rows: Iterable[Row], config: Mapping[str, Any], *, purge: bool) -> bytes:
    """A file of events; with `purge` TensorBoard forgets those of older files."""
    from tensorboardX.proto import event_pb2

    made: Any = event_pb2  # its messages are not declared
    begin = [_record(made.Event(wall_time=time.time(), file_version="brain.Event:2"))]
    if purge:
        start = made.SessionLog(status=made.SessionLog.START)
        event = made.Event(wall_time=time.time(), step=1, session_log=start)
        begin.append(_record(event))
    return b"".join([*begin, *_settings(config), *map(_numbers, rows)])


def _settings(config: Mapping[str, Any]) -> list[bytes]:
    """The configuration as a text, and its fields as hyperparameters.

    TensorBoard puts the last value of each compared metric beside them.
    """
    from tensorboardX import summary

    fields = {k: v for k, v in config.items() if k != ABOUT}
    shown = json.dumps(plain(config), indent=2).replace("\n", "\n    ")
    values = {
        name: value if isinstance(value, (bool, int, float, str)) else str(value)
        for name, value in flat(plain(fields)).items()
        if value is not None
    }
    metrics = {metric.key: None for metric in compared() if metric.curve}
    parts = [summary.text("config", f"    {shown}"), *summary.hparams(values, metrics)]
    return [_summary(part, 0) for part in parts]


def _picture(path: Path, epoch: int) -> bytes:
    """A PNG file, under its name without the ending."""
    from tensorboardX.proto import summary_pb2

    made: Any = summary_pb2  # its messages are not declared
    data = path.read_bytes()
    width, height = struct.unpack_from(">II", data, 16)  # of its header
    image = made.Summary.Image(
        width=width, height=height, colorspace=4, encoded_image_string=data
    )
    value = made.Summary.Value(tag=path.stem, image=image)
    return _summary(made.Summary(value=[value]), epoch)


def _numbers(row: Row) -> bytes:
    """The finite numbers of a row, under its keys; tables are left out."""
    # Late: tensorboardX imports PyTorch where that is installed, which takes a second.
    from tensorboardX.proto import summary_pb2

    # `SummaryWriter.add_scalar` would make `test/ahd_1` of `test/ahd@1`.
    made: Any = summary_pb2  # its messages are not declared
    values = [
        made.Summary.Value(tag=name, simple_value=value)
        for name, value in row.items()
        if name != "epoch" and not isinstance(value, list) and math.isfinite(value)
    ]
    return _summary(made.Summary(value=values), int(row["epoch"]))


def _summary(found: Any, epoch: int) -> bytes:
    """An event of what was found after an epoch; 0 is before the first."""
    from tensorboardX.proto import event_pb2

    made: Any = event_pb2
    return _record(made.Event(wall_time=time.time(), step=epoch, summary=found))


def _record(event: Any) -> bytes:
    """An event with its length, and the checksums of both, as files of events have."""
    from tensorboardX.record_writer import masked_crc32c

    data = event.SerializeToString()
    size = struct.pack("<Q", len(data))
    sums = [struct.pack("<I", masked_crc32c(part)) for part in (size, data)]
    return size + sums[0] + data + sums[1]
