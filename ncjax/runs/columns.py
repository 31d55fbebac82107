"""The metrics of a run by epoch, read as columns."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.collapse.registry import TREE, Metric
from ncjax.options import unknown
from ncjax.runs.metrics import home_of, panels
from ncjax.table import sparkline

# What theory says beside `nc/nc0`: see `ncjax.training.row_sum`.
DECAY_TIME, ROW_SUM = "theory/decay_time", "theory/nc0"
# The metric whose `limit` is the best margin, where there are more classes than d + 1.
MARGIN = "nc/one_vs_rest_w"

# "epoch" and the metrics measured after it; a metric may be a table (lists of rows).
Row = dict[str, Any]


def what(config: Mapping[str, Any]) -> str:
    """The names of data, model and loss, those that a flat configuration has."""
    parts = (config.get(f"{part}.name") for part in ("data", "model", "loss"))
    return ", ".join(str(name) for name in parts if name is not None)


@dataclasses.dataclass(repr=False)
class Columns:
    """Metrics of a run; `columns["nc/nc1"]` is one of them.

    Attributes:
        rows: one dict for each measured epoch, in order: `epoch` and the metrics.
        workdir: folder to which the run was written, or None.
        seeds: with many seeds those of each seed, in their order; of the same class.
        about: what was trained, in words, for figures.
        limit: what metrics are in theory as regularisation vanishes, by key; of a loss
            that knows a class tree.
    """

    rows: list[Row]
    workdir: Path | None = None
    seeds: list[Any] = dataclasses.field(default_factory=list)
    about: str = ""
    limit: dict[str, float] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> np.ndarray:
        """The values of one metric over the measured epochs [m].

        Raises:
            KeyError: if the metric was not measured.
        """
        if name not in self:
            if not self.rows:
                raise KeyError(f"There is no {name!r}: nothing was measured.")
            raise KeyError(unknown("metric", name, self.rows[0]))
        return np.array([row[name] for row in self.rows])

    def __contains__(self, name: str) -> bool:
        """Whether the metric was measured."""
        return bool(self.rows) and name in self.rows[0]

    def key_on_test(self, metric: Metric) -> str | None:
        """Key of a metric on the test set; None if it has no value there."""
        key = f"test/{metric.key}"
        return key if key in self and not np.isnan(self[key]).all() else None

    @property
    def terminal_epoch(self) -> int | None:
        """First measured epoch with training error 0: the terminal phase's start."""
        start = self.terminal_row()
        return None if start is None else int(start["epoch"])

    def trend(self, metric: Metric, key: str = "", width: int = 8) -> str:
        """A metric over the measured epochs as a sparkline.

        It has a logarithmic axis where the figure has one.

        Args:
            metric: the metric.
            key: key of its values, by default of those on the training set.
            width: largest number of characters.
        """
        values, log = self[key or home_of(metric)], metric.curve != "linear"
        return sparkline(values, log=log, width=width)

    def shown(self) -> list[Metric]:
        """The measured metrics for its figure and table.

        Those that know of a tree are among them if there is a `limit` to compare with.
        """
        of_tree = any(key != MARGIN for key in self.limit)
        return [
            metric
            for metric in panels()
            if home_of(metric) in self and (metric.part != TREE or of_tree)
        ]

    def terminal_row(self) -> Row | None:
        """The row of the first measured epoch with training error 0."""
        return next((row for row in self.rows if row.get("train/error") == 0), None)


def is_measured(row: Row) -> bool:
    """Whether more is known of an epoch than the running averages of its training."""
    return any(k != "epoch" and not k.startswith("running/") for k in row)
