"""Figures of a run: collapse over epochs, over the layers, and the confusion."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from ncjax import style
from ncjax.collapse import Metric
from ncjax.evaluation.mistakes import confusion_by_level
from ncjax.hierarchy import Hierarchy
from ncjax.runs.columns import ROW_SUM, Columns
from ncjax.runs.metrics import describe, home_of, panels
from ncjax.style import save as save

_FLOOR = "nc/nc1_floor"
_LEAST = 4.0  # ratio of the ends of a log axis


def collapse(history: Columns, columns: int | None = None) -> Figure:
    """Error, loss and NC1-NC4 over epochs, log axes, terminal phase shaded.

    Every metric of the registry that has a panel is drawn, with values of 0 as hollow
    points on the lower edge.  When NC1 comes near the value that rounding of the
    features alone would give, that floor is drawn too, and values under it are crossed
    out.  With many seeds the lines are means, the bands 95 % intervals.  For a loss
    that knows a class tree there are panels of the tree, and dashed lines at what
    theory has in the limit of vanishing regularisation.

    Args:
        history: the metrics.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Example:
        >>> import ncjax
        >>> rows = [
        ...     {"epoch": 1, "train/error": 0.2, "nc/nc1": 0.5, "nc/nc1_floor": 1e-9},
        ...     {"epoch": 9, "train/error": 0.0, "nc/nc1": 0.1, "nc/nc1_floor": 1e-9},
        ... ]
        >>> figure = ncjax.plots.collapse(ncjax.History(rows))
        >>> figure.savefig("collapse.png")
    """
    metrics = history.shown()
    in_row = style.side_by_side(-(-len(metrics) // 2), columns)
    rows = -(-len(metrics) // in_row)
    figure = style.new_figure(3.67 * in_row, 3.25 * rows, columns=columns)
    grid = figure.subplots(rows, in_row, sharex=True, squeeze=False)
    # On a screen two panels above each other belong together.
    axes = (grid.T if rows == 2 else grid).ravel()
    lowest = [*grid[-1], axes[len(metrics) - 1]]
    if rows > 2:
        lowest = axes[max(0, len(metrics) - in_row) : len(metrics)]
    epochs, start = history["epoch"], history.terminal_epoch
    for axis, metric in zip(axes, metrics, strict=False):
        _panel(axis, history, metric)
        if start is not None:
            axis.axvspan(start, epochs[-1], color=style.SHADE, zorder=0)
        axis.set_xscale("log")
        axis.set_xlim(epochs[0], max(epochs[-1], epochs[0] + 1))
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    for axis in lowest:
        axis.set_xlabel("epoch", fontsize=9)
        axis.tick_params(labelbottom=True)
    if columns is None:
        axes[0].legend(frameon=False, fontsize=9)
    else:  # small panels have no room for it
        _legend_below(figure, axes[0], 3)
    figure.suptitle(_heading(history), fontsize=9, color=style.NOTE, x=0.01, ha="left")
    return style.for_page(figure, columns)


def _heading(history: Columns) -> str:
    """Which run it is, and what its lines and points mean: one line or two."""
    run = "" if history.workdir is None else history.workdir.name
    title = ": ".join(text for text in (run, history.about) if text)
    notes, start = [], history.terminal_epoch
    if history.seeds:
        notes.append(f"mean of {len(history.seeds)} seeds, band: 95 % interval")
    if start is not None:
        first = f"the first training error 0, epoch {start}"
        notes.append(f"shaded: terminal phase, from {first}, on")
    keys = [
        key
        for metric in history.shown()
        for key in (home_of(metric), f"test/{metric.key}")
        if _is_log(metric) and key in history
    ]
    if any((history[key] == 0).any() for key in keys):
        notes.append("hollow points at the edge: 0")
    if ROW_SUM in history:
        notes.append("broad and grey in NC0: theory, by weight decay alone")
    if history.limit:
        notes.append("dashed: theory in the limit of vanishing regularisation")
    return "\n".join(text for text in (title, "; ".join(notes)) if text)


def _is_log(metric: Metric) -> bool:
    return metric.curve != "linear"


def _panel(axis: Axes, history: Columns, metric: Metric) -> None:
    """One metric on the training set and, where it was measured, on the test set."""
    train, epochs = home_of(metric), history["epoch"]
    log, drawn = _is_log(metric), []
    axis.set_yscale("log" if log else "linear")
    draw = partial(style.log_curve, axis) if log else axis.plot
    both = (train, style.BLUE), (history.key_on_test(metric), style.ORANGE)
    for key, color in both:
        if key is not None:
            drawn.append(key)
            if history.seeds:
                low, high = history[f"{key}/low"], history[f"{key}/high"]
                style.band(axis, epochs, low, high, color=color)
            label = "train" if key == train else "test"
            look = {"marker": "o", "ms": 2.5, "lw": 1.4, "label": label}
            draw(epochs, history[key], color=color, **look)
    if metric.key == "nc1" and (history[train] < 100 * history[_FLOOR]).any():
        drawn.append(_FLOOR)
        _mark_floor(axis, history, train)
    each = [one for one in history.seeds if one.rows] or [history]
    values = np.concatenate([one[key] for one in each for key in drawn if key in one])
    theory = f"theory/{metric.key}"
    if theory in history:
        drawn.append(theory)
        under = {"lw": 6, "alpha": 0.4, "zorder": 1, "label": "theory"}
        draw(epochs, history[theory], color=style.GREY, **under)
    limit = history.limit.get(train, np.nan)
    if limit > 1e-6 or (not log and np.isfinite(limit)):  # a log axis cannot show 0
        axis.axhline(limit, color=style.GREY, lw=1.2, ls="--")
        values = np.append(values, limit)
    if log:
        style.log_axis(axis, values, _LEAST)
    style.decorate(axis, metric.panel)


def _mark_floor(axis: Axes, history: Columns, key: str) -> None:
    """The NC1 that rounding alone gives, and crosses on values that are under it."""
    epochs, nc1, floor = history["epoch"], history[key], history[_FLOOR]
    axis.plot(epochs, floor, ":", color=style.GREY, lw=1.4)
    axis.text(epochs[0], floor[0], " rounding of the features", fontsize=8, va="bottom")
    under = nc1 < floor
    cross = {"color": style.GREY, "ms": 8, "mew": 1.6, "clip_on": False}
    axis.plot(epochs[under], nc1[under], "x", **cross)


def layers(history: Columns, columns: int | None = None) -> Figure:
    """The metrics with a panel, and nearest-mean accuracy, over the network's depth.

    One line for each of some measured epochs, the last one darkest.  Needs a run with
    `config.eval.layers = "all"`.

    Args:
        history: the metrics.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Raises:
        ValueError: if the layers were not measured.
    """
    rows = history.rows
    names = sorted({k.split("/")[1] for k in rows[0] if k.startswith("layers/")})
    if not names:
        raise ValueError("No layers were measured; set config.eval.layers = 'all'.")
    metrics = [*panels(), describe("ncc_accuracy")]
    metrics = [m for m in metrics if f"layers/{names[0]}/{home_of(m)}" in history]
    in_row = style.side_by_side(len(metrics), columns)
    lines = -(-len(metrics) // in_row)
    figure = style.new_figure(3.1 * in_row, 3.6 * lines, columns=columns)
    chosen = np.unique(np.linspace(0, len(rows) - 1, 5).round().astype(int))
    depth = np.arange(1, len(names) + 1)
    axes = figure.subplots(lines, in_row, squeeze=False).ravel()
    for axis in axes[len(metrics) :]:
        axis.set_axis_off()
    for axis, metric in zip(axes, metrics, strict=False):
        keys = [f"layers/{name}/{home_of(metric)}" for name in names]
        for i, row in enumerate(rows[place] for place in chosen):
            shade = colormaps["Blues"](0.3 + 0.7 * (i + 1) / len(chosen))
            look = {"color": shade, "ms": 3, "lw": 1.4}
            values, epoch = [row[key] for key in keys], f"epoch {row['epoch']:.0f}"
            axis.plot(depth, values, "o-", label=epoch, **look)
        style.decorate(axis, metric.panel or metric.title.capitalize())
        axis.set_xticks(depth, [n[3:] for n in names], rotation=60, ha="right")
        if metric.log:
            axis.set_yscale("log")
    _legend_below(figure, axes[0], 3 if columns == 1 else 5)
    return style.for_page(figure, columns)


def _legend_below(figure: Figure, axis: Axes, in_row: int) -> None:
    """The names of the lines of a panel, below all panels."""
    handles, labels = axis.get_legend_handles_labels()
    look = {"ncols": in_row, "frameon": False, "fontsize": 9}
    figure.legend(handles, labels, loc="outside lower center", **look)


def confusion(
    history: Columns,
    class_names: Sequence[str],
    hierarchy: Hierarchy | None = None,
    columns: int | None = None,
) -> Figure:
    """Which class was taken for which at the last measured epoch, in percent of a row.

    One panel for each level of the tree, from its first superclasses to the classes,
    in the order of the tree, with lines between superclasses.  Needs a run with
    `config.eval.confusion = True`.

    Args:
        history: the metrics.
        class_names: names of the classes.
        hierarchy: the class tree; None for the classes alone.
        columns: 1 or 2 for so many columns of a page; None for a screen.

    Raises:
        KeyError: if the confusion was not measured.
    """
    table = history["test/confusion"][-1]
    shown = [("classes", table, class_names, np.zeros((1, len(table)), int))]
    if hierarchy is not None:
        depths = (*hierarchy.levels[:-1], hierarchy.height)
        shown = [_level(table, hierarchy, depth) for depth in depths]
    # Mistakes are few: half of the shades lie below 6 %.
    norm = PowerNorm(0.25, vmin=0, vmax=100)
    # The names of classes need room: one panel for each column of a page.
    in_row = len(shown) if columns is None else min(len(shown), columns)
    rows = -(-len(shown) // in_row)
    figure = style.new_figure(4.2 * in_row + 0.6, 4.7 * rows, columns=columns)
    grid = figure.subplots(rows, in_row, squeeze=False)
    axes = grid.ravel()
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis, (title, counts, names, lineage) in zip(axes, shown, strict=False):
        shares = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1e-30)
        axis.imshow(shares, cmap="Blues", norm=norm)
        style.decorate(axis, title, x="decision", grid=None)
        axis.spines[:].set_visible(True)
        style.part(axis, lineage)
        _name_classes(axis, shares, names)
    for axis in grid[:, 0]:
        axis.set_ylabel("true class", fontsize=9)
    shades = ScalarMappable(norm, "Blues")
    bar = figure.colorbar(shades, ax=grid[:, -1], shrink=0.8 / rows)
    bar.set_label("% of the class, test set")
    bar.set_ticks([0, 1, 10, 50, 100])
    epoch = f"epoch {history['epoch'][-1]:.0f}"
    seeds = f", mean of {len(history.seeds)} seeds" if history.seeds else ""
    about = f"{history.about}, " if history.about else ""
    figure.suptitle(
        about + epoch + seeds, fontsize=9, x=0.01, ha="left", color=style.NOTE
    )
    return style.for_page(figure, columns)


def _level(
    table: np.ndarray, tree: Hierarchy, depth: int
) -> tuple[str, np.ndarray, list[str], np.ndarray]:
    """Title, confusion, names and lineage at a depth, in the order of the tree."""
    counts, names = confusion_by_level(table, tree, depth)
    groups, _ = tree.superclasses(depth)
    _, member = np.unique(groups, return_index=True)  # a class of each group
    lineage = tree.lineage[1 : depth + 1, member]
    order = np.lexsort(lineage[::-1])
    title = "classes" if depth == tree.height else f"level {depth}"
    named = [names[place] for place in order]
    return title, counts[np.ix_(order, order)], named, lineage[:-1, order]


def _name_classes(axis: Axes, shares: np.ndarray, names: Sequence[str]) -> None:
    """Names of up to 30 classes; the percentages as numbers for up to 12."""
    if len(names) <= 30:
        places = range(len(names))
        axis.set_xticks(places, names, rotation=90, fontsize=8)
        axis.set_yticks(places, names, fontsize=8)
    if len(names) <= 12:
        for (i, j), value in np.ndenumerate(shares):
            color = "white" if value > 15 else "black"
            text = f"{value:.2g}" if value < 99.95 else "100"
            axis.text(j, i, text, ha="center", va="center", color=color, size=6.5)
