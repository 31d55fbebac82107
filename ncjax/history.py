"""What a run measured, as a table of rows by epoch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

Row = dict[str, int | float]  # "epoch" and the metrics measured after it

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

    Attributes:
        rows: one dict for each measured epoch, in order: `epoch` and the metrics.
        workdir: where the run was written, or None.
    """

    rows: list[Row]
    workdir: Path | None = None

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
        lines.insert(0, " " * widths[0] + titles)
        if start is None:
            lines.append("The training error did not reach 0: no terminal phase yet.")
        return "\n".join(lines)

    def __str__(self) -> str:
        """The table."""
        return self.table() if self.rows else "Nothing was measured."


def _cell(row: Row, key: str | None) -> str:
    """Three digits; a dash where there is nothing to say."""
    value = row.get(key) if key else None
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.3g}"
