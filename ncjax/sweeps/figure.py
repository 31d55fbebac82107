"""The figure of a sweep: curves over one field, or heat maps over two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ncjax import style
from ncjax.grid import is_geometric
from ncjax.runs.metrics import describe
from ncjax.sweeps.rows import ERROR_0, Rows, shown


def draw(sweep: Rows, columns: int | None = None) -> Figure:
    """A panel for each error and headline metric, and for the epoch of error 0.

    Over one swept field a curve of means over seeds with their intervals; over two a
    heat map.  Of more fields the two with the most values are the axes, and each cell
    is the mean over the others, which the title says.

    Args:
        sweep: the runs.
        columns: 1 or 2 for so many columns of a page; None for a screen.
    """
    metrics = [name for name in (*shown(), ERROR_0) if name in sweep.columns]
    values = {
        field: list(dict.fromkeys(row[field] for row in sweep.rows))
        for field in sweep.fields
    }
    most = sorted(values, key=lambda field: -len(values[field]))[:2]
    axes = [field for field in sweep.fields if field in most]
    in_row = style.side_by_side(-(-len(metrics) // 2), columns)
    rows = -(-len(metrics) // in_row)
    figure = style.new_figure(4.1 * in_row, 3.5 * max(rows, 2), columns=columns)
    grid = figure.subplots(max(rows, 2), in_row, squeeze=False)
    panels = (grid if rows > 2 else grid.T).ravel()
    for panel, metric in zip(panels, metrics, strict=False):
        if len(axes) == 1:
            _curve(panel, sweep, metric, axes[0], values[axes[0]])
        else:
            _heat_map(figure, panel, sweep, metric, {f: values[f] for f in axes})
        title = _title(metric) if columns is None else describe(metric).title
        panel.set_title(title, fontsize=10, loc="left")
        panel.set_xlabel(axes[0], fontsize=9)
    for panel in panels[len(metrics) :]:
        panel.set_axis_off()
    figure.suptitle(
        _heading(sweep, axes), fontsize=9, color=style.NOTE, x=0.01, ha="left"
    )
    return style.for_page(figure, columns)


def _heading(sweep: Rows, axes: Sequence[str]) -> str:
    seeds = len({row["seed"] for row in sweep.rows})
    others = [field for field in sweep.fields if field not in (*axes, "seed")]
    notes = [f"{len(sweep.rows)} runs"]
    if seeds > 1:
        notes.append(
            f"means of {seeds} seeds" + ("" if len(axes) > 1 else ", 95 % bands")
        )
    if others:
        notes.append(f"each cell is the mean over {', '.join(others)}")
    if len(axes) > 1:
        notes.append("grey: stopped, or not reached by every seed")
    if stopped := sum(row["stopped"] != "" for row in sweep.rows):
        notes.append(f"{stopped} stopped: their loss was not finite")
    name = "" if sweep.workdir is None else f"{sweep.workdir.name}: "
    return name + "; ".join(notes)


def _title(metric: str) -> str:
    found = describe(metric)
    return found.panel if metric.startswith("nc/") else found.title


def _curve(
    panel: Axes, sweep: Rows, metric: str, field: str, values: Sequence[Any]
) -> None:
    """The metric over a field; words stand beside each other."""
    found = {setting[field]: interval for setting, interval in sweep.means(metric)}
    places, log = _places(values)
    centre, low, high = (
        np.array([getattr(found[value], part) for value in values])
        for part in ("centre", "low", "high")
    )
    if describe(metric).log:
        panel.set_yscale("log")
    elif np.nanmin(low, initial=0) >= 0:
        ends = np.concatenate([centre, high])  # of one seed there is no interval
        panel.set_ylim(0, max(1.08 * np.nanmax(ends, initial=0), 0.01))
    style.band(panel, places, low, high, color=style.BLUE)
    panel.plot(places, centre, "o-", ms=3, lw=1.4, color=style.BLUE)
    panel.set_xscale("log" if log else "linear")
    if not log:
        panel.set_xticks(places, [_text(value) for value in values])
    style.decorate(panel, "")


def _heat_map(
    figure: Figure,
    panel: Axes,
    sweep: Rows,
    metric: str,
    values: Mapping[str, Sequence[Any]],
) -> None:
    """The metric over two fields, one cell for each pair of values."""
    log = describe(metric).log
    table = np.full([len(v) for v in values.values()], np.nan)
    column = sweep[metric].astype(float)
    for place in np.ndindex(*table.shape):
        wanted = {f: v[i] for (f, v), i in zip(values.items(), place, strict=True)}
        rows = [wanted.items() <= row.items() for row in sweep.rows]
        cell = np.log(column[rows]) if log else column[rows]
        if not metric.startswith("epoch of"):  # there NaN is "never", and no gap
            cell = cell[np.isfinite(cell)]
        if cell.size:
            table[place] = np.exp(cell.mean()) if log else cell.mean()
    known = table[np.isfinite(table)]
    spread = log and known.size and known.max() > known.min()
    norm = LogNorm() if spread else Normalize()
    image = panel.imshow(
        table.T, origin="lower", aspect="auto", cmap="viridis_r", norm=norm
    )
    bar = figure.colorbar(image, ax=panel, shrink=0.9)
    if spread and known.max() > 10 * known.min():
        bar.ax.yaxis.set_minor_formatter(NullFormatter())  # a decade has its number
    style.decorate(panel, "", y=list(values)[1], grid=None)
    pairs = zip((panel.xaxis, panel.yaxis), values.values(), strict=True)
    for axis, entries in pairs:
        shown = np.unique(np.linspace(0, len(entries) - 1, 8).round().astype(int))
        axis.set_ticks(shown, [_text(entries[i]) for i in shown])
    panel.tick_params(axis="x", rotation=45)
    panel.set_facecolor("#dddddd")  # no value: stopped, or never reached


def _places(values: Sequence[Any]) -> tuple[np.ndarray, bool]:
    """Where the values lie on an axis, and whether it is logarithmic."""
    if is_geometric(values):
        return np.array(values, float), True
    if all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        steps = np.diff(np.sort(np.array(values, float)))
        if len(steps) and np.allclose(steps, steps[0]):
            return np.array(values, float), False
    return np.arange(len(values), dtype=float), False


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
