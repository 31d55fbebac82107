"""How figures look: colours, axes, curves on log axes, files.  One place for all."""

from __future__ import annotations

import copy
import functools
import io
import os
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ncjax.io import write_whole

if TYPE_CHECKING:  # matplotlib is loaded by the first figure
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# After Wong, Points of View: Color Blindness, Nature Methods 2011: told apart by
# colour-blind readers.
BLUE, ORANGE, GREEN, GREY = "#1f5fa8", "#d1662b", "#2a8f5b", "#8a8a8a"
GRID, SHADE, NOTE = "#e6e6e6", "#f3ecd8", "#7a6a3a"
# Ten groups: Wong 2011, then Tol 2021; dashes tell apart what colour cannot.
COLORS = (
    *("#0072B2", "#D55E00", "#009E73", "#000000", "#CC79A7"),
    *("#56B4E9", "#E69F00", "#882255", "#999933", "#332288"),
)
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
FORMATS = (".png", ".pdf", ".svg")
# Inches of one column of a page, and of both: those of most journals, within 3 %.
WIDTHS = {1: 3.35, 2: 6.9}
_PANELS = {1: 2, 2: 3}  # panels side by side that are still read in so many columns
_SMALLER, _SMALLEST = 0.78, 6.0  # letters on a page over those on a screen; points
_DPI = 140
_SCREEN = 80  # dots per inch in a notebook, which stores what it shows


def decorate(
    axis: Axes,
    title: str,
    *,
    x: str = "",
    y: str = "",
    grid: Literal["x", "y", "both"] | None = "both",
    legend: bool = False,
) -> None:
    """Title on the left, labels of the axes, a light grid, no box.

    Args:
        axis: the matplotlib axes.
        title: title of the panel.
        x: label of the x axis; "" leaves it as it is.
        y: label of the y axis; "" leaves it as it is.
        grid: lines across "x", "y" or "both" axes; None draws none.
        legend: whether to name the curves that have a label.
    """
    axis.set_title(title, fontsize=10, loc="left")
    if x:
        axis.set_xlabel(x, fontsize=9)
    if y:
        axis.set_ylabel(y, fontsize=9)
    axis.tick_params(labelsize=8, which="both")
    if grid:
        axis.grid(True, axis=grid, which="major", color=GRID, lw=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    if legend and axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, fontsize=8)


def log_axis(axis: Axes, values: np.ndarray, least: float = 1.0) -> None:
    """A log y axis that encloses the positive values, with numbers people can read.

    Powers of ten where the values span two decades or more; else plain numbers.  Empty
    space above and below is 6 % of the decades in between.

    Args:
        axis: the matplotlib axes.
        values: all that is drawn, any shape; 0 and NaN do not count.
        least: the upper end of the axis is at least this many times the lower one, so
            that a small change looks small.
    """
    from matplotlib import ticker

    axis.set_yscale("log")
    axis.yaxis.set_minor_formatter(ticker.NullFormatter())
    values = np.asarray(values, float)
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return
    ratio = values.max() / values.min()
    factor = max(ratio**0.06, 1.01, (least / ratio) ** 0.5)
    axis.set_ylim(values.min() / factor, values.max() * factor)
    if ratio < 100:
        few, many = ticker.MaxNLocator(5), ticker.LogLocator(subs=(1, 2, 5))
        axis.yaxis.set_major_locator(few if ratio * factor**2 < 5 else many)
        axis.yaxis.set_major_formatter(lambda x, _: f"{x:g}")


def log_curve(
    axis: Axes, x: np.ndarray, y: np.ndarray, *, color: str, **options: object
) -> None:
    """A curve for a log y axis: zeros are hollow points on its lower edge.

    Args:
        axis: the matplotlib axes.
        x: places [n].
        y: values [n], at least 0; NaN leaves a gap.
        color: colour of the curve and its hollow points.
        **options: options of `Axes.plot`.
    """
    axis.plot(x, np.where(y > 0, y, np.nan), color=color, **options)  # type: ignore[arg-type]
    hollow_points(axis, x[y == 0], color=color)


def hollow_points(axis: Axes, x: np.ndarray, *, color: str) -> None:
    """Hollow points on the lower edge at x [m]: 0, which a log axis cannot show."""
    if not len(x):  # a curve without points has no extent, which breaks the layout
        return
    axis.plot(
        *(x, np.zeros(len(x)), "o"),
        color=color,
        mfc="white",
        ms=4,
        transform=axis.get_xaxis_transform(),
        clip_on=False,
    )


def band(
    axis: Axes, x: np.ndarray, low: np.ndarray, high: np.ndarray, *, color: str
) -> None:
    """The interval around a curve; on a log axis values of 0 lie off the edge."""
    if axis.get_yscale() == "log":
        low = np.maximum(low, np.finfo(float).tiny)
        high = np.where(high > 0, high, np.nan)
    axis.fill_between(x, low, high, color=color, alpha=0.18, lw=0)


def part(axis: Axes, lineage: np.ndarray) -> None:
    """Lines between the superclasses of a matrix with a row for each of K classes.

    Args:
        axis: the matplotlib axes, in which class k is at k.
        lineage: node above each class at each depth, from the first on [D, K]; classes
            of one node stand together.  The deeper the level, the thinner the line.
    """
    drawn: set[int] = set()
    for depth, row in enumerate(lineage):
        for place in set(np.flatnonzero(np.diff(row)).tolist()) - drawn:
            look = {"color": "black", "lw": max(1.2 / (depth + 1), 0.4)}
            axis.axhline(place + 0.5, **look)
            axis.axvline(place + 0.5, **look)
            drawn.add(place)


