"""Panels that the figures of several experiments have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ncjax import style
from ncjax.gram import centred_gram
from ncjax.hierarchy import Hierarchy
from ncjax.hierarchy.draw import leaf_order
from ncjax.style import BLUE, GREEN, GREY, ORANGE
from ncjax.ufm import Trajectory

MISSING = "#d9d9d9"  # where there is no value
_LEAST = 4.0  # ratio of the ends of the axis of NC metrics
_NAMED = 20  # largest number of classes that get their names


def panels(size: tuple, rows: int, columns: int, **options: Any) -> tuple[Figure, Any]:
    """A figure of this width and height in inches, and its axes.

    Args:
        size: width and height of the figure.
        rows: number of rows of panels.
        columns: number of columns.
        **options: those of matplotlib's `subplots`.
    """
    figure = style.new_figure(*size)
    return figure, figure.subplots(rows, columns, **options)


def optimum(
    path: Trajectory,
    lower: float,
    gram: np.ndarray,
    predicted: np.ndarray | None,
    tree: Hierarchy | None,
    source: str,
) -> Figure:
    """Flow in the upper row, Gram matrices in the lower row.

    Args:
        path: the flow.
        lower: value of the objective at the optimum.
        gram: Gram matrix [K, K] of the class means at the optimum.
        predicted: predicted Gram matrix [K, K], or None.
        tree: class tree, in whose order the classes stand; None for their numbers.
        source: where the prediction comes from, in a word.
    """
    figure, axes = panels((12.5, 7.4), 2, 3)
    flow_panels(axes[0], path, lower)
    grams = [("Class means at the optimum", gram)]
    if predicted is not None:
        grams.append((f"Predicted ({source})", predicted))
    gram_panels(figure, axes[1], grams, tree)
    return figure


def flow_panels(axes: np.ndarray, path: Trajectory, lower: float | None) -> None:
    """Objective and gap, singular values, NC metrics over time.

    Time 0 is left out: the axes are logarithmic.

    Args:
        axes: three axes of matplotlib [3].
        path: the flow.
        lower: value of the objective at the optimum; None draws the objective itself.
    """
    times = np.asarray(path.times)[1:]
    value = np.asarray(path.objective)[1:]
    label = "objective" if lower is None else "objective above the optimum"
    _line(axes[0], times, value - (lower or 0.0), BLUE, label)
    gap = np.asarray(path.gap)[1:]
    if np.isfinite(gap).any() and lower is not None:
        _line(axes[0], times, gap, ORANGE, "duality gap", ls="--")
    _line(axes[0], times, np.asarray(path.gradient_norm)[1:], GREY, "gradient norm")
    panel(axes[0], "Gradient flow: objective", "time")
    for column in np.asarray(path.singular_values)[1:].T:
        axes[1].plot(times, column, color=BLUE, lw=1.1, alpha=0.75)
    axes[1].set_xscale("log")
    panel(axes[1], "Singular values of the logits", "time")
    named = (
        ("NC1", path.nc1, GREEN),
        ("NC2", path.nc2, BLUE),
        ("NC3", path.nc3, ORANGE),
    )
    for label, values, color in named:
        values = np.asarray(values)[1:]
        if np.nanmax(values, initial=0) > 1e-12:
            ls = "--" if label == "NC3" else "-"  # NC3 often lies on NC2
            _line(axes[2], times, values, color, label, ls=ls)
    seen = np.concatenate([np.asarray(values)[1:] for _, values, _ in named])
    style.log_axis(axes[2], seen[seen > 1e-12], _LEAST)
    panel(axes[2], "Neural collapse metrics", "time")


def gram_panels(
    figure: Figure,
    axes: np.ndarray,
    grams: Sequence[tuple[str, np.ndarray]],
    tree: Hierarchy | None = None,
    *,
    centre: bool = True,
) -> None:
    """Gram matrices of norm 1 on one colour scale; two get a panel of their difference.

    Classes stand in the order of their tree, with lines between its superclasses.

    Args:
        figure: the figure of matplotlib that gets the colour bar.
        axes: axes of matplotlib, one for each panel; those left over are hidden.
        grams: title and matrix [K, K] of each panel.
        tree: tree over the classes, which has their names; by default their numbers.
        centre: whether to centre the matrices.
    """
    order = np.arange(len(grams[0][1])) if tree is None else leaf_order(tree)
    units = []
    for title, gram in grams:
        gram = centred_gram(gram) if centre else gram
        gram = gram[np.ix_(order, order)]
        units.append((title, gram / (np.linalg.norm(gram) or 1)))  # 0: all have merged
    top = max(1e-16, *(float(np.abs(unit).max()) for _, unit in units))
    for axis, (title, unit) in zip(axes, units, strict=False):
        _matrix(figure, axis, unit, top, title, tree)
    if len(units) == 2 and len(axes) > 2:
        change = units[0][1] - units[1][1]
        title = f"Difference (norm {np.linalg.norm(change):.1e})"
        size = max(float(np.abs(change).max()), 1e-16)
        _matrix(figure, axes[2], change, size, title, tree)
    for axis in list(axes)[len(units) + (len(units) == 2) :]:
        axis.set_axis_off()


def heat_map(
    figure: Figure,
    axis: Axes,
    sides: Sequence,
    values: np.ndarray,
    colors: str,
    *,
    whole: bool = False,
) -> None:
    """Values [A, B] in colours over two swept fields; NaN is grey.

    Args:
        figure: the figure of matplotlib that gets the colour bar.
        axis: the axes of matplotlib to draw in.
        sides: both fields, with `name`, `values` and `log`: [A] along x, [B] along y.
        values: the values [A, B].
        colors: name of the colour map.
        whole: whether these are whole numbers, each with a colour of its own.
    """
    x, y = sides
    levels, shown, norm = np.unique(values[np.isfinite(values)]), values, None
    if whole:
        shown = np.searchsorted(levels, values)
        norm = Normalize(-0.5, len(levels) - 0.5)
    palette = colormaps[colors].resampled(len(levels) if whole else 256)
    image = axis.pcolormesh(
        x.values, y.values, shown.T, shading="nearest", cmap=palette, norm=norm
    )
    bar = figure.colorbar(image, ax=axis, label=axis.get_title(loc="left"))
    bar.outline.set_visible(False)
    if whole:
        steps = np.linspace(0, len(levels) - 1, min(len(levels), 12))
        kept = [round(place) for place in steps.tolist()]
        bar.set_ticks(kept, labels=[f"{levels[i]:g}" for i in kept])
        bar.ax.minorticks_off()
    axis.set_facecolor(MISSING)
    axis.grid(False)
    axis.set_yscale("log" if y.log else "linear")
    axis.set_ylabel(y.name, fontsize=9)
    axis.set(xlim=(x.values[0], x.values[-1]), ylim=(y.values[0], y.values[-1]))


def explain(axis: Axes, *, lines: bool, missing: bool) -> None:
    """A legend for the lines on a heat map, and for its grey where it has any."""
    shown: list[Artist] = []
    if lines:
        color = axis.lines[0].get_color()
        shown.append(Line2D([], [], color=color, lw=1.4, label="theory: rank changes"))
    if missing:
        text = "all classes have merged: no geometry"
        shown.append(Patch(facecolor=MISSING, edgecolor=GREY, label=text))
    if shown:
        axis.legend(handles=shown, fontsize=8, loc="upper left", facecolor="#bbbbbb")


def _matrix(figure, axis, values, top, title, tree):
    norm = TwoSlopeNorm(0, -top, top)
    image = axis.imshow(values, cmap="RdBu_r", norm=norm, interpolation="nearest")
    bar = figure.colorbar(image, ax=axis, shrink=0.85, pad=0.02)
    bar.set_label("entry, matrices of norm 1", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    axis.set_title(title, fontsize=10, loc="left")
    axis.tick_params(length=0, labelsize=8)
    names, order = [str(k) for k in range(len(values))], range(len(values))
    if tree is not None:
        names, order = tree.class_names, leaf_order(tree)
        style.part(axis, tree.lineage[1:-1, order])
    if len(values) <= _NAMED and len(names) == len(values):
        turn = 90 if max(map(len, names)) > 3 else 0
        named = [names[k] for k in order]
        axis.set_xticks(range(len(values)), named, rotation=turn)
        axis.set_yticks(range(len(values)), named)


def _line(axis, x, y, color, label, ls="-"):
    axis.plot(x, np.where(y > 0, y, np.nan), color=color, lw=1.6, ls=ls, label=label)
    axis.set_xscale("log")
    axis.set_yscale("log")


def panel(axis: Axes, title: str, label: str) -> None:
    """Title, label of the x axis, grid, and the names of labelled curves."""
    style.decorate(axis, title, x=label, legend=True)


def threshold(axis: Axes, place: float, text: str) -> None:
    """A vertical line, with its name, where theory puts a transition."""
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
