"""The page of an experiment on unconstrained-features models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.options import flat
from ncjax.report.charts import COLORS, Chart, label, numbers, thinned
from ncjax.report.page import Page, command, details, escape, grid, links, listed, table
from ncjax.report.read import made_by, read_json, shown
from ncjax.report.run import against_recipe
from ncjax.runs.journal import NAME as METRICS
from ncjax.runs.metrics import describe
from ncjax.runs.workdir import CONFIG

VERDICT = "verdict.json"
_FIGURE = "ufm.png"
_RELATIONS = {"<=": "at most", ">=": "at least", "=": "predicted"}
_MOST_CHARTS = 12
_MOST_LINES = 12  # singular values in a chart


def write_ufm(folder: Path, path: Path) -> Page:
    """The page of an experiment in a folder, which is to be written to a path."""
    missing: list[str] = []
    verdict, config = (read_json(folder / name, missing) for name in (VERDICT, CONFIG))
    rows = _rows(folder / METRICS, missing)
    page = Page(folder.name)
    page.lead(
        f'<p class="about">{escape(verdict.get("title", "no title"))}</p>',
        _verdict(verdict),
        listed(missing, "What is missing"),
    )
    facts = verdict.get("facts")
    if isinstance(facts, dict):
        page.section("What was found", table((), facts.items()))
    page.section("Statements", _statements(verdict))
    page.section("Curves", grid(_curves(page, rows)))
    page.section(
        "Figure", page.picture(folder / _FIGURE, "the figure of the experiment")
    )
    about = config.pop("about", None)
    made = about if isinstance(about, dict) else {}
    page.section(
        "What was run",
        command(made),
        table((), made_by(made)),
        against_recipe(made, flat(config)),
        details("The whole configuration", table((), _fields(config)))
        if config
        else "",
    )
    page.section("Files", links(folder, path, [CONFIG, METRICS, VERDICT, _FIGURE]))
    return page


def _rows(path: Path, missing: list[str]) -> list[dict[str, Any]]:
    """The lines of metrics.jsonl that can be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        missing.append(f"{path.name} is missing.")
        return []
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            missing.append(f"{path.name} is damaged in line {number}.")
    return rows


def _verdict(verdict: dict[str, Any]) -> str:
    """The box that says whether the statements hold."""
    holds = [s.get("holds") is True for s in _each(verdict)]
    if not holds:
        state, rest, mark = "no verdict", ": there are no statements.", ""
    else:
        state, mark = ("PASS", "good") if all(holds) else ("FAIL", "bad")
        rest = f": {sum(holds)} of {len(holds)} statements hold."
    return f'<p class="verdict {mark}"><b>{state}</b>{escape(rest)}</p>'


def _each(verdict: dict[str, Any]) -> list[dict[str, Any]]:
    found = verdict.get("statements")
    return [s for s in found if isinstance(s, dict)] if isinstance(found, list) else []


def _statements(verdict: dict[str, Any]) -> str:
    rows = []
    for said in _each(verdict):
        relation = str(said.get("relation"))
        tolerance = _number(said.get("tolerance")) if relation == "=" else ""
        rows.append(
            (
                "PASS" if said.get("holds") is True else "FAIL",
                said.get("text"),
                _number(said.get("found")),
                f"{_RELATIONS.get(relation, relation)} {_number(said.get('expected'))}",
                tolerance,
            )
        )
    head = ("", "statement", "found", "theory", "allowed difference")
    return table(head, rows) if rows else ""


def _number(value: Any) -> str:
    return f"{value:.9g}" if isinstance(value, int | float) else "not finite"


def _curves(page: Page, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Each column over the first, as the experiment has written them."""
    rows = thinned([row for row in rows if row.keys() == rows[0].keys()])
    if len(rows) < 2:
        return []
    first, *others = rows[0]
    along = numbers(rows, first)
    places = [x for x in along if x is not None]
    if len(places) < len(along) or places != sorted(places):  # no axis
        return []
    log = places[1] > 0 and places[-1] > 30 * places[1]
    drawn = []
    for place, key in enumerate(others[:_MOST_CHARTS]):
        lines = _lines(rows, key)
        known = [y for _, values in lines for y in values if y is not None]
        if not known:
            continue
        high, low = max(known), min((y for y in known if y > 0), default=0)
        scale = "log" if min(known) >= 0 and low and high > 20 * low else "linear"
        data = [
            {"x": along, "y": values, "name": name, "mode": "lines+markers"}
            | {"line": {"color": color}, "marker": {"size": 4}}
            | {"hovertemplate": "%{y:.4g}"}
            for (name, values), color in zip(lines, COLORS * 2, strict=False)
        ]
        layout: Chart = {
            "xaxis": {
                "type": "log" if log else "linear",
                "title": {"text": label(first)},
            },
            "yaxis": {"type": scale, "exponentformat": "power"},
            "hovermode": "x unified",
            "showlegend": 1 < len(lines) < 5,
        }
        layout["xaxis"]["exponentformat"] = "power"
        chart = {"data": data, "layout": layout}
        title = describe(key).title.replace("_", " ")
        drawn.append(page.chart(f"column-{place}", chart, title))
    return drawn


def _lines(
    rows: Sequence[dict[str, Any]], key: str
) -> list[tuple[str, list[float | None]]]:
    """The curve of a column, or of each place of lists in it."""
    if not isinstance(rows[0][key], list):
        return [(label(key), numbers(rows, key))]
    each = [{str(i + 1): x for i, x in enumerate(row[key])} for row in rows]
    return [(name, numbers(each, name)) for name in list(each[0])[:_MOST_LINES]]


def _fields(config: dict[str, Any]) -> list[tuple[str, str]]:
    return [(field, shown(value)) for field, value in sorted(flat(config).items())]
