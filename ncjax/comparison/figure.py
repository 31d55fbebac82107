"""Curves of groups of runs, overlaid."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from ncjax.collapse import Metric
from ncjax.comparison.groups import Group
from ncjax.statistics import t_interval
from ncjax.style import (
    COLORS,
    DASHES,
    GREY,
    NOTE,
    band,
    decorate,
    for_page,
    log_axis,
    log_curve,
    new_figure,
    side_by_side,
)

_BANDS = 4  # groups whose bands can be told apart


def figure(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    level: float,
    columns: int | None = None,
) -> Figure:
    """Mean over seeds and its interval over epochs, a panel for each metric.

    Only the epochs that all runs of a group measured are drawn.  Means of 0 cannot
    stand on a log axis: they are hollow points on its lower edge.  The axes enclose
    what the seeds did; wide intervals of few seeds may leave them.  The bands of more
    than four groups would cover each other: then the intervals of the last epoch stand
    side by side, right of the curves.

    Args:
        groups: the groups, each with a colour and dashes of its own.
        metrics: the metrics to draw.
        level: confidence of the intervals.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    usual = min(len(metrics), 2 if len(metrics) == 4 else 3)
    in_row = side_by_side(usual, columns)
    rows = math.ceil(len(metrics) / in_row)
    width, height = (3.7, 2.9) if len(groups) <= _BANDS else (4.9, 3.9)
    # One column of a page has room for one name in a row.
    names = 0.9 if columns != 1 else 0.6 + 0.35 * len(groups)
    size = max(width * in_row, 5.5), height * rows + names
    drawn = new_figure(*size, columns=columns)
    axes = drawn.subplots(rows, in_row, squeeze=False, sharex=True).ravel()
    for axis, metric in zip(axes, metrics, strict=False):
        _panel(axis, groups, metric, level)
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    for place in range(max(0, len(metrics) - in_row), len(metrics)):
        axes[place].set_xlabel("epoch", fontsize=9)
        axes[place].tick_params(labelbottom=True)
    names = [group.name for group in groups]
    legend(drawn, axes[0], names, [look(place) for place in range(len(names))])
    if any(len(group.runs) > 1 for group in groups):
        where = "band" if len(groups) <= _BANDS else "at the right, last epoch"
        title = f"mean over seeds; {where}: {100 * level:.4g} % t-interval"
        drawn.suptitle(title, fontsize=9, color=NOTE, x=0.99, ha="right")
    return for_page(drawn, columns)


def _panel(axis: Axes, groups: Sequence[Group], metric: Metric, level: float) -> None:
    """The curves of all groups in one metric, and the limits of the axes."""
    log = is_log(metric)
    axis.set_yscale("log" if log else "linear")
    axis.set_xscale("log")
    epochs, values, ends = np.empty(0), np.empty(0), []
    for place, group in enumerate(groups):
        own, each = group.curves(metric.key)
        if own.size:
            own_look = look(place)
            _, centre, low, high = t_interval(each, level, metric.log)
            if len(groups) <= _BANDS:
                band(axis, own, low, high, color=own_look["color"])
            elif np.isfinite(low[-1]):
                ends.append((place, low[-1], centre[-1], high[-1]))
            draw = functools.partial(log_curve, axis) if log else axis.plot
            draw(own, centre, marker="o" if len(own) == 1 else None, ms=4, **own_look)
            epochs = np.append(epochs, own)
            # A mean with zeros in it may be below every positive value.
            values = np.concatenate([values, each.ravel(), centre])
    if epochs.size:
        last = max(epochs.max(), epochs.min() + 1)
        axis.set_xlim(epochs.min(), last)
        if ends and epochs.min() > 0:
            _draw_ends(axis, ends, epochs.min(), last, len(groups))
    if log:
        log_axis(axis, values)
    elif (values := values[np.isfinite(values)]).size:
        margin = 0.06 * np.ptp(values) or 0.06 * abs(values[0]) or 1
        axis.set_ylim(values.min() - margin, values.max() + margin)
    decorate(axis, metric.title)


def _draw_ends(
    axis: Axes, ends: Sequence[tuple], first: float, last: float, number: int
) -> None:
    """Intervals of the last epoch, side by side in a strip right of the curves."""
    step = (last / first) ** (0.25 / number)  # a quarter of the axis of epochs
    axis.axvline(last, color=GREY, lw=0.8)
    for place, low, centre, high in ends:
        x = last * step ** (place + 1)
        color = look(place)["color"]
        axis.plot([x, x], [low, high], color=color, lw=1.7)
        axis.plot([x], [centre], "o", ms=3.5, color=color)
    axis.set_xlim(first, last * step ** (number + 1))
    axis.xaxis.set_major_locator(FixedLocator(_decades(first, last)))
    axis.xaxis.set_major_formatter(lambda x, _: f"{x:g}")
    axis.xaxis.set_minor_locator(NullLocator())


def _decades(first: float, last: float) -> list[float]:
    """The powers of ten from the first to the last epoch, and these if far from any."""
    exponents = range(math.ceil(math.log10(first)), math.floor(math.log10(last)) + 1)
    tens = [10.0**e for e in exponents]
    ends = [x for x in (first, last) if all(abs(math.log(x / t)) > 0.7 for t in tens)]
    return sorted([*tens, *ends])


def legend(
    drawn: Figure, axis: Axes, names: Sequence[str], looks: Sequence[dict]
) -> None:
    """The names of the groups below the panels, as many in a row as there is room.

    Args:
        drawn: the figure of matplotlib.
        axis: one of its axes.
        names: name of each group.
        looks: options of `Axes.plot` of each group.
    """
    handles = [
        axis.plot([], [], **look, label=name)[0]
        for name, look in zip(names, looks, strict=True)
    ]
    width = 0.085 * max(map(len, names)) + 0.7  # inches of an entry
    drawn.legend(
        handles=handles,
        loc="outside lower center",
        ncols=max(1, min(len(names), int(drawn.get_figwidth() / width))),
        frameon=False,
        fontsize=9,
        handlelength=3,
    )


def look(place: int) -> dict:
    """Colour, dashes and width of the curves of the group at a place."""
    return {
        "color": COLORS[place % len(COLORS)],
        "ls": DASHES[(place + place // len(COLORS)) % len(DASHES)],
        "lw": 1.7,
    }


def is_log(metric: Metric) -> bool:
    """Without an axis of its own, log for error rates and what spans decades."""
    if metric.curve is None:
        return metric.log or metric.percent
    return metric.curve == "log"
