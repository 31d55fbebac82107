"""Overlays as a table, as data and as a figure."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncjax import style
from ncjax.table import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ncjax.comparison.overlays import Overlay

_SHOWN = 6  # numbers of a row that are written out
_WIDE = 3  # panels beside each other


def table(overlays: Sequence[Overlay]) -> Table:
    """A row for each quantity of each group: means over seeds, and the distance."""
    rows = [["Found and predicted", "quantity", "found", "theory", "distance"]]
    for one in overlays:
        for name in one.runs[0].values:
            each = [run.values[name] for run in one.runs]
            found, predicted = (np.stack([b[i] for b in each]).mean(0) for i in (0, 1))
            away = np.mean([both.distance for both in each])
            numbers = (_numbers(found), _numbers(predicted))
            rows.append([one.name, name, *numbers, f"{away:.3g}"])
    notes = dict.fromkeys(one.note for one in overlays)
    about = (
        "Means over seeds. The distance is |found - theory| / |theory|, with the norm "
        "of the whole row where there are several numbers, and the mean over seeds."
    )
    return Table(rows, notes=(about, *notes))


def to_dict(overlays: Sequence[Overlay]) -> list[dict[str, Any]]:
    """Everything, for JSON."""
    return [
        {
            "name": one.name,
            "target": one.target,
            "runs": [
                {
                    "seed": run.seed,
                    "epoch": run.epoch,
                    "values": {
                        name: {
                            "found": both.found.tolist(),
                            "predicted": both.predicted.tolist(),
                            "distance": both.distance,
                        }
                        for name, both in run.values.items()
                    },
                }
                for run in one.runs
            ],
        }
        for one in overlays
    ]


def figure(overlays: Sequence[Overlay], columns: int | None = None) -> Figure:
    """A panel for each quantity of each group: points found, a line of theory.

    Args:
        overlays: the groups with their predictions.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    panels = [(one, name) for one in overlays for name in one.runs[0].values]
    wide = min(len(panels), {1: 2}.get(columns or 0, _WIDE))
    high = math.ceil(len(panels) / wide)
    drawn = style.new_figure(3.2 * wide + 0.5, 2.6 * high, columns=columns)
    grid = drawn.subplots(high, wide, squeeze=False).ravel()
    for axis, (one, name) in zip(grid, panels, strict=False):
        _panel(axis, one, name)
    grid[0].legend(frameon=False, fontsize=8)
    for axis in grid[len(panels) :]:
        axis.set_axis_off()
    return style.for_page(drawn, columns)


def _panel(axis: Axes, one: Overlay, name: str) -> None:
    """The numbers over their place; a single number has a point for each seed."""
    from matplotlib.ticker import MaxNLocator  # late: matplotlib takes a second

    each = [run.values[name] for run in one.runs]
    found, predicted = (np.stack([b[i] for b in each]) for i in (0, 1))
    single = found.ndim == 1
    if single:
        places, found, predicted = [run.seed for run in one.runs], [found], [predicted]
    else:
        places, predicted = np.arange(1, found.shape[1] + 1), [predicted.mean(0)]
    for row in found:
        axis.plot(places, row, "o", color=style.COLORS[0], ms=3.5, alpha=0.6)
    axis.plot([], [], "o", color=style.COLORS[0], ms=3.5, label="found")
    look = "x" if single else "-"
    axis.plot(places, predicted[0], look, color=style.COLORS[1], label="theory")
    axis.xaxis.set_major_locator(MaxNLocator("auto", integer=True))
    axis.set_title(f"{textwrap.fill(one.name, 34)}\n{name}", fontsize=9)
    axis.margins(y=0.2)
    style.decorate(axis, "", x="seed" if single else "place")


def _numbers(values: Any) -> str:
    """The first numbers, and how many more there are."""
    row = np.atleast_1d(values)
    text = " ".join(f"{value:.3g}" for value in row[:_SHOWN])
    return text if len(row) <= _SHOWN else f"{text} ... ({len(row)})"
