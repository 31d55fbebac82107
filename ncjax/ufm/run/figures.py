"""Figures of the experiments."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure

from ncjax.ufm import Trajectory

BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#d1662b", "#2a8f5b", "#8a8a8a"
_NAMED = 20  # classes that get their names


def gram_distance(gram: np.ndarray, other: np.ndarray) -> float:
    """| A/|A| - B/|B| | of two Gram matrices, centred first."""
    gram, other = (_unit(np.asarray(g)) for g in (gram, other))
    return float(np.linalg.norm(gram - other))


def _unit(gram: np.ndarray, centre: bool = True) -> np.ndarray:
    if centre:
        gram = gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
    return gram / np.linalg.norm(gram)


def optimum(
    path: Trajectory,
    lower: float,
    gram: np.ndarray,
    predicted: np.ndarray | None,
    names: Sequence[str],
    source: str,
) -> Figure:
    """Flow above, Gram matrices below."""
    figure = Figure(figsize=(12.5, 7.4), layout="constrained")
    axes = figure.subplots(2, 3)
    flow_panels(axes[0], path, lower)
    grams = [("Class means at the optimum", gram)]
    if predicted is not None:
        grams.append((f"Predicted ({source})", predicted))
    gram_panels(figure, axes[1], grams, names)
    return figure


def flow_panels(axes: np.ndarray, path: Trajectory, lower: float | None) -> None:
    """Objective and gap, singular values, NC metrics over time.

    Time 0 is left out: the axes are logarithmic.
    """
    times = np.asarray(path.times)[1:]
    value = np.asarray(path.objective)[1:]
    if lower is not None:
        _line(axes[0], times, value - lower, BLUE, "objective above the optimum")
    else:
        _line(axes[0], times, value, BLUE, "objective")
    gap = np.asarray(path.gap)[1:]
    if np.isfinite(gap).any() and lower is not None:
        _line(axes[0], times, gap, ORANGE, "duality gap", ls="--")
    _line(axes[0], times, np.asarray(path.gradient_norm)[1:], GREY, "gradient norm")
    decorate(axes[0], "Gradient flow: objective", "time")
    for j, column in enumerate(np.asarray(path.singular_values)[1:].T):
        label = "one line for each" if j == 0 else None
        axes[1].plot(times, column, color=BLUE, lw=1.1, alpha=0.75, label=label)
    axes[1].set_xscale("log")
    decorate(axes[1], "Singular values of the logits", "time", legend=False)
    named = (
        ("NC1", path.nc1, GREEN),
        ("NC2", path.nc2, BLUE),
        ("NC3", path.nc3, ORANGE),
    )
    for label, values, color in named:
        values = np.asarray(values)[1:]
        if np.nanmax(values, initial=0) > 1e-12:
            style = "--" if label == "NC3" else "-"
            _line(axes[2], times, values, color, label, ls=style)
    low, _ = axes[2].get_ylim()
    axes[2].set_ylim(bottom=max(low, 1e-12))
    decorate(axes[2], "Neural collapse metrics", "time")


def gram_panels(
    figure: Figure,
    axes: np.ndarray,
    grams: Sequence[tuple[str, np.ndarray]],
    names: Sequence[str],
    *,
    centre: bool = True,
) -> None:
    """Unit Gram matrices on one colour scale; two get their difference."""
    units = [(title, _unit(gram, centre)) for title, gram in grams]
    top = max(float(np.abs(unit).max()) for _, unit in units)
    for axis, (title, unit) in zip(axes, units, strict=False):
        _matrix(figure, axis, unit, top, title, names)
    if len(units) == 2 and len(axes) > 2:
        change = units[0][1] - units[1][1]
        title = f"Difference (norm {np.linalg.norm(change):.1e})"
        size = max(float(np.abs(change).max()), 1e-16)
        _matrix(figure, axes[2], change, size, title, names)
    for axis in list(axes)[len(units) + (len(units) == 2) :]:
        axis.set_axis_off()


def _matrix(figure, axis, values, top, title, names):
    norm = TwoSlopeNorm(0, -top, top)
    image = axis.imshow(values, cmap="RdBu_r", norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    axis.set_title(title, fontsize=10, loc="left")
    axis.tick_params(length=0, labelsize=8)
    if len(values) <= _NAMED and len(names) == len(values):
        turn = 90 if max(map(len, names)) > 3 else 0
        axis.set_xticks(range(len(values)), names, rotation=turn)
        axis.set_yticks(range(len(values)), names)


def _line(axis, x, y, color, label, ls="-"):
    axis.plot(x, np.where(y > 0, y, np.nan), color=color, lw=1.6, ls=ls, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")


def decorate(axis: Axes, title: str, label: str, *, legend: bool = True) -> None:
    """Title, label of the x axis, light grid."""
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_xlabel(label, fontsize=9)
    axis.tick_params(labelsize=8)
    axis.grid(True, which="major", color="#e6e6e6", lw=0.6)
    axis.spines[["top", "right"]].set_visible(False)
    if legend and axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=8)


def threshold(axis: Axes, place: float, text: str) -> None:
    """A vertical line where theory puts a transition."""
    axis.axvline(place, color=GREY, ls=":", lw=1.4)
    axis.annotate(
        text,
        (place, 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(4, 0),
        textcoords="offset points",
        fontsize=8,
        color="#555555",
        va="top",
    )
