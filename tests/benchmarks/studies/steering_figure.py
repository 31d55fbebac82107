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
_ACROSS = 4  # panels of conditions side by side


def draw(
    squares: Mapping[str, Rows],
    orders: Mapping[str, np.ndarray],
    errors: Mapping[str, Rows],
) -> Figure:
    """Accuracy on squares, order of learned codes, errors of the methods.

    Args:
        squares: data set -> assignment -> accuracy by seed, %.
        orders: distance -> rank correlation with that of a learned code, by run.
        errors: condition -> method -> test error by seed, %.
    """
    down = -(-len(errors) // _ACROSS)
    figure = Figure(figsize=(13, 2.4 * (1 + down)), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=[1, down])
    top, bottom = parts[0, 0], parts[1, 0]
    first = top.subplots(1, len(squares) + 1, squeeze=False)[0]
    for axis, (title, rows) in zip(first, squares.items(), strict=False):
        _dots(axis, f"{title}: accuracy %", rows, list(rows))
    _histograms(first[-1], orders)
    names = list(dict.fromkeys(name for rows in errors.values() for name in rows))
    axes = bottom.subplots(down, _ACROSS, squeeze=False)
    for number, axis in enumerate(axes.flat):
        if number >= len(errors):
            axis.set_axis_off()
            continue
        title, rows = list(errors.items())[number]
        _dots(axis, f"{title}: error %", rows, names, named=number % _ACROSS == 0)
    return figure


def _dots(
    axis: Axes, title: str, rows: Rows, names: list[str], named: bool = True
) -> None:
    """A line for each row: its values, their mean and its 95 % interval."""
    for place, name in enumerate(names):
        values = rows.get(name, np.array([]))
        if len(values) < 2:
            continue
        each = t_interval(values, LEVEL)
        axis.plot(values, np.full(len(values), place), ".", ms=3, color=style.GREY)
        axis.plot([each.low, each.high], [place, place], color=style.BLUE)
        axis.plot(each.centre, place, "o", ms=4, color=style.BLUE)
    axis.set_yticks(range(len(names)), names if named else [""] * len(names))
    axis.set_ylim(len(names) - 0.5, -0.5)
    style.decorate(axis, title)


def _histograms(axis: Axes, orders: Mapping[str, np.ndarray]) -> None:
    """How often which rank correlation was found."""
    bins = np.linspace(-0.5, 1, 31)
    for (name, values), color in zip(orders.items(), style.COLORS, strict=False):
        axis.hist(values, bins.tolist(), histtype="step", color=color, label=name)
    axis.axvline(0, color=style.NOTE, lw=0.8, ls=":")
    axis.set_xlim(-0.5, 1)
    style.decorate(axis, "Rank correlation of code distances with those", legend=True)
    axis.set_ylabel("runs", fontsize=9)
