"""Figures."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncjax.history import History

_TRAIN, _TEST, _FLOOR = "#1f5fa8", "#d1662b", "#8a8a8a"
_NC = (
    ("nc1", "NC1  within / between class variance"),
    ("nc2", "NC2  distance of the means to a simplex ETF"),
    ("nc3", "NC3  distance of classifier and means"),
    ("nc4", "NC4  not the nearest class mean"),
)


def collapse(history: History) -> Figure:
    """Error, loss and NC1-NC4 over epochs, log axes, terminal phase shaded.

    Values of 0 cannot stand on a log axis: they are drawn as hollow points on the lower
    edge.  NC1 under its rounding floor is drawn hollow too.
    """
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True).T.ravel()
    epochs = history["epoch"]
    floor = history["nc/nc1_floor"]
    panels = [
        ("Error", "train/error", "test/error"),
        ("Loss", "train/loss", "test/loss"),
        *((title, f"nc/{key}", f"test/{key}") for key, title in _NC),
    ]
    for axis, (title, train, test) in zip(axes, panels, strict=True):
        _curve(axis, epochs, history[train], _TRAIN, "train")
        if test in history.rows[0]:
            _curve(axis, epochs, history[test], _TEST, "test")
        if train == "nc/nc1" and (floor > 0).any():
            axis.plot(epochs, floor, ":", color=_FLOOR, lw=1.2, label="rounding floor")
        axis.set_title(title, fontsize=10, loc="left")
        axis.grid(True, which="major", color="#e6e6e6", lw=0.6)
        if history.terminal_epoch is not None:
            axis.axvspan(history.terminal_epoch, epochs[-1], color="#f3ecd8", zorder=0)
        axis.set_xscale("log")
        axis.set_xlim(epochs[0], max(epochs[-1], epochs[0] + 1))
    for axis in axes[1::2]:
        axis.set_xlabel("epoch")
    axes[0].legend(frameon=False, fontsize=9)
    if history.terminal_epoch is not None:
        figure.suptitle(
            f"shaded: terminal phase, training error 0 since epoch "
            f"{history.terminal_epoch}",
            fontsize=9,
            color="#7a6a3a",
            x=0.99,
            ha="right",
        )
    return figure


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure as PNG, whole or not at all."""
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        figure.savefig(file, format="png", dpi=140)
    os.replace(file.name, path)


def _curve(axis: Axes, x: np.ndarray, y: np.ndarray, color: str, label: str) -> None:
    """A line on a log axis with its zeros as hollow points on the lower edge."""
    positive = np.where(y > 0, y, np.nan)
    axis.plot(x, positive, "o-", color=color, ms=2.5, lw=1.4, label=label)
    axis.set_yscale("log")
    zero = y == 0
    if zero.any():
        axis.plot(
            x[zero],
            np.zeros(zero.sum()),
            "o",
            color=color,
            mfc="white",
            ms=4,
            transform=axis.get_xaxis_transform(),
            clip_on=False,
        )
