"""What a run measured, as a table of rows by epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

# "epoch" and the metrics measured after it; a metric may be a table (lists of rows).
Row = dict[str, Any]

# Metric -> how people read it.  Means are always the training set's, so NC2 and NC3
# have no test value.
_TABLE = (
    ("loss", "train/loss", "test/loss"),
    ("error", "train/error", "test/error"),
    ("NC1", "nc/nc1", "test/nc1"),
    ("NC2", "nc/nc2", None),
    ("NC3", "nc/nc3", None),
    ("NC4", "nc/nc4", "test/nc4"),
)


@dataclasses.dataclass
class History:
    """Metrics of a run; `history["nc/nc1"]` is one column.

    With many seeds it is that of their means, and `history["nc/nc1/low"]` and
    `history["nc/nc1/high"]` bound the 95 % interval.

    Attributes:
        rows: one dict for each measured epoch, in order: `epoch` and the metrics.
        workdir: where the run was written, or None.
        seeds: with many seeds the history of each, in their order.
    """

    rows: list[Row]
    workdir: Path | None = None
    seeds: list[History] = dataclasses.field(default_factory=list)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of one metric over the measured epochs [m]."""
        if not self.rows or name not in self.rows[0]:
            known = (
                ", ".join(self.rows[0]) if self.rows else "none, nothing was measured"
            )
            raise KeyError(f"Unknown metric {name!r}. Available: {known}.")
        return np.array([row[name] for row in self.rows])

    @property
    def terminal_epoch(self) -> int | None:
        """First measured epoch with training error 0: the terminal phase's start."""
        for row in self.rows:
            if row["train/error"] == 0:
                return int(row["epoch"])
        return None

    def table(self) -> str:
        """Metrics at the first epoch, at the terminal phase's start and at the end."""
        first, last = self.rows[0], self.rows[-1]
        points = [(f"epoch {first['epoch']:.0f}", first)]
        start = self.terminal_epoch
        if start is not None:
            row = next(r for r in self.rows if r["epoch"] == start)
            points.append((f"error 0, epoch {start}", row))
        points.append((f"end, epoch {last['epoch']:.0f}", last))
        lines = self._of_seeds(points) if self.seeds else self._of_one(points)
        if start is None:
            of = " in every seed" if self.seeds else ""
            lines.append(
                f"The training error did not reach 0{of}: no terminal phase yet."
            )
        return "\n".join(lines)

    def _of_one(self, points: list[tuple[str, Row]]) -> list[str]:
        """A line for each metric, columns for training and test set."""
        columns = [["", ""] + [label for label, _, _ in _TABLE]]
        for title, row in points:
            for heading, part, keys in (
                (title, "train", [train for _, train, _ in _TABLE]),
                ("", "test", [test for _, _, test in _TABLE]),
            ):
                columns.append([heading, part, *(_cell(row, key) for key in keys)])
        widths = [max(9, *map(len, column[1:])) for column in columns]
        lines = [
            " ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
            for cells in list(zip(*columns, strict=True))[1:]
        ]
        pair = widths[1] + widths[2] + 2
        titles = "".join(title.rjust(pair) for title, _ in points)
        return [" " * widths[0] + titles, *lines]

    def _of_seeds(self, points: list[tuple[str, Row]]) -> list[str]:
        """A line for each metric and set: mean [interval]."""
        keys = {
            f"{part} {label}": key
            for label, train, test in _TABLE
            for part, key in (("train", train), ("test", test))
            if key
        }
        columns = [["", *keys]]
        for title, row in points:
            columns.append([title, *(_interval(row, key) for key in keys.values())])
        widths = [max(map(len, column)) for column in columns]
        lines = [
            "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()
            for cells in zip(*columns, strict=True)
        ]
        return [f"mean of {len(self.seeds)} seeds [95 % interval]", "", *lines]

    def __str__(self) -> str:
        """The table."""
        return self.table() if self.rows else "Nothing was measured."


def _cell(row: Row, key: str | None) -> str:
    """Three digits; a dash where there is nothing to say."""
    value = row.get(key) if key else None
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.3g}"


def _interval(row: Row, key: str) -> str:
    """Mean and interval; the mean alone where all seeds agree or one is left."""
    mean, low, high = (_cell(row, key + suffix) for suffix in ("", "/low", "/high"))
    return mean if low in (high, "nan") else f"{mean} [{low}, {high}]"
