"""Error against severity: how often groups are wrong, and how far in the class tree."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncjax import style
from ncjax.comparison.figure import legend, look
from ncjax.comparison.groups import Group
from ncjax.runs.metrics import ERROR, SEVERITY, describe
from ncjax.statistics import pareto_front

_MARKS = "osD^vPX*<>"


def has_severity(groups: Sequence[Group]) -> bool:
    """Whether two groups or more know the severity of their mistakes, from a tree."""
    known = [g for g in groups if np.isfinite(_points(g)).all(axis=1).any()]
    return len(known) > 1


def figure(groups: Sequence[Group], level: float, columns: int | None = None) -> Figure:
    """A point for each group: mean test error, mean severity of a mistake.

    Bars are intervals over seeds, small points the seeds.  The grey step joins the
    groups that no other one beats in both, the Pareto front.  Along a dotted line the
    average hierarchical distance is the same: AHD@1 = error x severity.

    Args:
        groups: the groups, with the colours that they have in the curves.
        level: confidence of the intervals.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Raises:
        ValueError: if fewer than two groups know the severity of their mistakes.
    """
    if not has_severity(groups):
        raise ValueError(
            "Error against severity needs two groups or more of runs with a class tree."
        )
    # One column of a page has room for one name in a row.
    wide, names = (6.4, len(groups)) if columns == 1 else (8.2, len(groups) / 2)
    drawn = style.new_figure(wide, 4.4 + 0.32 * names, columns=columns)
    axis = drawn.subplots()
    centres = []
    for place, group in enumerate(groups):
        color, mark = look(place)["color"], _MARKS[place % len(_MARKS)]
        x, y = (group.summary(describe(key), level) for key in (ERROR, SEVERITY))
        points = _points(group) * (100, 1)
        axis.plot(*points.T, mark, color=color, ms=3, alpha=0.45, mew=0)
        centre = 100 * float(x.centre), float(y.centre)
        if np.isfinite(x.low):
            axis.hlines(centre[1], 100 * x.low, 100 * x.high, color=color, lw=1.3)
        if np.isfinite(y.low):
            axis.vlines(centre[0], y.low, y.high, color=color, lw=1.3)
        axis.plot(*centre, mark, color=color, ms=7.5, mec="white", mew=0.8, zorder=3)
        centres.append(centre)
    _front(axis, np.array(centres))
    _same_distance(axis)
    style.decorate(
        axis,
        "",
        x=f"{describe(ERROR).title}, %",
        y=describe(SEVERITY).title,
    )
    marks = [
        {
            "color": look(i)["color"],
            "ls": "",
            "marker": _MARKS[i % len(_MARKS)],
            "ms": 6,
        }
        for i in range(len(groups))
    ]
    legend(drawn, axis, [group.name for group in groups], marks)
    note = f"bars: {100 * level:.4g} % t-intervals; grey: Pareto front; dotted: AHD@1"
    drawn.suptitle(note, fontsize=9, color=style.NOTE, x=0.99, ha="right")
    return style.for_page(drawn, columns)


def _points(group: Group) -> np.ndarray:
    """Error and severity of each seed [n, 2]."""
    return np.stack([group.final(key) for key in (ERROR, SEVERITY)], axis=1)


def _front(axis: Axes, centres: np.ndarray) -> None:
    """The Pareto front, as a step."""
    best = centres[pareto_front(centres)]
    x, y = best[np.argsort(best[:, 0])].T
    axis.step(x, y, where="post", color=style.GREY, lw=1.4, zorder=1)


def _same_distance(axis: Axes) -> None:
    """Lines along which error times severity is the same, each with its value."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    left, low = max(left, 1e-9), max(low, 1e-9)
    x = np.linspace(left, right, 200)
    ends = left * low / 100, right * high / 100
    for distance in MaxNLocator(7).tick_values(*ends):
        y = 100 * distance / x
        inside = (y > low) & (y < high)
        if inside.sum() > 20:
            axis.plot(x, y, ":", color=style.GREY, lw=0.8, zorder=0)
            at = np.flatnonzero(inside)[-8]
            axis.annotate(
                f"{distance:.3g}",
                (x[at], y[at]),
                color=style.GREY,
                fontsize=7,
                ha="center",
                va="center",
                bbox={"fc": "white", "ec": "none", "pad": 1},
            )
    axis.set(xlim=(left, right), ylim=(low, high))
