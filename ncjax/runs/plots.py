"""Figures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ncjax.evaluation.mistakes import confusion_by_level
from ncjax.hierarchy import Hierarchy
from ncjax.runs.history import History

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
    edge.  When NC1 comes near the value that rounding of the features alone would give,
    that floor is drawn too, and values under it are crossed out.  With many seeds the
    lines are means, the bands 95 % intervals; the axes enclose what the seeds did.
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
        drawn = [train]
        _curve(axis, history, train, _TRAIN, "train")
        if test in history.rows[0]:
            drawn.append(test)
            _curve(axis, history, test, _TEST, "test")
        if train == "nc/nc1" and (history[train] < 100 * floor).any():
            drawn.append("nc/nc1_floor")
            _mark_floor(axis, epochs, history[train], floor)
        if history.seeds:
            _enclose(axis, history, drawn)
        axis.set_title(title, fontsize=10, loc="left")
        axis.grid(True, which="major", color="#e6e6e6", lw=0.6)
        if history.terminal_epoch is not None:
            axis.axvspan(history.terminal_epoch, epochs[-1], color="#f3ecd8", zorder=0)
        axis.set_xscale("log")
        axis.set_xlim(epochs[0], max(epochs[-1], epochs[0] + 1))
    for axis in axes[1::2]:
        axis.set_xlabel("epoch")
    axes[0].legend(frameon=False, fontsize=9)
    notes = []
    if history.seeds:
        notes.append(f"mean of {len(history.seeds)} seeds, band: 95 % interval")
    if history.terminal_epoch is not None:
        since = f"training error 0 since epoch {history.terminal_epoch}"
        notes.append(f"shaded: terminal phase, {since}")
    if notes:
        figure.suptitle(
            "; ".join(notes),
            fontsize=9,
            color="#7a6a3a",
            x=0.99,
            ha="right",
        )
    return figure


def layers(history: History) -> Figure:
    """NC1, NC2, NC4 and nearest-mean accuracy over the depth of the network.

    One line for each of some measured epochs, the last one darkest.  Needs a run with
    `config.eval.layers = "all"`.

    Raises:
        ValueError: if the layers were not measured.
    """
    names = sorted(
        {k.split("/")[1] for k in history.rows[0] if k.startswith("layers/")}
    )
    if not names:
        raise ValueError("No layers were measured; set config.eval.layers = 'all'.")
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = (
        ("nc/nc1", "NC1  within / between class variance", True),
        ("nc/nc2", "NC2  distance to a simplex ETF", False),
        ("nc/nc4", "NC4  not the nearest class mean", False),
        ("train/ncc_accuracy", "Accuracy of the nearest class mean", False),
    )
    chosen = np.unique(np.linspace(0, len(history.rows) - 1, 5).round().astype(int))
    depth = np.arange(1, len(names) + 1)
    axes = figure.subplots(1, len(panels))
    for axis, (key, title, log) in zip(axes, panels, strict=True):
        for i, row in enumerate(chosen):
            values = [history.rows[row][f"layers/{name}/{key}"] for name in names]
            shade = colormaps["Blues"](0.3 + 0.7 * (i + 1) / len(chosen))
            epoch = f"epoch {history.rows[row]['epoch']:.0f}"
            axis.plot(depth, values, "o-", color=shade, ms=3, lw=1.4, label=epoch)
        axis.set_title(title, fontsize=9, loc="left")
        axis.set_xticks(depth, [n[3:] for n in names], rotation=60, ha="right")
        axis.tick_params(labelsize=8)
        axis.grid(True, color="#e6e6e6", lw=0.6)
        if log:
            axis.set_yscale("log")
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def confusion(
    history: History, class_names: Sequence[str], hierarchy: Hierarchy | None = None
) -> Figure:
    """Which class was taken for which at the last measured epoch, in percent of a row.

    One panel for each level of the tree, from its first superclasses to the classes.
    Needs a run with `config.eval.confusion = True`.

    Raises:
        KeyError: if the confusion was not measured.
    """
    table = history["test/confusion"][-1]
    panels = [("classes", table, class_names)]
    if hierarchy is not None:
        panels = [
            (f"level {depth}", *confusion_by_level(table, hierarchy, depth))
            for depth in hierarchy.levels[:-1]
        ] + panels
    # Mistakes are few: half of the shades lie below 6 %.
    norm = PowerNorm(0.25, vmin=0, vmax=100)
    figure = Figure(figsize=(4.2 * len(panels) + 0.6, 4.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    for axis, (title, counts, names) in zip(axes, panels, strict=True):
        share = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1e-30)
        axis.imshow(share, cmap="Blues", norm=norm)
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("decision")
        if len(names) <= 30:
            places = range(len(names))
            axis.set_xticks(places, names, rotation=90, fontsize=8)
            axis.set_yticks(places, names, fontsize=8)
        if len(names) <= 12:
            for (i, j), value in np.ndenumerate(share):
                color = "white" if value > 15 else "black"
                text = f"{value:.2g}" if value < 99.95 else "100"
                axis.text(j, i, text, ha="center", va="center", color=color, size=6.5)
    axes[0].set_ylabel("true class")
    shades = ScalarMappable(norm, "Blues")
    bar = figure.colorbar(shades, ax=axes[-1], shrink=0.8)
    bar.set_label("% of the class, test set")
    bar.set_ticks([0, 1, 10, 50, 100])
    epoch = f"epoch {history['epoch'][-1]:.0f}"
    seeds = f", mean of {len(history.seeds)} seeds" if history.seeds else ""
    figure.suptitle(epoch + seeds, fontsize=9, x=0.99, ha="right", color="#7a6a3a")
    return figure


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure as PNG, whole or not at all."""
    path = Path(path)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        figure.savefig(file, format="png", dpi=140)
    os.replace(file.name, path)


def _mark_floor(
    axis: Axes, epochs: np.ndarray, nc1: np.ndarray, floor: np.ndarray
) -> None:
    """The NC1 that rounding alone gives, and crosses on values that are under it."""
    axis.plot(epochs, floor, ":", color=_FLOOR, lw=1.4)
    axis.text(epochs[0], floor[0], " rounding of the features", fontsize=8, va="bottom")
    under = nc1 < floor
    axis.plot(epochs[under], nc1[under], "x", color=_FLOOR, ms=8, mew=1.6)


def _curve(axis: Axes, history: History, key: str, color: str, label: str) -> None:
    """A line on a log axis with its zeros as hollow points on the lower edge."""
    x, y = history["epoch"], history[key]
    if history.seeds:
        low, high = history[f"{key}/low"], history[f"{key}/high"]
        low = np.maximum(low, np.finfo(float).tiny)  # beyond the edge
        high = np.where(high > 0, high, np.nan)
        axis.fill_between(x, low, high, color=color, alpha=0.2, lw=0)
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


def _enclose(axis: Axes, history: History, keys: list[str]) -> None:
    """Limits of a log axis: what the seeds did; wide intervals may leave them."""
    values = np.concatenate([one[key] for one in history.seeds for key in keys])
    values = values[values > 0]
    if values.size:
        margin = max((values.max() / values.min()) ** 0.06, 1.01)
        axis.set_ylim(values.min() / margin, values.max() * margin)
