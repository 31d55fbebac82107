"""The page of a comparison, as `ncjax compare` writes it: groups of runs over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.report.charts import (
    BLUE,
    COLORS,
    GREY,
    Chart,
    label,
    numbers,
    thinned,
    with_few_ticks,
)
from ncjax.report.page import Page, command, escape, grid, links, listed, table
from ncjax.report.read import made_by, read_json
from ncjax.report.run import axis_buttons
from ncjax.runs.columns import Row, is_measured
from ncjax.runs.journal import NAME as METRICS, read as read_journal
from ncjax.runs.metrics import ERROR, SEVERITY, describe
from ncjax.runs.seeds import mean_row
from ncjax.statistics import pareto_front

COMPARISON = "comparison.json"
_FILES = (
    *(COMPARISON, "comparison.md", "comparison.csv", "comparison.tex"),
    *("comparison.png", "pareto.png", "theory.png"),
    "overlays.png",
)
_CURVES = (
    *("train/error", "test/error", "nc/nc1", "nc/nc2", "nc/nc3"),
    *("nc/gram_to_tree", "test/mistake_severity"),
)
_MOST_CHARTS = 24
_TESTS = 200  # paired tests in the table, those with the least p first

Group = dict[str, Any]


def write_comparison(folder: Path, path: Path) -> Page:
    """The page of the comparison in a folder, which is to be written to a path."""
    missing: list[str] = []
    found = read_json(folder / COMPARISON, missing)
    groups = [g for g in _items(found, "groups") if isinstance(g.get("metrics"), dict)]
    warnings = [str(warning) for warning in found.get("warnings") or ()]
    keys = list(found["metrics"]) if isinstance(found.get("metrics"), dict) else []
    tests = _items(found, "tests")
    curves = _curves(folder, groups, missing)
    page = Page(folder.name)
    page.lead(
        f'<p class="about">{escape(_about(groups))}</p>',
        _verdict(groups, tests, found),
        listed([*missing, *warnings], "To be known"),
    )
    page.section("Final values", _table(groups, keys, found))
    pareto = _pareto(page, groups)
    page.section("Error against severity", _legend(groups) if pareto else "", pareto)
    drawn = grid(_curve_charts(page, curves))
    tools = [axis_buttons(), _legend(groups)] if drawn else []
    page.section("Curves", *tools, drawn)
    page.section("Metrics", grid(_dots(page, groups, keys), kind="half"))
    page.section("Paired tests", _tests(tests))
    theory = page.picture(folder / "theory.png", "Gram matrices found and predicted")
    overlays = page.picture(
        folder / "overlays.png", "Numbers of the networks, and those of theory"
    )
    page.section("Theory beside the networks", theory, overlays)
    about = found.get("about")
    made = about if isinstance(about, dict) else {}
    page.section("What was run", command(made), table((), made_by(made)))
    page.section("Files", links(folder, path, _FILES))
    return page


def _items(found: dict[str, Any], key: str) -> list[dict[str, Any]]:
    values = found.get(key)
    return (
        [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []
    )


def _about(groups: Sequence[Group]) -> str:
    count = sum(len(_items(group, "runs")) for group in groups)
    return f"comparison of {len(groups)} groups, {count} runs"


def _value(group: Group, key: str, field: str = "centre") -> float | None:
    known = group["metrics"].get(key)
    value = known.get(field) if isinstance(known, dict) else None
    return value if isinstance(value, int | float) else None


def _verdict(
    groups: Sequence[Group], tests: Sequence[Row], found: dict[str, Any]
) -> str:
    """The groups with the least error and the least NC1."""
    said = []
    for key in (ERROR, SEVERITY, "nc/nc1"):
        known = [(v, g) for g in groups if (v := _value(g, key)) is not None]
        if len(known) > 1:
            value, best = min(known, key=lambda pair: pair[0])
            percent = describe(key).percent
            shown = f"{100 * value:.3g} %" if percent else f"{value:.3g}"
            said.append(f"least {describe(key).title}: {best.get('name')} ({shown})")
    level = found.get("level")
    if tests and isinstance(level, float):
        below = sum(_p(test) is not None and _p(test) < 1 - level for test in tests)
        said.append(f"{below} of {len(tests)} paired tests at {100 * level:g} %")
    if not said:
        return ""
    return f'<p class="verdict"><b>compared</b>: {escape("; ".join(said))}.</p>'


def _p(test: Row) -> Any:
    """The corrected p-value of a test; None if it has none."""
    value = test.get("p_corrected")
    return value if isinstance(value, int | float) else None


def _table(groups: Sequence[Group], keys: Sequence[str], found: dict[str, Any]) -> str:
    """Mean and interval of each metric, a row for each group."""
    if not groups:
        return ""
    rows = []
    for group in groups:
        cells = []
        for key in keys:
            ends = [_value(group, key, end) for end in ("centre", "low", "high")]
            scale = 100 if describe(key).percent else 1
            shown = ["-" if x is None else f"{scale * x:.3g}" for x in ends]
            mean, low, high = shown
            cells.append(mean if "-" in (low, high) else f"{mean} [{low}, {high}]")
        rows.append((group.get("name"), len(_items(group, "runs")), *cells))
    head = ("group", "runs", *(describe(key).heading for key in keys))
    level = found.get("level")
    note = f"Mean [{100 * level:g} % interval]." if isinstance(level, float) else ""
    return table(head, rows) + f"<p>{escape(note)}</p>"


def _legend(groups: Sequence[Group]) -> str:
    """The colour of each group, for all charts below it."""
    keys = []
    for place, group in enumerate(groups):
        color = COLORS[place % len(COLORS)]
        again = ' class="again"' if place >= len(COLORS) else ""
        mark = f'<i{again} style="color:{color}"></i>'
        keys.append(f"<span>{mark}{escape(group.get('name'))}</span>")
    return f'<div class="legend">{"".join(keys)}</div>'


def _dots(page: Page, groups: Sequence[Group], keys: Sequence[str]) -> list[str]:
    """The interval of each group, and its runs, a chart for each metric."""
    names = [label(group.get("name"), 34) for group in groups]
    drawn = []
    for place, key in enumerate(keys[:_MOST_CHARTS]):
        means = [_value(group, key) for group in groups]
        if all(mean is None for mean in means):
            continue
        low, high = ([_value(g, key, end) for g in groups] for end in ("low", "high"))
        runs = [
            (name, value)
            for name, group in zip(names, groups, strict=True)
            for value in (group["metrics"].get(key) or {}).get("values", {}).values()
            if isinstance(value, int | float)
        ]
        log = describe(key).log and all(m is None or m > 0 for m in means)
        data: list[Chart] = [
            {"x": [value for _, value in runs], "y": [name for name, _ in runs]}
            | {"mode": "markers", "marker": {"color": BLUE, "size": 5, "opacity": 0.4}}
            | {"hoverinfo": "skip"},
            {"x": means, "y": names, "mode": "markers", "marker": {"size": 8}}
            | {"error_x": _bars(means, low, high)}
            | {"hovertemplate": "%{y}: %{x:.4g}<extra></extra>"},
        ]
        data[1]["marker"]["color"] = BLUE
        if log and _span(means) < 30:
            log = False
        layout = {
            "xaxis": {"type": "log" if log else "linear", "exponentformat": "power"},
            "yaxis": {"type": "category", "autorange": "reversed"},
            "margin": {"t": 8, "b": 28},
            "showlegend": False,
            "height": 60 + 26 * len(names),
        }
        chart = {"data": data, "layout": layout}
        title = describe(key).title
        drawn.append(page.chart(f"metric-{place}", chart, title, "free"))
    return drawn


def _span(values: Sequence[float | None]) -> float:
    """The largest of some positive values over the least."""
    known = [value for value in values if value is not None]
    return max(known) / min(known)


def _bars(means: list, low: list, high: list) -> Chart:
    """Error bars from the ends of intervals."""
    up = [None if None in (a, b) else a - b for a, b in zip(high, means, strict=True)]
    down = [None if None in (a, b) else a - b for a, b in zip(means, low, strict=True)]
    look = {"color": BLUE, "thickness": 1.5}
    return {"type": "data", "symmetric": False, "array": up, "arrayminus": down} | look


def _pareto(page: Page, groups: Sequence[Group]) -> str:
    """Test error against the severity of the mistakes, where there is a tree."""
    known = [
        (label(group.get("name")), 100 * error, severity, place)
        for place, group in enumerate(groups)
        if (error := _value(group, ERROR)) is not None
        and (severity := _value(group, SEVERITY)) is not None
    ]
    if len(known) < 2:
        return ""
    front = pareto_front(np.array([p[1:3] for p in known]))
    best = sorted(p[1:3] for p, is_best in zip(known, front, strict=True) if is_best)
    data: list[Chart] = [
        {"x": [p[0] for p in best], "y": [p[1] for p in best], "mode": "lines"}
        | {"line": {"dash": "dot", "color": GREY, "shape": "hv"}, "hoverinfo": "skip"}
    ]
    data += [
        {"x": [error], "y": [severity], "mode": "markers", "name": name}
        | {"marker": _marker(place)}
        | {"error_x": _around(groups[place], ERROR, error / 100, 100.0)}
        | {"error_y": _around(groups[place], SEVERITY, severity, 1.0)}
        | {"hovertemplate": f"{name}: %{{x:.3g}} %, %{{y:.3g}}<extra></extra>"}
        for name, error, severity, place in known
    ]
    layout = {
        "xaxis": {"title": {"text": f"{describe(ERROR).title}, %"}},
        "yaxis": {"title": {"text": describe(SEVERITY).title}},
        "showlegend": False,
    }
    note = "Lower left is better; dotted: the groups that no other beats in both."
    return page.chart("pareto", {"data": data, "layout": layout}, "", "matrix", note)


def _marker(place: int) -> Chart:
    symbol = "circle" if place < len(COLORS) else "diamond-open"
    return {"size": 11, "color": COLORS[place % len(COLORS)], "symbol": symbol}


def _around(group: Group, key: str, mean: float, scale: float) -> Chart:
    """The interval of a group as thin bars."""
    low, high = (_value(group, key, end) for end in ("low", "high"))
    if low is None or high is None:
        return {"visible": False}
    ends = {"array": [scale * (high - mean)], "arrayminus": [scale * (mean - low)]}
    look = {"color": GREY, "thickness": 1, "width": 2}
    return {"type": "data", "symmetric": False} | ends | look


def _curves(
    folder: Path, groups: Sequence[Group], missing: list[str]
) -> list[tuple[str, list[Row]]]:
    """The mean rows of each group over its runs, where these can still be read."""
    found, lost = [], 0
    for group in groups:
        each = []
        for run in _items(group, "runs"):
            read = _rows(folder, str(run.get("path")))
            lost += not read
            each.append({row["epoch"]: row for row in read})
        each = [rows for rows in each if rows]
        if not each:
            continue
        common = sorted(set.intersection(*(set(rows) for rows in each)))
        keys = [key for key in _CURVES if all(key in r[common[0]] for r in each)]
        means = [
            mean_row([{k: rows[e][k] for k in ("epoch", *keys)} for rows in each])
            for e in common
        ]
        found.append((str(group.get("name")), thinned(means, 60)))
    if lost:
        missing.append(f"{lost} of the runs are no longer where they were: no curves.")
    return found


def _rows(folder: Path, path: str) -> list[Row]:
    """The measured epochs of a run, given from where `ncjax compare` was called."""
    for place in (Path(path), folder.parent / path):
        try:
            rows, _ = read_journal(place / METRICS)
        except OSError:
            continue
        if measured := list(filter(is_measured, rows)):
            return measured
    return []


def _curve_charts(page: Page, curves: Sequence[tuple[str, list[Row]]]) -> list[str]:
    """Mean and interval of each group over the epochs, a chart for each metric."""
    drawn = []
    for place, key in enumerate(_CURVES):
        data: list[Chart] = []
        for i, (name, rows) in enumerate(curves):
            values = numbers(rows, key)
            if all(value is None for value in values):
                continue
            line = {"color": COLORS[i % len(COLORS)], "width": 2}
            if i >= len(COLORS):
                line["dash"] = "dash"
            data.append(
                {"x": [row["epoch"] for row in rows], "y": values, "line": line}
                | {"name": label(name, 34), "mode": "lines"}
                | {"hovertemplate": "%{y:.3g}"}
            )
        if data:
            layout = {
                "xaxis": {"type": "log", "title": {"text": "epoch"}},
                "yaxis": {"type": "log", "exponentformat": "power"},
                "hovermode": "x unified",
                "showlegend": False,
            }
            if describe(key).curve == "linear":
                layout["yaxis"]["type"] = "linear"
            chart = with_few_ticks({"data": data, "layout": layout})
            title = describe(key).title
            drawn.append(page.chart(f"mean-{place}", chart, title, "curve"))
    return drawn


def _tests(tests: Sequence[Row]) -> str:
    """The paired tests, those with the least p-value first."""
    known = sorted(tests, key=lambda test: 2.0 if _p(test) is None else _p(test))
    rows = []
    for test in known[:_TESTS]:
        p = _p(test)
        key = str(test.get("metric"))
        change, word = test.get("difference"), "difference"
        if change is None:
            change, word = test.get("ratio"), "ratio"
        shown = f"{change:.3g}" if isinstance(change, int | float) else "-"
        rows.append(
            (
                describe(key).title,
                test.get("first"),
                test.get("second"),
                f"{word} {shown}",
                "-" if p is None else f"{p:.2g}",
            )
        )
    if not rows:
        return ""
    left = len(tests) - len(rows)
    more = f"<p>{left} more are in {COMPARISON}.</p>" if left else ""
    return table(("metric", "first", "second", "change", "p, corrected"), rows) + more
