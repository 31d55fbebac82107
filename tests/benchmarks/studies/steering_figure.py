"""The figure of the study of steered geometries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncjax import style
from ncjax.statistics import t_interval
from tests.benchmarks.studies.harness import LEVEL

Rows = Mapping[str, np.ndarray]  # name of a row -> values by seed


def draw(
    squares: Mapping[str, Rows],
    orders: Mapping[str, np.ndarray],
    errors: Mapping[str, Rows],
    shifted: Mapping[str, Rows],
) -> Figure:
    """Accuracy on squares, order of learned codes, errors of the methods.

    Args:
        squares: data set -> assignment -> accuracy by seed, %.
        orders: distance -> rank correlation with that of a learned code, by run.
        errors: condition -> method -> test error by seed, %.
        shifted: shift of the test images -> method -> test error by seed, %.
    """
    bands = [
        [*((f"{title}: accuracy %", rows) for title, rows in squares.items()), orders],
        [(f"{title}: error %", rows) for title, rows in errors.items()],
        [(f"test images {title}: error %", rows) for title, rows in shifted.items()],
    ]
    bands = [band for band in bands if band]
    figure = Figure(figsize=(13, 2.5 * len(bands)), layout="constrained")
    parts = np.ravel(figure.subfigures(len(bands), 1))
    for part, band in zip(parts, bands, strict=True):
        for axis, panel in zip(part.subplots(1, len(band)), band, strict=True):
            if isinstance(panel, tuple):
                title, rows = panel
                _dots(axis, title, rows, named=panel is band[0] or band is bands[0])
            else:
                _histograms(axis, panel)
    return figure


def _dots(axis: Axes, title: str, rows: Rows, named: bool) -> None:
    """A line for each row: its values, their mean and its 95 % interval."""
    for place, values in enumerate(rows.values()):
        each = t_interval(values, LEVEL)
        axis.plot(values, np.full(len(values), place), ".", ms=3, color=style.GREY)
        axis.plot([each.low, each.high], [place, place], color=style.BLUE)
        axis.plot(each.centre, place, "o", ms=4, color=style.BLUE)
    axis.set_yticks(range(len(rows)), list(rows) if named else [""] * len(rows))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    style.decorate(axis, title)


def _histograms(axis: Axes, orders: Mapping[str, np.ndarray]) -> None:
    """How often which rank correlation was found."""
    bins = np.linspace(-0.5, 1, 31)
    for (name, values), color in zip(orders.items(), style.COLORS, strict=False):
        axis.hist(values, bins, histtype="step", color=color, label=name)
    axis.axvline(0, color=style.NOTE, lw=0.8, ls=":")
    axis.set_xlim(-0.5, 1)
    style.decorate(axis, "Learned codes, d = 2: rank correlation", legend=True)
    axis.set_ylabel("runs", fontsize=9)
