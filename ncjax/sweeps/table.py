"""The table of a sweep: printed, in files, as a figure."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ncjax.io import write_whole
from ncjax.report.read import read_json
from ncjax.report.sweep import TABLE, read_table
from ncjax.runs.columns import Row
from ncjax.runs.place import SWEEP
from ncjax.sweeps.rows import ERROR_0, Rows, shown
from ncjax.table import Part, Result, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclasses.dataclass(repr=False)
class Sweep(Rows, Result):
    """What a sweep found; `sweep["nc/nc1"]` is one column, a value for each run.

    Attributes:
        fields: the swept fields.
        rows: for each run its `name`, its fields and `seed`, `stopped` (the epoch in
            which its loss was no longer finite, or ""), the last measured `epoch` with
            its metrics, `epoch of error 0`, and `epoch of nc/nc1 <= 0.1` and the like:
            the first measured epoch of that, NaN if there was none.
        workdir: folder of the sweep, or None.
    """

    def write(self) -> None:
        """Writes sweep.csv into the folder of the sweep, whole or not at all."""
        assert self.workdir is not None
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(self.rows)
        write_whole(self.workdir / TABLE, text.getvalue())

    def plot(self, columns: int | None = None) -> Figure:
        """Curves over one swept field, heat maps over two, for each metric.

        Args:
            columns: 1 or 2 for so many columns of a page; None for a screen.
        """
        from ncjax.sweeps.figure import draw  # late: matplotlib takes long to import

        return draw(self, columns)

    def draw(self, suffix: str = ".png", columns: int | None = None) -> list[Path]:
        """Draws sweep.png into the folder of the sweep, if a run measured anything.

        Args:
            suffix: ending of the file, one of `ncjax.style.FORMATS`.
            columns: 1 or 2 for so many columns of a page; None for a screen.

        Returns:
            The files that were written.
        """
        from ncjax.style import save

        assert self.workdir is not None
        if not set(shown()) & set(self.columns):
            return []
        path = self.workdir / f"sweep{suffix}"
        save(self.plot(columns), path)
        return [path]

    def to_rows(self) -> list[Row]:
        """A dict of all columns for each run."""
        return [{n: row.get(n, math.nan) for n in self.columns} for row in self.rows]

    def parts(self) -> list[Part]:
        """The fields of each run, and its errors and headline metrics."""
        if not self.rows:
            return ["No run has ended yet."]
        metrics = [name for name in shown() if name in self.columns]
        fields = dict.fromkeys((*self.fields, "seed"))
        own = [f for f in fields if len({str(row[f]) for row in self.rows}) > 1]
        reached = [ERROR_0] if ERROR_0 in self.columns else []
        names = [*own, "stopped", *reached, *metrics]
        cells = [[_cell(row.get(n, math.nan)) for n in names] for row in self.rows]
        return [Table([names, *cells], ">")]

    def __repr__(self) -> str:
        """The fields and the number of runs."""
        return f"<Sweep of {', '.join(self.fields)}; {len(self.rows)} runs>"


def read_sweep(folder: Path) -> Sweep:
    """What a sweep found, as its folder has it; empty if no run has ended yet."""
    mark = read_json(folder / SWEEP, [])
    rows = [
        {k: v for k, v in row.items() if v != "" or k == "stopped"}
        for row in read_table(folder / TABLE, [])
    ]
    return Sweep(tuple(map(str, mark.get("fields") or ())), rows, folder)


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
