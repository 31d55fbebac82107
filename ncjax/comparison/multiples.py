"""A panel for each group and metric: its curve before those of all other groups."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncjax import style
from ncjax.collapse import Metric
from ncjax.comparison.figure import is_log, look
from ncjax.comparison.groups import Group
from ncjax.statistics import t_interval

_COLUMNS = 10
_OTHERS = "#c9ced4"


def figure(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    level: float,
    columns: int | None = None,
) -> Figure:
    """Groups from left to right, metrics from top to bottom, one axis for each metric.

    Each panel has the mean of its group with the interval over seeds, and in grey the
    means of all other groups; so ten groups stay readable where their curves cross.

    Args:
        groups: the groups, with the colours that they have in the curves together.
        metrics: the metrics to draw.
        level: confidence of the intervals.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    most = {None: _COLUMNS, 1: 4, 2: 5}.get(columns, _COLUMNS)
    bands = math.ceil(len(groups) / most)
    wide = math.ceil(len(groups) / bands)
    rows = len(metrics)
    height = (1.4 if columns is None else 1.1) * rows + 0.5  # of a band
    size = max(1.5 * wide + 0.6, 5), height * bands + 0.5
    drawn = style.new_figure(*size, columns=columns)
    grid = drawn.subplots(rows * bands, wide, squeeze=False, sharex=True, sharey=False)
    curves = [[_curve(group, metric, level) for group in groups] for metric in metrics]
    for row, metric in enumerate(metrics):
        for place, group in enumerate(groups):
            band, column = divmod(place, wide)
            axis = grid[band * rows + row, column]
            _panel(axis, curves[row], place, is_log(metric))
            style.decorate(axis, "", grid=None)
            if column == 0:
                axis.set_ylabel(metric.title, fontsize=8)
            else:
                axis.tick_params(labelleft=False, which="both")
            if row == 0:
                axis.set_title(textwrap.fill(group.name, 20), fontsize=8)
            if row == rows - 1:
                axis.set_xlabel("epoch", fontsize=8)
                axis.tick_params(labelbottom=True)
    for place in range(len(groups), bands * wide):
        for axis in grid[-rows:, place % wide]:
            axis.set_axis_off()
    if any(len(group.runs) > 1 for group in groups):
        note = (
            f"mean over seeds, band: {100 * level:.4g} % t-interval; grey: the others"
        )
        drawn.suptitle(note, fontsize=9, color=style.NOTE, x=0.99, ha="right")
    return style.for_page(drawn, columns)


def _curve(group: Group, metric: Metric, level: float) -> tuple[np.ndarray, ...]:
    """Epochs, mean, ends of the interval [m]; and the values of all seeds [n, m]."""
    epochs, values = group.curves(metric.key)
    if not epochs.size:
        return epochs, epochs, epochs, epochs, values
    _, centre, low, high = t_interval(values, level, metric.log)
    return epochs, centre, low, high, values


def _panel(axis: Axes, curves: Sequence[tuple], place: int, log: bool) -> None:
    """The curve of one group, before those of the others."""
    axis.set_xscale("log")
    axis.set_yscale("log" if log else "linear")
    for other, (epochs, centre, *_) in enumerate(curves):
        if other != place:
            axis.plot(epochs, centre, color=_OTHERS, lw=0.8, zorder=1)
    epochs, centre, low, high, _ = curves[place]
    if epochs.size:
        color = look(place)["color"]
        style.band(axis, epochs, low, high, color=color)
        draw = style.log_curve if log else Axes.plot
        draw(axis, epochs, centre, color=color, lw=1.8, zorder=2)
    values = np.concatenate([np.append(c[-1].ravel(), c[1]) for c in curves])
    if log:
        style.log_axis(axis, values)
    elif (values := values[np.isfinite(values)]).size:
        margin = 0.06 * np.ptp(values) or 0.06 * abs(values[0]) or 1
        axis.set_ylim(values.min() - margin, values.max() + margin)
    ends = [c[0][[0, -1]] for c in curves if c[0].size]
    if ends:
        first, last = np.min(ends), np.max(ends)
        axis.set_xlim(first, max(last, first + 1))
