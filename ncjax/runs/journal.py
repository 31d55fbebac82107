"""metrics.jsonl of a folder: a row for each epoch, and what became of them on disk.

Each line is a JSON object, so that every reader of JSON lines can read the file.  What
a run needs to go on lies in its checkpoint too (`ncjax.runs.seal`): after damage the
file is restored from there.  Without a checkpoint what cannot be read is named.  Rows
that carry a checksum, as those of a movie do, cannot be read either if it is wrong.
"""

from __future__ import annotations

import itertools
import json
import math
import shutil
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ncjax.io import free_name, to_json, write_whole
from ncjax.runs.appended import Appended
from ncjax.runs.columns import Row

NAME = "metrics.jsonl"
_RENAMED = {"nc/gram_to_theory": "nc/gram_to_limit"}  # keys in files of older versions
_LISTED = 5  # problems that are named one by one
_TORN = "ends in the middle of a row"
_CHECKSUM = "checksum"


class Journal:
    """The rows of a folder, appended one by one; other processes may read them.

    Attributes:
        path: the file.
    """

    def __init__(self, folder: Path, name: str = NAME):
        """Opens a journal in a folder; nothing is read or written yet."""
        self.path = folder / name
        self._file = Appended(self.path)

    @property
    def text(self) -> str:
        """What it holds since `resume`, as lines of JSON."""
        return self._file.content.decode()

    @property
    def latest(self) -> int:
        """The last epoch of which there is a row; 0 without any."""
        rows, _ = read(self.path)
        return int(rows[-1]["epoch"]) if rows else 0

    def resume(self, epoch: int, sealed: str | None = None) -> tuple[list[Row], str]:
        """Drops what was written after an epoch, and mends what was damaged before.

        Args:
            epoch: epoch after which the run goes on.
            sealed: the lines up to that epoch, if the checkpoint has them.

        Returns:
            The rows up to the epoch, and a sentence on what was damaged; "" if nothing.
        """
        if sealed is not None:
            said = self._restore(sealed)
            return [row for line in sealed.splitlines() for row in parse(line)], said
        found, problems = read(self.path)
        rows = [row for row in found if row["epoch"] <= epoch]
        said = ""
        if len(found) > len(rows) or not epoch:
            # What a killed run was writing is later than what it goes on from.
            problems = _serious(problems)
        if problems:
            away = free_name(self.path.with_name(f"{self.path.name}.damaged"))
            shutil.copyfile(self.path, away)
            said = (
                f"{_listed(self.path, problems)} What cannot be read is left out; the "
                f"file as it was is now {away.name}."
            )
        old = self.path.read_bytes() if self.path.exists() else b""
        # A killed run may have written its last row, and not the end of that line.
        if problems or old.count(b"\n") != len(rows):
            old = _lines(rows).encode()
            write_whole(self.path, old)
        self._file = Appended(self.path, old)
        return rows, said

    def append(self, rows: Sequence[Row]) -> str:
        """Appends rows; numbers not finite become null.

        Returns:
            A sentence if others have deleted or changed the file since; "" if not.
        """
        if not self._file.append(_lines(rows).encode()):
            return ""
        return (
            f"{self.path} was deleted or changed by others while the run went on: all "
            "its rows are written anew."
        )

    def _restore(self, sealed: str) -> str:
        """Makes the file what the checkpoint has; says so if that is not its begin."""
        want = sealed.encode()
        self._file = Appended(self.path, want)
        there = self.path.exists()
        found = self.path.read_bytes() if there else b""
        if found == want:
            return ""
        write_whole(self.path, sealed)
        if found.startswith(want):
            return ""
        pairs = zip(found.split(b"\n"), want.split(b"\n"), strict=False)
        same = len(list(itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)))
        what = f"is damaged in line {same + 1}" if there else "was gone"
        return f"{self.path} {what}: it is restored from the checkpoint."


def read_rows(path: Path) -> list[Row]:
    """All rows of a metrics.jsonl or the like, in order; none if there is no file.

    Warns of lines that cannot be read, except for a last one that is being written.
    """
    rows, problems = read(path)
    if serious := _serious(problems):
        warnings.warn(_listed(path, serious), stacklevel=3)
    return rows


def read(path: Path) -> tuple[list[Row], list[str]]:
    """The rows of a file in the order of the epochs, and what is wrong with it."""
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    found: dict[float, Row] = {}
    problems, last = [], 0
    for number, line in enumerate(lines, start=1):
        try:
            rows = list(parse(line.decode()))
        except (ValueError, RecursionError):  # no UTF-8, no JSON, no row
            torn = _TORN if number == len(lines) else "is not a row"
            problems.append(f"line {number} {torn}")
            continue
        for row in rows:
            epoch = row["epoch"]
            if str(found.setdefault(epoch, row)) != str(row):
                problems.append(f"line {number} has other numbers of epoch {epoch}")
            elif epoch < last:
                problems.append(f"line {number} has epoch {epoch} after epoch {last}")
            last = epoch
    return [found[epoch] for epoch in sorted(found)], problems


def parse(line: str) -> Iterator[Row]:
    """The row of a line; also several, if the ends of lines have been lost.

    Raises:
        ValueError: if it is not that of a run.
    """
    at, decoder = 0, json.JSONDecoder()
    line = line.strip()
    while at < len(line):
        row, at = decoder.raw_decode(line, at)
        if not isinstance(row, dict) or not _is_epoch(row.get("epoch")):
            raise ValueError("not a row with its epoch")
        if _CHECKSUM in row and row[_CHECKSUM] != checksum(row):
            raise ValueError("another checksum")
        yield {_RENAMED.get(k, k): math.nan if v is None else v for k, v in row.items()}


def checksum(row: dict[str, Any]) -> int:
    """CRC-32 of a row of JSON, without the checksum that it carries."""
    content = {key: value for key, value in row.items() if key != _CHECKSUM}
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _is_epoch(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _lines(rows: Sequence[Row]) -> str:
    return "".join(to_json(row) + "\n" for row in rows)


def _serious(problems: Sequence[str]) -> list[str]:
    """The problems but that of a last row that has not been written to its end."""
    return [problem for problem in problems if not problem.endswith(_TORN)]


def _listed(path: Path, problems: Sequence[str]) -> str:
    """A sentence on what is wrong with a file."""
    more = f", and {len(problems) - _LISTED} more" if len(problems) > _LISTED else ""
    return f"{path} is damaged: {', '.join(problems[:_LISTED])}{more}."
