"""The page of a sweep: its runs side by side, by the fields that they differ in."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.options import flat
from ncjax.report.charts import (
    BLUE,
    COLORS,
    Chart,
    label,
    numbers,
    thinned,
    with_few_ticks,
)
from ncjax.report.page import Page, command, details, escape, grid, links, listed, table
from ncjax.report.read import made_by, read_json, shown
from ncjax.report.run import against_recipe, axis_buttons
from ncjax.report.verdict import verdict
from ncjax.report.verdicts.verdict import Verdict
from ncjax.runs.columns import is_measured
from ncjax.runs.history import History
from ncjax.runs.journal import NAME as METRICS, read as read_journal
from ncjax.runs.metrics import describe, outcomes
from ncjax.runs.place import SWEEP
from ncjax.runs.seeds import LEVEL
from ncjax.statistics import t_interval

TABLE, _FIGURE = "sweep.csv", "sweep.png"
_READ = 200  # runs whose epochs are read
_LISTED = 500  # rows of the table of the runs
_CURVES = 40  # runs with a curve each

Row = dict[str, Any]


def write_sweep(folder: Path, path: Path) -> Page:
    """The page of the sweep in a folder, which is to be written to a path."""
    missing: list[str] = []
    mark = read_json(folder / SWEEP, missing)
    fields = [str(f) for f in mark.get("fields") or ()]
    rows = read_table(folder / TABLE, missing)
    planned = _planned(mark)
    if planned and len(rows) < planned:
        missing.append(f"The sweep is not finished: {len(rows)} of {planned} runs.")
    histories = _histories(folder, rows)
    said = {name: verdict(history) for name, history in histories.items()}
    page = Page(folder.name)
    page.lead(
        f'<p class="about">{escape(_about(fields, rows))}</p>',
        _verdict(rows, said),
        listed(missing, "What is missing"),
    )
    shown_metrics = _shown(rows)
    page.section("Over the fields", grid(_charts(page, rows, fields, shown_metrics)))
    curves = grid(_curves(page, histories))
    page.section("Curves", axis_buttons() if curves else "", curves)
    page.section("Runs", _runs(folder, path, rows, fields, said, shown_metrics))
    page.section("What was run", *_made(mark))
    page.section("Files", links(folder, path, [SWEEP, TABLE, _FIGURE, "members"]))
    return page


def read_table(path: Path, missing: list[str]) -> list[Row]:
    """The rows of sweep.csv: numbers as such, else text."""
    try:
        with path.open(newline="", errors="replace") as file:
            return [
                {k: _value(v) for k, v in row.items()} for row in csv.DictReader(file)
            ]
    except FileNotFoundError:
        missing.append(f"{path.name} is missing: no run has ended yet.")
    except csv.Error as error:
        missing.append(f"{path.name} is damaged: {error}.")
    return []


def _value(text: Any) -> Any:
    try:
        return float(text)
    except (TypeError, ValueError):
        return text


def _planned(mark: Mapping[str, Any]) -> int:
    """The number of runs of a sweep; 0 if it is not known."""
    try:
        return sum(len(program["runs"]) for program in mark["programs"])
    except (KeyError, TypeError):
        return 0


def _histories(folder: Path, rows: Sequence[Row]) -> dict[str, History]:
    """What each run measured, of the first ones; those that cannot be read are out."""
    found = {}
    for row in rows[:_READ]:
        name = str(row.get("name"))
        try:
            read, _ = read_journal(folder / "members" / name / METRICS)
        except OSError:
            continue
        if measured := list(filter(is_measured, read)):
            found[name] = History(measured)
    return found


def _about(fields: Sequence[str], rows: Sequence[Row]) -> str:
    stopped = sum(_has_stopped(row) for row in rows)
    also = f", {stopped} of which stopped" if stopped else ""
    return f"sweep of {', '.join(fields) or 'nothing'}: {len(rows)} runs{also}"


def _has_stopped(row: Row) -> bool:
    """Whether the loss of a run was no longer finite."""
    return row.get("stopped") not in ("", None)


def _state(row: Row, said: Mapping[str, Verdict]) -> str:
    if _has_stopped(row):
        return "diverged"
    known = said.get(str(row.get("name")))
    return "" if known is None else known.state


def _verdict(rows: Sequence[Row], said: Mapping[str, Verdict]) -> str:
    """How many of the runs collapsed, and the one with the least NC1."""
    states = [state for row in rows if (state := _state(row, said))]
    if not states:
        head, rest, mark = "no verdict", ": no run has ended yet.", ""
    else:
        count = states.count("collapsed")
        mark = "good" if count == len(states) else "some" if count else "bad"
        head = f"{count} of {len(states)} runs collapsed"
        others = [
            f"{states.count(s)} {s}" for s in dict.fromkeys(states) if s != "collapsed"
        ]
        rest = f"{'; ' if others else ''}{', '.join(others)}."
        least = min(
            (row for row in rows if _number(row, "nc/nc1") is not None),
            key=lambda row: row["nc/nc1"],
            default=None,
        )
        if least is not None:
            rest += f" The least NC1 is {least['nc/nc1']:.2g}, of {least.get('name')}."
    return f'<p class="verdict {mark}"><b>{escape(head)}</b>{escape(rest)}</p>'


def _number(row: Row, key: str) -> float | None:
    value = row.get(key)
    return value if isinstance(value, float) and math.isfinite(value) else None


def _shown(rows: Sequence[Row]) -> list[str]:
    """The errors and headline metrics that some run has."""
    keys = [*outcomes(), "epoch of error 0"]
    return [key for key in keys if any(_number(row, key) is not None for row in rows)]


def _charts(
    page: Page, rows: Sequence[Row], fields: Sequence[str], keys: Sequence[str]
) -> list[str]:
    """Each metric over the field, or over the two fields with the most values."""
    values = {
        field: _sorted(dict.fromkeys(row[field] for row in rows if field in row))
        for field in fields
        if field != "seed"
    }
    axes = sorted(values, key=lambda field: -len(values[field]))[:2]
    axes = [field for field in axes if len(values[field]) > 1]
    drawn = []
    for place, key in enumerate(keys if axes else ()):
        if len(axes) == 1:
            chart = _curve(rows, key, axes[0], values[axes[0]])
        else:
            chart = _heat_map(rows, key, axes, values)
        others = [f for f in values if f not in axes and len(values[f]) > 1]
        note = f"Means over {', '.join(others)}." if others else ""
        drawn.append(
            page.chart(f"field-{place}", chart, describe(key).title, note=note)
        )
    return drawn


def _sorted(values: Sequence[Any] | dict[Any, None]) -> list[Any]:
    """Numbers in order; names as they came."""
    values = list(values)
    return sorted(values) if all(isinstance(x, float) for x in values) else values


def _is_log(values: Sequence[Any]) -> bool:
    """Whether the steps from one value to the next are rather factors."""
    positive = all(isinstance(x, float) and x > 0 for x in values)
    return positive and len(values) > 2 and values[-1] > 8 * values[0]


def _of(rows: Sequence[Row], key: str, **setting: Any) -> np.ndarray:
    """A metric of the runs with some values of fields."""
    found = [
        _number(row, key)
        for row in rows
        if all(row.get(field) == value for field, value in setting.items())
    ]
    return np.array([x for x in found if x is not None])


def _curve(rows: Sequence[Row], key: str, field: str, values: list[Any]) -> Chart:
    """The mean over seeds at each value of a field, with its interval, and all runs."""
    log = describe(key).log
    means, low, high = [], [], []
    for value in values:
        found = _of(rows, key, **{field: value})
        known = t_interval(found, LEVEL, log) if len(found) else None
        for into, end in ((means, "centre"), (low, "low"), (high, "high")):
            x = float(getattr(known, end, np.nan))
            into.append(x if np.isfinite(x) else None)
    named = not all(isinstance(x, float) for x in values)
    x = [label(v) for v in values] if named else values
    points = [row for row in rows if _number(row, key) is not None and field in row]
    data = [
        {"x": [label(r[field]) if named else r[field] for r in points]}
        | {"y": [r[key] for r in points], "mode": "markers", "opacity": 0.5}
        | {"text": [label(r.get("name")) for r in points]}
        | {"marker": {"color": BLUE, "size": 5}, "name": "runs"}
        | {"hovertemplate": "%{text}: %{y:.3g}<extra></extra>"},
        {"x": x, "y": means, "mode": "lines+markers", "name": "mean"}
        | {"line": {"color": BLUE}, "hovertemplate": "%{y:.3g}<extra></extra>"}
        | {"error_y": _bars(means, low, high)},
    ]
    kind = "category" if named else "log" if _is_log(values) else "linear"
    layout: Chart = {
        "xaxis": {"type": kind, "title": {"text": label(field)}},
        "yaxis": {"type": "log" if log else "linear", "exponentformat": "power"},
        "showlegend": False,
    }
    layout["xaxis"]["exponentformat"] = "power"
    if kind == "log" and values[-1] >= 30 * values[0]:
        layout["xaxis"]["dtick"] = 1  # decades alone
    if not log and points:
        layout["yaxis"]["range"] = _enclosing([row[key] for row in points])
    return {"data": data, "layout": layout}


def _enclosing(values: Sequence[float]) -> list[float]:
    """The ends of an axis for the runs; wide intervals of few of them may leave it."""
    low, high = min(values), max(values)
    margin = 0.08 * (high - low) or 0.5 * abs(low) or 1.0
    return [low - 0.08 * margin if low == high else low - margin, high + margin]


def _bars(means: list, low: list, high: list) -> Chart:
    """Error bars from the ends of intervals."""
    up = [None if None in pair else pair[0] - pair[1] for pair in zip(high, means)]
    down = [None if None in pair else pair[0] - pair[1] for pair in zip(means, low)]
    look = {"color": BLUE, "thickness": 1}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down} | look


def _heat_map(
    rows: Sequence[Row], key: str, axes: Sequence[str], values: Mapping[str, list[Any]]
) -> Chart:
    """The mean at each pair of values of two fields."""
    across, down = axes
    log = describe(key).log
    table = []
    for b in values[down]:
        line = []
        for a in values[across]:
            found = _of(rows, key, **{across: a, down: b})
            mean = _mean(found, log)
            line.append(mean)
        table.append(line)
    positive = [x for line in table for x in line if x is not None and x > 0]
    scaled = log and len(positive) > 0
    z = [[_log(x) if scaled else x for x in line] for line in table]
    text = [["-" if x is None else f"{x:.3g}" for x in line] for line in table]
    trace: Chart = {"type": "heatmap", "z": z, "text": text, "meta": "values"}
    trace |= {"x": [_short(v) for v in values[across]]}
    trace |= {"y": [_short(v) for v in values[down]]}
    trace["hovertemplate"] = "%{x}, %{y}: %{text}<extra></extra>"
    trace["showscale"] = False
    if len(values[across]) <= 10:
        trace["texttemplate"] = "%{text}"
    layout = {
        "xaxis": {"type": "category", "title": {"text": label(across)}},
        "yaxis": {"type": "category", "title": {"text": label(down)}},
    }
    return {"data": [trace], "layout": layout}


def _mean(values: np.ndarray, log: bool) -> float | None:
    if not len(values):
        return None
    if log and (values > 0).all():
        return float(np.exp(np.log(values).mean()))
    return float(values.mean())


def _log(value: float | None) -> float | None:
    return math.log10(value) if value is not None and value > 0 else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else label(value, 24)


def _curves(page: Page, histories: Mapping[str, History]) -> list[str]:
    """Errors and headline metrics over the epochs, a curve for each run."""
    if not 1 < len(histories) <= _CURVES:
        return []
    drawn = []
    for place, key in enumerate(outcomes()):
        data = []
        for i, (name, history) in enumerate(histories.items()):
            rows = thinned(history.rows, 60)
            values = numbers(rows, key)
            if any(value is not None for value in values):
                line = {"color": COLORS[i % len(COLORS)], "width": 1.5}
                data.append(
                    {"x": [row["epoch"] for row in rows], "y": values, "line": line}
                    | {"name": label(name), "mode": "lines", "opacity": 0.8}
                    | {"hovertemplate": f"{label(name)}: %{{y:.3g}}<extra></extra>"}
                )
        if data:
            layout = {
                "xaxis": {"type": "log", "title": {"text": "epoch"}},
                "yaxis": {"type": "log", "exponentformat": "power"},
                "showlegend": False,
                "hovermode": "closest",
            }
            chart = with_few_ticks({"data": data, "layout": layout})
            drawn.append(
                page.chart(f"runs-{place}", chart, describe(key).title, "curve")
            )
    return drawn


def _runs(
    folder: Path,
    path: Path,
    rows: Sequence[Row],
    fields: Sequence[str],
    said: Mapping[str, Verdict],
    keys: Sequence[str],
) -> str:
    """A line for each run, with a link to its folder."""
    if not rows:
        return ""
    own = [f for f in dict.fromkeys((*fields, "seed")) if f in rows[0]]
    head = ["run", *own, "verdict", *(describe(key).title for key in keys)]
    lines = []
    for row in rows[:_LISTED]:
        cells = [_short(row.get(field)) for field in own]
        cells.append(_state(row, said))
        for key in keys:
            value = _number(row, key)
            cells.append("-" if value is None else f"{value:.3g}")
        lines.append([str(row.get("name")), *cells])
    targets = [folder / "members" / line[0] for line in lines]
    left = len(rows) - len(lines)
    more = f"<p>{left} more runs are in {TABLE}.</p>" if left else ""
    return table(head, lines, targets=targets, page=path) + more


def _made(mark: Mapping[str, Any]) -> list[str]:
    """Command, versions, hardware, and the fields."""
    about = mark.get("about")
    made = about if isinstance(about, dict) else {}
    parts = [command(made), table((), made_by(made))]
    config = mark.get("config")
    parts.append(against_recipe(made, flat(config if isinstance(config, dict) else {})))
    swept = mark.get("fields")
    if isinstance(swept, dict):
        lines = [(field, shown(values)) for field, values in swept.items()]
        parts.append(details("The swept fields", table((), lines)))
    return parts
