"""Curves of a run as figures of plotly: plain dicts, drawn by plotly.js in the page.

A chart is `{"data": [...], "layout": {...}}` of plotly's own vocabulary.  What depends
on light and dark (text, grid, paper, colour scales) is left to the page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ncjax.collapse.registry import Metric
from ncjax.probes.ood import TITLES, auroc_keys
from ncjax.runs.columns import ROW_SUM, Columns, Row
from ncjax.runs.metrics import describe, home_of, panels

Chart = dict[str, Any]

# They can be told apart by colour-blind readers, on white and on black.
BLUE, ORANGE, GREEN, GREY = "#3a86c8", "#d9702f", "#2f9e6e", "#8b8f96"
COLORS = (BLUE, ORANGE, GREEN, "#b06bb8", "#c9a227", "#4fb3bf", "#c0504d", "#7a7fd1")
SHADE = "rgba(214,168,62,0.16)"  # the terminal phase
FLOOR, NC1 = "nc/nc1_floor", "nc/nc1"
SEED = "seed"  # what is told of the curve of one of many seeds
_POINTS = 300  # of a curve
_SEEDS = 1200  # points of all seeds together, of one metric
_CURVES = 64  # seeds with a curve each
_VALUES = 120_000  # of all metrics in a page: a megabyte


def label(text: object, longest: int = 60) -> str:
    """A text for plotly, which takes what looks like HTML for HTML."""
    said = str(text)
    said = said if len(said) <= longest else f"{said[: longest - 1]}…"
    return html.escape(said, quote=False)


def thinned(rows: Sequence[Row], most: int = _POINTS) -> list[Row]:
    """At most so many rows, the first and last ones among them, log-spaced epochs."""
    if len(rows) <= most:
        return list(rows)
    places = np.geomspace(1, len(rows), most).round().astype(int) - 1
    even = np.linspace(0, len(rows) - 1, most // 2).round().astype(int)
    chosen = np.unique(np.concatenate([places[:: 2 if most > 2 else 1], even]))
    return [rows[place] for place in chosen]


def numbers(rows: Sequence[Row], key: str) -> list[float | None]:
    """A metric over rows, with four digits; None where it is not finite."""
    return [_short(row.get(key, math.nan)) for row in rows]


def _short(value: Any) -> float | None:
    finite = isinstance(value, int | float) and math.isfinite(value)
    return float(f"{value:.4g}") if finite else None


def curve_panels(history: Columns) -> list[tuple[Metric, Chart]]:
    """A chart over the epochs for each metric that has a panel and was measured."""
    return [(metric, _panel(history, metric)) for metric in history.shown()]


def _panel(history: Columns, metric: Metric) -> Chart:
    """Training and test set, seed band, floor of rounding, theory, terminal phase."""
    rows, train = thinned(history.rows), home_of(metric)
    test = history.key_on_test(metric)
    pairs = [(train, "train", BLUE), (test, "test", ORANGE)]
    data = [curve for key, _, color in pairs for curve in _seeds(history, key, color)]
    data += [
        trace
        for key, name, color in pairs
        if key is not None
        for trace in line(rows, key, name, color, band=bool(history.seeds))
    ]
    if metric.key == "nc1" and _near_floor(rows, train):
        look = {"dash": "dot", "color": GREY, "width": 1.5}
        data += line(rows, FLOOR, "rounding", GREY, line=look)
    if metric.key == "nc0" and ROW_SUM in history:
        wide = {"color": GREY, "width": 6}
        data[:0] = line(rows, ROW_SUM, "theory", GREY, line=wide, opacity=0.45)
    log = metric.curve != "linear"
    limit = history.limit.get(train)
    if limit is not None and (limit > 1e-6 or not log):
        look = {"dash": "dash", "color": GREY, "width": 1.5}
        ends = [rows[0]["epoch"], rows[-1]["epoch"]]
        data.append(
            {"x": ends, "y": [limit, limit], "name": "theory", "line": look}
            | {"mode": "lines", "hovertemplate": f"theory: {limit:.4g}<extra></extra>"}
        )
    layout = over_epochs(history, log=log)
    return with_few_ticks({"data": data, "layout": layout})


def with_few_ticks(chart: Chart) -> Chart:
    """The chart, with numbers at 1, 2, 5 alone of a logarithmic axis over a decade.

    Else plotly gives each digit a number.
    """
    axis = chart["layout"]["yaxis"]
    shown = [trace for trace in chart["data"] if trace.get("meta") != SEED]
    drawn = [y for trace in shown for y in trace["y"] if y is not None and y > 0]
    if axis["type"] == "log" and 6 < max(drawn, default=1) / min(drawn, default=1) < 60:
        axis["dtick"] = "D2"
    return chart


def _seeds(history: Columns, key: str | None, color: str) -> list[Chart]:
    """A thin curve for each seed, which a button of the page shows."""
    seeds = [seed.rows for seed in history.seeds if key is not None and key in seed]
    most = max(_SEEDS // max(len(seeds), 1), 12)
    drawn: list[Chart] = []
    for place, rows in enumerate(thinned(rows, most) for rows in seeds[:_CURVES]):
        trace = {"x": [row["epoch"] for row in rows], "y": numbers(rows, str(key))}
        trace |= {"mode": "lines", "line": {"color": color, "width": 0.8}}
        trace |= {"opacity": 0.55, "hoverinfo": "skip", "showlegend": False}
        drawn.append(trace | {"name": str(place), "meta": SEED, "visible": False})
    return drawn


def _near_floor(rows: Sequence[Row], key: str) -> bool:
    """Whether rounding of the features may be seen in NC1."""
    nan = math.nan
    return any(row.get(key, nan) < 100 * row.get(FLOOR, nan) for row in rows)


def line(
    rows: Sequence[Row],
    key: str,
    name: str,
    color: str,
    *,
    band: bool = False,
    **options: Any,
) -> list[Chart]:
    """The traces of a metric over the epochs, with the 95 % interval around it.

    Args:
        rows: the epochs, at least one.
        key: key of the metric.
        name: name of the curve in the legend.
        color: its colour.
        band: whether to draw the interval over seeds, where it is known.
        **options: further fields of the trace.
    """
    epochs = [row["epoch"] for row in rows]
    drawn: list[Chart] = []
    if band and f"{key}/low" in rows[-1]:
        edge: Chart = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        edge |= {"x": epochs, "showlegend": False, "legendgroup": name}
        low, high = (numbers(rows, f"{key}/{end}") for end in ("low", "high"))
        drawn.append({"y": low, **edge})
        drawn.append({"y": high, "fill": "tonexty", **edge})
        drawn[-1]["fillcolor"] = _transparent(color)
    mode = "lines+markers" if len(rows) < 80 else "lines"
    trace = {"x": epochs, "y": numbers(rows, key), "name": name, "mode": mode}
    trace |= {"line": {"color": color, "width": 2}}
    trace["marker"] = {"size": 4 if len(rows) > 3 else 8}
    trace["legendgroup"] = name
    trace["hovertemplate"] = "%{y:.3g}"
    drawn.append(trace | options)
    zeros = [row["epoch"] for row in rows if row.get(key) == 0]
    if zeros:  # a logarithmic axis cannot show them: hollow points on the lower edge
        drawn.append(
            {"x": zeros, "y": [0] * len(zeros), "yaxis": "y2", "mode": "markers"}
            | {"marker": {"symbol": "circle-open", "size": 6, "color": color}}
            | {"cliponaxis": False, "showlegend": False, "legendgroup": name}
            | {"name": name, "hovertemplate": "0", "meta": "zeros"}
        )
    return drawn


def _transparent(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.2)"


def over_epochs(history: Columns, *, log: bool) -> Chart:
    """The layout of a chart over epochs, in which the terminal phase is shaded."""
    layout: Chart = {
        "xaxis": {"type": "log", "title": {"text": "epoch"}, "exponentformat": "power"},
        "yaxis": {"type": "log" if log else "linear", "exponentformat": "power"},
        "yaxis2": {"overlaying": "y", "range": [0, 1], "visible": False},
        "hovermode": "x unified",
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }
    layout["yaxis2"]["fixedrange"] = True
    if history.rows and history.rows[-1]["epoch"] < 3000:
        layout["xaxis"]["dtick"] = "D2"  # of few decades each digit has a number, else
    start = history.terminal_epoch
    if start is not None:
        layout["shapes"] = [
            {"type": "rect", "xref": "x", "yref": "paper", "y0": 0, "y1": 1}
            | {"x0": start, "x1": max(history.rows[-1]["epoch"], start)}
            | {"fillcolor": SHADE, "line": {"width": 0}, "layer": "below"}
        ]
    return layout


def every_metric(history: Columns) -> dict[str, Any]:
    """All metrics over the epochs, for the one that a reader chooses in the page.

    Returns:
        `epochs`; `metrics`: key -> [title, whether its axis is logarithmic, values,
        and with seeds the ends of its intervals]; `left_out`: the number of metrics
        that a page has no room for, those of single layers first.
    """
    rows = thinned(history.rows, 150)
    ends = ("/low", "/high")
    keys = [k for k in rows[-1] if k != "epoch" and not k.endswith(ends)]
    keys = [k for k in keys if not isinstance(rows[-1][k], list)]
    keys = [k for k in keys if any(x is not None for x in numbers(rows, k))]
    each = len(rows) * (3 if history.seeds else 1)
    room = max(_VALUES // each, 1)
    kept = sorted(keys, key=lambda key: key.startswith("layers/"))[:room]
    found = {}
    for key in sorted(kept):
        metric = describe(key)
        sets = [numbers(rows, key)]
        if history.seeds:
            sets += [numbers(rows, key + end) for end in ends]
        found[key] = [label(metric.title), _spans(sets[0]), *sets]
    epochs = [row["epoch"] for row in rows]
    return {"epochs": epochs, "metrics": found, "left_out": len(keys) - len(kept)}


def _spans(values: Sequence[float | None]) -> bool:
    """Whether positive values span so much that they ask for a logarithmic axis."""
    known = [value for value in values if value is not None and value != 0]
    return bool(known) and min(known) > 0 and max(known) > 20 * min(known)


def outlier_charts(history: Columns) -> list[tuple[str, Chart]]:
    """The AUROCs of the probe `ood`, beside NC1: name of a foreign set, and its chart.

    Empty for a run that has no such probe.
    """
    rows, found = thinned(history.rows), []
    for name, keys in auroc_keys(rows[-1]).items():
        data = [
            trace
            for place, (score, key) in enumerate(keys.items())
            for trace in line(
                rows, key, TITLES.get(score, score), COLORS[place % len(COLORS)]
            )
        ]
        for trace in data[len(COLORS) :]:
            trace["line"] = trace["line"] | {"dash": "dot"}
        look = {"dash": "dash", "color": GREY, "width": 1.5}
        positive = [row for row in rows if row.get(NC1, 0) > 0]
        data += line(positive, NC1, "NC1", GREY, line=look, yaxis="y3")
        layout = over_epochs(history, log=False)
        layout["yaxis3"] = {"overlaying": "y", "side": "right", "type": "log"}
        layout["yaxis3"] |= {"showgrid": False, "exponentformat": "power"}
        found.append((name, {"data": data, "layout": layout}))
    return found


def layer_panels(history: Columns) -> list[tuple[Metric, Chart]]:
    """The metrics over the depth of the network, a line for each of five epochs.

    Empty for a run whose layers were not measured.
    """
    rows = history.rows
    prefix = "layers/"
    names = sorted({k.split("/")[1] for k in rows[-1] if k.startswith(prefix)})
    metrics = [*panels(), describe("ncc_accuracy")]
    chosen = np.unique(np.linspace(0, len(rows) - 1, 5).round().astype(int))
    found = []
    for metric in metrics:
        keys = [f"{prefix}{name}/{home_of(metric)}" for name in names]
        if not names or keys[0] not in rows[-1]:
            continue
        data = [
            {
                "x": [label(name.partition("_")[2] or name) for name in names],
                "y": [_short(rows[place].get(key)) for key in keys],
                "name": f"epoch {rows[place]['epoch']:.0f}",
                "mode": "lines+markers",
                "opacity": 0.3 + 0.7 * (i + 1) / len(chosen),
                "line": {"color": BLUE, "width": 1 + 2 * (i + 1) / len(chosen)},
                "hovertemplate": "%{y:.3g}",
            }
            for i, place in enumerate(chosen)
        ]
        layout: Chart = {
            "xaxis": {"type": "category", "title": {"text": "layer"}},
            "yaxis": {"type": "log" if metric.log else "linear"},
            "hovermode": "x unified",
        }
        layout["yaxis"]["exponentformat"] = "power"
        layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
        found.append((metric, with_few_ticks({"data": data, "layout": layout})))
    return found