def new_figure(
    width: int | float,
    height: int | float,
    layout: Any = "constrained",
    columns: int | None = None,
) -> Figure:
    """An empty figure that a notebook shows by itself, whatever its backend is.

    Args:
        width: its width in inches.
        height: its height in inches.
        layout: name of the layout engine, or the engine.
        columns: 1 or 2 to make it as wide as so many columns of a page, whatever its
            `width`; `for_page` then makes its letters small.

    Raises:
        ValueError: for other columns.
    """
    from matplotlib.figure import Figure

    if columns is not None:
        check_columns(columns)
        ratio = WIDTHS[columns] / width
        # Letters shrink less than panels, and need their height.
        width, height = WIDTHS[columns], height * ratio**0.8
    figure = Figure(figsize=(width, height), layout=layout)
    # Jupyter draws figures by itself only after pyplot was imported.
    vars(figure)["_repr_png_"] = functools.partial(render, figure, ".png", _SCREEN)
    return figure


def check_columns(columns: int) -> None:
    """Raises ValueError unless a page has so many columns."""
    if columns not in WIDTHS:
        raise ValueError(
            f"A figure is 1 or 2 columns of a page wide, got columns={columns!r}. "
            "Leave it out for a figure on a screen."
        )


def side_by_side(usual: int, columns: int | None = None) -> int:
    """How many panels stand in a row.

    Args:
        usual: their number on a screen.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    return usual if columns is None else min(usual, _PANELS.get(columns, usual))


def for_page(figure: Figure, columns: int | None) -> Figure:
    """Letters, lines and points of a drawn figure as small as a page wants them.

    Args:
        figure: the figure, of `new_figure` with the same `columns`.
        columns: 1 or 2; None leaves all as it is, for a screen.

    Returns:
        The figure itself.
    """
    if columns is None:
        return figure
    from matplotlib.lines import Line2D
    from matplotlib.text import Text

    sides = [side for axis in figure.axes for side in (axis.xaxis, axis.yaxis)]
    ticks = [side.get_ticklabels() for side in sides]
    sizes = [_small(labels[0]) if labels else _SMALLEST for labels in ticks]
    for text in figure.findobj(Text):
        text.set_fontsize(_small(text))
    for side, size in zip(sides, sizes, strict=True):  # also of ticks still to come
        side.set_tick_params(which="both", labelsize=size, pad=2)
    for line in figure.findobj(Line2D):
        line.set_linewidth(_SMALLER * line.get_linewidth())
        line.set_markersize(_SMALLER * line.get_markersize())
    across = 72 * figure.get_figwidth()  # points
    for text in figure.texts:
        _wrap(text, across)
    figure.draw_without_rendering()  # panels now have their places
    for axis in figure.axes:
        width = across * axis.get_position().width
        titles = {axis.get_title(loc=side) for side in ("left", "center")} - {""}
        for text in axis.findobj(Text, include_self=False):
            if text.get_text() in titles:
                _wrap(text, width)
        if (legend := axis.get_legend()) is not None:
            for text in legend.get_texts():  # beside their lines
                _wrap(text, width - 4 * float(text.get_fontsize()))
    return figure


def _wrap(text: Text, width: float) -> None:
    """Breaks a text into lines that are at most `width` points long."""
    letters = max(int(width / (0.55 * float(text.get_fontsize()))), 8)
    lines = text.get_text().split("\n")
    text.set_text(
        "\n".join(
            textwrap.fill(line, letters, break_long_words=False) for line in lines
        )
    )


def on_page(figure: Figure, columns: int | None) -> Figure:
    """A copy of a figure that was drawn for a screen, for a page.

    In one column of it the panels stand one above the other.

    Args:
        figure: the figure, all panels of which are of one grid.
        columns: 1 or 2 columns of a page; None gives the figure itself.

    Raises:
        ValueError: for other columns.
    """
    if columns is None:
        return figure
    check_columns(columns)
    from matplotlib.gridspec import GridSpec

    figure = copy.deepcopy(figure)
    width, height = figure.get_size_inches()
    specs = {axis: axis.get_subplotspec() for axis in figure.axes}
    panels = [axis for axis, spec in specs.items() if spec is not None]
    grid = panels[0].get_gridspec()
    assert grid is not None, "panels of a grid have one"
    in_row = grid.ncols if columns == 2 else 1
    if in_row < grid.ncols:
        rows = -(-len(panels) // in_row)
        height, width = height / grid.nrows * rows, width / grid.ncols * in_row
        new = GridSpec(rows, in_row, figure=figure)
        for place, axis in enumerate(panels):
            axis.set_subplotspec(new[place // in_row, place % in_row])
            axis.tick_params(labelleft=True)  # of those that shared an axis, too
    ratio = WIDTHS[columns] / width
    figure.set_size_inches(WIDTHS[columns], height * ratio**0.8)
    return for_page(figure, columns)


def _small(text: Text) -> float:
    """Size of the letters of a text on a page, in points."""
    points = float(text.get_fontsize())
    return max(_SMALLER * points, min(points, _SMALLEST))


def render(figure: Figure, suffix: str, dpi: int = _DPI) -> bytes:
    """The figure as the bytes of a file that ends in one of `FORMATS`."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix.removeprefix("."), dpi=dpi)
    return buffer.getvalue()


def save(figure: Figure, path: str | os.PathLike) -> None:
    """Writes the figure, whole or not at all, in the format of the file's ending.

    Raises:
        ValueError: for an ending that is not one of `FORMATS`.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise ValueError(
            f"{path} has the ending {suffix!r}. Available: {', '.join(FORMATS)}."
        )
    write_whole(path, render(figure, suffix))
