"""The rows of a sweep, one for each run, read as columns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.options import unknown
from ncjax.runs.columns import Row
from ncjax.runs.history import History
from ncjax.runs.metrics import describe, headlines, home_of, outcomes
from ncjax.runs.seeds import LEVEL
from ncjax.statistics import Interval, t_interval
from ncjax.sweeps.plan import Member

ERROR_0 = "epoch of error 0"
# Values of the headline metrics whose first epochs stand in the table.
THRESHOLDS = (0.5, 0.1, 0.01, 0.001)
# How keys of headline metrics begin that are those of regression, which has no error 0,
# and of ordered levels.
_NOT_OF_CLASSES = ("nc/nrc", "nc/onc")


@dataclasses.dataclass(repr=False)
class Rows:
    """What a sweep found; `rows["nc/nc1"]` is one column, a value for each run.

    Attributes:
        fields: the swept fields.
        rows: for each run its `name`, its fields and `seed`, `stopped` (the epoch in
            which its loss was no longer finite, or ""), the last measured `epoch` with
            its metrics, `epoch of error 0`, and `epoch of nc/nc1 <= 0.1` and the like:
            the first measured epoch of that, NaN if there was none.
        workdir: folder of the sweep, or None.
    """

    fields: tuple[str, ...]
    rows: list[Row]
    workdir: Path | None = None

    def add(
        self,
        members: Sequence[Member],
        histories: Sequence[History],
        stopped: Mapping[int, int],
    ) -> None:
        """Takes in the runs of a program.

        Args:
            members: the runs.
            histories: what each of them measured.
            stopped: place of a run among them -> the epoch in which it stopped.
        """
        for place, (member, history) in enumerate(zip(members, histories, strict=True)):
            row = {"name": member.name} | member.setting
            row |= {"stopped": stopped.get(place, "")} | _reached(history)
            if history.rows and place not in stopped:
                row |= history.rows[-1]
            self.rows.append(row)

    @property
    def columns(self) -> list[str]:
        """The names of the columns; tables, like the confusion, are none."""
        names = dict.fromkeys(key for row in self.rows for key in row)
        listed = {k for row in self.rows for k, v in row.items() if isinstance(v, list)}
        return [name for name in names if name not in listed]

    def __getitem__(self, name: str) -> np.ndarray:
        """A column, a value for each run; NaN where a run has none.

        Raises:
            KeyError: if there is no such column.
        """
        if name not in self.columns:
            raise KeyError(unknown("column", name, self.columns))
        values = [row.get(name, math.nan) for row in self.rows]
        if any(isinstance(value, tuple) for value in values):
            column = np.empty(len(values), object)
            column[:] = values
            return column
        return np.array(values)

    def means(self, metric: str) -> list[tuple[dict[str, Any], Interval]]:
        """The mean of a metric over the seeds of each setting, with its interval.

        It is Student's 95 % interval, of the logarithm for metrics that span decades;
        runs that stopped are left out.
        """
        log = describe(metric).log
        groups: dict[str, tuple[dict[str, Any], list[float]]] = {}
        for row, value in zip(self.rows, self[metric], strict=True):
            setting = {field: row[field] for field in self.fields if field != "seed"}
            groups.setdefault(str(setting), (setting, []))[1].append(value)
        return [
            (setting, t_interval(np.array(values), LEVEL, log))
            for setting, values in groups.values()
        ]


def shown() -> list[str]:
    """The metrics that are printed and drawn: errors and NC1 to NC4, or NRC1 to 3."""
    return outcomes()


def _reached(history: History) -> dict[str, float]:
    """The first measured epochs of error 0, and of headline metrics that are small."""
    kind = next((x for x in _NOT_OF_CLASSES if f"{x}1" in history), "")
    found = {} if kind == "nc/nrc" else {ERROR_0: _first(history, "train/error", 0.0)}
    for metric in headlines():
        key = home_of(metric)
        other = next((x for x in _NOT_OF_CLASSES if key.startswith(x)), "")
        if metric.smaller_is_better and kind == other:
            for bound in THRESHOLDS:
                found[f"epoch of {key} <= {bound:g}"] = _first(history, key, bound)
    return found


def _first(history: History, key: str, bound: float) -> float:
    hits = (row["epoch"] for row in history.rows if row.get(key, math.nan) <= bound)
    return float(next(hits, math.nan))
