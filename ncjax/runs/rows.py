"""metrics.jsonl: a row of metrics for each epoch, one line of strict JSON each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from ncjax.io import to_json, write_lines
from ncjax.runs.history import Row


def read_rows(path: Path) -> list[Row]:
    """All whole rows of a file; none if there is no file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [row for row in map(parse_row, lines) if row]


def parse_row(line: str) -> Row | None:
    """The row of a line; None for a last line that a killed run left unfinished."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return {k: math.nan if v is None else v for k, v in row.items()}


def append_rows(path: Path, rows: Sequence[Row]) -> None:
    """Writes rows after those that the file has; numbers not finite become null."""
    with path.open("a") as file:
        file.writelines(to_json(row) + "\n" for row in rows)


def trim_rows(path: Path, epoch: int) -> list[Row]:
    """Drops the rows after an epoch from the file, and returns the rows up to it."""
    lines = path.read_text().splitlines() if path.exists() else []
    rows = [row for row in map(parse_row, lines) if row and row["epoch"] <= epoch]
    if len(rows) < len(lines):
        write_lines(path, rows)
    return rows


def is_measured(row: Row) -> bool:
    """Whether more is known of an epoch than the running averages of its training."""
    return any(k != "epoch" and not k.startswith("running/") for k in row)
