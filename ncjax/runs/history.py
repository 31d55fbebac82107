"""What a run measured, as a table of rows by epoch."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.collapse.registry import TREE, Metric
from ncjax.options import suggest
from ncjax.runs.metrics import home_of, panels

# What theory says beside `nc/nc0`: see `ncjax.training.row_sum`.
DECAY_TIME, ROW_SUM = "theory/decay_time", "theory/nc0"

# "epoch" and the metrics measured after it; a metric may be a table (lists of rows).
Row = dict[str, Any]

_RENAMED = {"nc/gram_to_theory": "nc/gram_to_limit"}  # keys in files of older versions


@dataclasses.dataclass
class History:
    """Metrics of a run; `history["nc/nc1"]` is one column.

    With many seeds the column holds their means, and `history["nc/nc1/low"]` and
    `history["nc/nc1/high"]` bound the 95 % interval.

    Attributes:
        rows: one dict for each measured epoch, in order: `epoch` and the metrics.
        workdir: folder to which the run was written, or None.
        seeds: with many seeds the history of each seed, in their order.
        about: what was trained, in words, for figures.
        limit: what metrics are in theory as regularisation vanishes, by key; of a loss
            that knows a class tree.
    """

    rows: list[Row]
    workdir: Path | None = None
    seeds: list[History] = dataclasses.field(default_factory=list)
    about: str = ""
    limit: dict[str, float] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of one metric over the measured epochs [m].

        Raises:
            KeyError: if the metric was not measured.
        """
        if name not in self:
            measured = list(self.rows[0]) if self.rows else []
            listed = ", ".join(measured) or "none, nothing was measured"
            meant = suggest(name, measured)
            raise KeyError(f"Unknown metric {name!r}.{meant} Available: {listed}.")
        return np.array([row[name] for row in self.rows])

    def __contains__(self, name: str) -> bool:
        """Whether the metric was measured."""
        return bool(self.rows) and name in self.rows[0]

    @property
    def terminal_epoch(self) -> int | None:
        """First measured epoch with training error 0: the terminal phase's start."""
        start = self._terminal()
        return None if start is None else int(start["epoch"])

    def shown(self) -> list[Metric]:
        """The measured metrics for its figure and table.

        Those that know of a tree are among them if there is a `limit` to compare with.
        """
        return [
            metric
            for metric in panels()
            if home_of(metric) in self and (metric.part != TREE or self.limit)
        ]

    def _terminal(self) -> Row | None:
        return next((row for row in self.rows if row["train/error"] == 0), None)

    def table(self) -> str:
        """Metrics at the first epoch, the terminal phase's start and the end."""
        first, last = self.rows[0], self.rows[-1]
        points = [(f"epoch {first['epoch']:.0f}", first)]
        start = self._terminal()
        if start is not None:
            points.append((f"error 0, epoch {start['epoch']:.0f}", start))
        points.append((f"end, epoch {last['epoch']:.0f}", last))
        lines = _table_of_seeds(self, points) if self.seeds else _table(self, points)
        if self.limit:
            lines.append("limit: of theory, as regularisation vanishes.")
        if (x := last.get(DECAY_TIME)) is not None:
            lines.append(_decay(x, last.get(ROW_SUM), last.get("nc/nc0")))
        if start is None:
            of = " in every seed" if self.seeds else ""
            lines.append(
                f"The training error did not reach 0{of}: no terminal phase yet."
            )
        return "\n".join(lines)

    def __str__(self) -> str:
        """The table."""
        return self.table() if self.rows else "Nothing was measured."


def _measured(history: History) -> list[tuple[str, str, str | None]]:
    """Title and keys, on training and test set, of what stands in the table.

    Class means are always those of the training set, so NC2 and NC3 have no test value.
    """
    found = []
    for metric in history.shown():
        test = f"test/{metric.key}"
        on_test = test if test in history else None
        found.append((metric.title, home_of(metric), on_test))
    return found


def _table(history: History, points: Sequence[tuple[str, Row]]) -> list[str]:
    """A line for each metric, columns for training and test set."""
    limit = history.limit
    rows = [["", *("train", "test") * len(points), *(["limit"] if limit else [])]]
    for title, train, test in _measured(history):
        both = (train, test)
        cells = [_cell(row, key) for _, row in points for key in both]
        rows.append([title, *cells, *([_cell(limit, train)] if limit else [])])
    widths = [max(9, *map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        " ".join(c.rjust(w) for c, w in zip(cells, widths, strict=True))
        for cells in rows
    ]
    pair = widths[1] + widths[2] + 2
    headings = "".join(heading.rjust(pair) for heading, _ in points)
    return [" " * widths[0] + headings, *lines]


def _table_of_seeds(history: History, points: Sequence[tuple[str, Row]]) -> list[str]:
    """A line for each metric and set: mean [interval]."""
    points = [*points, ("limit", history.limit)] if history.limit else points
    rows = [["", *(heading for heading, _ in points)]]
    for title, train, test in _measured(history):
        for part, key in (("train", train), ("test", test)):
            if key is not None:
                cells = (_interval(row, key) for _, row in points)
                rows.append([f"{part} {title}", *cells])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)).rstrip()
        for cells in rows
    ]
    return [f"mean of {len(history.seeds)} seeds [95 % interval]", "", *lines]


def _decay(x: float, predicted: float | None, measured: float | None) -> str:
    """How far weight decay alone takes the classifier, and its row sum."""
    share = f"{100 * math.exp(-x):.3g} %"
    said = f"decay time x = {x:.3g}: weight decay alone leaves exp(-x) = {share} of W."
    if predicted is None or measured is None:
        return said
    return f"{said}\nRow sum |W'1|: {predicted:.4g} by theory, {measured:.4g} measured."


def _cell(row: Row, key: str | None) -> str:
    """Three digits; a dash where there is no value."""
    value = row.get(key) if key else None
    return "-" if value is None else f"{value:.3g}"


def _interval(row: Row, key: str) -> str:
    """Mean and interval; the mean alone where all seeds agree or only one is left."""
    mean, low, high = (_cell(row, key + suffix) for suffix in ("", "/low", "/high"))
    return mean if low in (high, "nan") else f"{mean} [{low}, {high}]"


def read_rows(path: Path) -> list[Row]:
    """All whole rows of a metrics.jsonl; none if there is no file."""
    return [row for row in map(parse_row, read_lines(path)) if row]


def read_lines(path: Path) -> list[str]:
    """The lines of a file; none if there is no file."""
    return path.read_text().splitlines() if path.exists() else []


def parse_row(line: str) -> Row | None:
    """The row of a line; None for a last line that a killed run left unfinished."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError:
        return None
    return {_RENAMED.get(k, k): math.nan if v is None else v for k, v in row.items()}


def is_measured(row: Row) -> bool:
    """Whether more is known of an epoch than the running averages of its training."""
    return any(k != "epoch" and not k.startswith("running/") for k in row)
