"""Curves of groups of runs, overlaid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ncjax.metrics import Metric
from ncjax.statistics import t_interval

if TYPE_CHECKING:
    from ncjax.comparison.core import Comparison
    from ncjax.comparison.groups import Group

# After Wong (Nature Methods 2011) and Tol (2021); dashes tell apart what colour cannot.
_COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#882255", "#999933", "#332288"),
)
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))


def figure(comparison: Comparison) -> Figure:
    """Mean over seeds and its interval over epochs, a panel for each metric.

    Only the epochs that all runs of a group measured are drawn.  Means of 0 cannot
    stand on a log axis: they are hollow points on its lower edge.  The axes enclose
    what the seeds did; wide intervals of few seeds may leave them.
    """
    metrics = [m for m in comparison.metrics if m.curve or comparison.chosen]
    metrics = metrics or list(comparison.metrics)
    columns = min(len(metrics), 4 if len(metrics) > 6 or len(metrics) == 4 else 3)
    rows = math.ceil(len(metrics) / columns)
    several = any(len(group.runs) > 1 for group in comparison.groups)

    drawn = Figure(
        figsize=(max(3.7 * columns, 5.5), 2.9 * rows + 0.9), layout="constrained"
    )
    axes = drawn.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axis, metric in zip(axes, metrics, strict=False):
        for place, group in enumerate(comparison.groups):
            _curve(axis, group, metric, comparison.level, place)
        _decorate(axis, metric, comparison.groups, comparison.level)
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    for place in range(len(metrics)):
        if place + columns >= len(metrics):
            axes[place].set_xlabel("epoch", fontsize=9)
            axes[place].tick_params(labelbottom=True)

    names = [group.name for group in comparison.groups]
    handles = [
        axes[0].plot([], [], **_style(i), label=n)[0] for i, n in enumerate(names)
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
    if several:
        title = f"mean over seeds, band: {100 * comparison.level:.4g} % t-interval"
        drawn.suptitle(title, fontsize=9, color="#666666", x=0.99, ha="right")
    return drawn


def _style(place: int) -> dict:
    """Colour and dashes of a group."""
    return {
        "color": _COLORS[place % len(_COLORS)],
        "ls": _DASHES[(place + place // len(_COLORS)) % len(_DASHES)],
        "lw": 1.7,
    }


def _curve(axis: Axes, group: Group, metric: Metric, level: float, place: int) -> None:
    epochs, values = group.curves(metric.key)
    if not epochs.size:
        return
    style = _style(place)
    _, centre, low, high = t_interval(values, level, metric.log)
    if _axis(metric) == "log":
        zero = centre == 0
        if zero.any():
            axis.plot(
                *(epochs[zero], np.zeros(zero.sum()), "o"),
                color=style["color"],
                mfc="white",
                ms=4,
                transform=axis.get_xaxis_transform(),
                clip_on=False,
            )
        centre = np.where(centre > 0, centre, np.nan)
        low = np.maximum(low, np.finfo(float).tiny)  # beyond the edge
        high = np.where(high > 0, high, np.nan)
    axis.fill_between(epochs, low, high, color=style["color"], alpha=0.15, lw=0)
    single = len(epochs) == 1
    axis.plot(epochs, centre, marker="o" if single else None, ms=4, **style)


def _decorate(
    axis: Axes, metric: Metric, groups: Sequence[Group], level: float
) -> None:
    axis.set_title(metric.title, fontsize=10, loc="left")
    axis.set_xscale("log")
    curves = [group.curves(metric.key) for group in groups]
    epochs = np.concatenate([e for e, _ in curves])
    if epochs.size:
        axis.set_xlim(epochs.min(), max(epochs.max(), epochs.min() + 1))
    # A mean with zeros in it may be below every positive value.
    means = [t_interval(v, level, metric.log).centre for _, v in curves if v.size]
    values = np.concatenate([*(v.ravel() for _, v in curves), *means])
    if _axis(metric) == "log":
        axis.set_yscale("log")
        values = values[values > 0]
        if values.size:
            ratio = values.max() / values.min()
            margin = max(ratio**0.06, 1.01)
            axis.set_ylim(values.min() / margin, values.max() * margin)
            _ticks(axis, ratio)
    else:
        values = values[np.isfinite(values)]
        if values.size:
            margin = 0.06 * np.ptp(values) or 0.06 * abs(values[0]) or 1
            axis.set_ylim(values.min() - margin, values.max() + margin)
    axis.tick_params(labelsize=8, which="both")
    axis.grid(True, which="major", color="#e6e6e6", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _axis(metric: Metric) -> str:
    """Of a metric without a curve by default: log for error rates and wide spans."""
    return metric.curve or ("log" if metric.log or metric.percent else "linear")


def _ticks(axis: Axes, ratio: float) -> None:
    """Plain numbers where a log axis spans too little for powers of ten."""
    axis.yaxis.set_minor_formatter(NullFormatter())
    if ratio < 100:
        axis.yaxis.set_major_locator(
            MaxNLocator(5) if ratio < 4 else LogLocator(subs=(1, 2, 5))
        )
        axis.yaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
