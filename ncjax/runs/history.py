"""What a run measured: as a table, as a figure, and as read from its files."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ncjax.runs.columns import DECAY_TIME, MARGIN, ROW_SUM, Columns, Row
from ncjax.runs.metrics import home_of
from ncjax.table import Part, Result, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FOLD = 80  # characters of a line of the table
_TREND = 3  # measured epochs from which on there are sparklines


@dataclasses.dataclass(repr=False)
class History(Columns, Result):
    """Metrics of a run; `history["nc/nc1"]` is one column.

    It prints as a table: metrics at the first epoch, the terminal phase's start and the
    end.  With many seeds the column holds their means, and `history["nc/nc1/low"]` and
    `history["nc/nc1/high"]` bound the 95 % interval.

    Attributes:
        rows: one dict for each measured epoch, in order: `epoch` and the metrics.
        workdir: folder to which the run was written, or None.
        seeds: with many seeds the history of each seed, in their order.
        about: what was trained, in words, for figures.
        limit: what metrics are in theory as regularisation vanishes, by key; of a loss
            that knows a class tree.
    """

    def to_rows(self) -> list[Row]:
        """The row of each measured epoch."""
        return self.rows

    def table(self) -> str:
        """The table as text."""
        return str(self)

    def plot(self, columns: int | None = None) -> Figure:
        """Error, loss and NC1-NC4 over epochs; see `ncjax.plots.collapse`.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.

        Raises:
            ValueError: if nothing was measured.
        """
        if not self.rows:
            raise ValueError("There is nothing to plot: no epoch was measured yet.")
        from ncjax.runs import plots  # late: matplotlib takes a second

        return plots.collapse(self, columns)

    def parts(self) -> list[Part]:
        """Metrics at the first epoch, the terminal phase's start and the end."""
        if not self.rows:
            return ["Nothing was measured."]
        first, start, last = self.rows[0], self.terminal_row(), self.rows[-1]
        points = [(f"epoch {first['epoch']:.0f}", first)]
        if start is not None:
            points.append((f"error 0, epoch {start['epoch']:.0f}", start))
        points.append((f"end, epoch {last['epoch']:.0f}", last))
        notes = []
        if _limits(self):
            notes.append("limit: of theory, as regularisation vanishes.")
        if (margin := self.limit.get(MARGIN)) is not None:
            notes.append(
                f"GNC2 is at most {margin:.3g}: the best margin that is known, or a "
                "bound (`ncjax codes`)."
            )
        if (x := last.get(DECAY_TIME)) is not None:
            notes += _decay(x, last.get(ROW_SUM), last.get("nc/nc0"))
        if start is None and "train/error" in self:
            of = " in every seed" if self.seeds else ""
            notes.append(
                f"The training error did not reach 0{of}: no terminal phase yet."
            )
        if not self.seeds:
            return [_table(self, points, notes)]
        number = f"mean of {len(self.seeds)} seeds [95 % interval]"
        return [number, _table_of_seeds(self, points, notes)]

    def __repr__(self) -> str:
        """Which run it is, how many epochs were measured, and how the last one was."""
        where = "" if self.workdir is None else str(self.workdir)
        run = ": ".join(text for text in (where, self.about) if text)
        seeds = f"{len(self.seeds)} seeds, " if self.seeds else ""
        epochs = f"{seeds}{len(self.rows)} epochs measured"
        last = self.rows[-1] if self.rows else {}
        ends = [
            f"{metric.title} {last[home_of(metric)]:.3g}"
            for metric in self.shown()
            if metric.headline
        ]
        at = f", at epoch {last['epoch']:.0f}: {', '.join(ends)}" if ends else ""
        return f"<History of {run or 'a run'}; {epochs}{at}>"


def _limits(history: History) -> Row:
    """What theory says of metrics; the best margin, of one metric, is a note."""
    return {key: value for key, value in history.limit.items() if key != MARGIN}


def _table(
    history: History, points: Sequence[tuple[str, Row]], notes: Sequence[str]
) -> Table:
    """A row for each metric, columns for training and test set.

    Class means are always those of the training set, so NC2 and NC3 have no test value.
    """
    limit, trend = _limits(history), len(history.rows) >= _TREND
    last = ["limit"] * bool(limit) + ["trend"] * trend
    cells = [["", *("train", "test") * len(points), *last]]
    for metric in history.shown():
        train, test = home_of(metric), history.key_on_test(metric)
        found = [_cell(row, key) for _, row in points for key in (train, test)]
        found += [_cell(limit, train)] * bool(limit) + [history.trend(metric)] * trend
        cells.append([metric.title, *found])
    above = [(text, 2) for text, _ in points]
    return Table(cells, ">", above=above, notes=notes, fold=_FOLD)


def _table_of_seeds(
    history: History, points: Sequence[tuple[str, Row]], notes: Sequence[str]
) -> Table:
    """A row for each metric and set: mean [interval]."""
    points = [*points, ("limit", limit)] if (limit := _limits(history)) else points
    trend = len(history.rows) >= _TREND
    cells = [["", *(heading for heading, _ in points), *["trend"] * trend]]
    for metric in history.shown():
        both = ("train", home_of(metric)), ("test", history.key_on_test(metric))
        for part, key in both:
            if key is not None:
                found = [_interval(row, key) for _, row in points]
                found += [history.trend(metric, key)] * trend
                cells.append([f"{part} {metric.title}", *found])
    return Table(cells, notes=notes, fold=_FOLD)


def _decay(x: float, predicted: float | None, measured: float | None) -> list[str]:
    """Lines on how far weight decay alone takes the classifier, and its row sum."""
    share = f"{100 * math.exp(-x):.3g} %"
    said = f"decay time x = {x:.3g}: weight decay alone leaves exp(-x) = {share} of W."
    if predicted is None or measured is None:
        return [said]
    sums = f"{predicted:.4g} by theory, {measured:.4g} measured"
    return [said, f"Row sum |W'1|: {sums}."]


def _cell(row: Row, key: str | None) -> str:
    """Three digits; a dash where there is no value."""
    value = row.get(key) if key else None
    return "-" if value is None else f"{value:.3g}"


def _interval(row: Row, key: str) -> str:
    """Mean and interval; the mean alone where all seeds agree or only one is left."""
    mean, low, high = (_cell(row, key + suffix) for suffix in ("", "/low", "/high"))
    return mean if low in (high, "nan") else f"{mean} [{low}, {high}]"
