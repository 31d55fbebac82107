"""The mistakes of a run: who is taken for whom, and how far away in the class tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ncjax.report import charts, geometry
from ncjax.report.page import Page, escape, grid, slider
from ncjax.report.read import Found
from ncjax.runs.columns import Row


def mistakes(page: Page, found: Found) -> list[str]:
    """Adds the charts of the mistakes to a page.

    Args:
        page: the page.
        found: a run with a measured epoch.

    Returns:
        The parts of a section, HTML; none if the mistakes were not counted.
    """
    rows = geometry.confusion_epochs(found.history.rows)
    parts = _confusion(page, found, rows) if rows else []
    drawn = []
    severity = geometry.severity_chart(rows[-1], found.classes) if rows else None
    if severity is not None:
        drawn.append(page.chart("severity", severity, "Severity of the mistakes"))
    drawn += _by_level(page, found)
    return [*parts, grid(drawn)]


def _confusion(page: Page, found: Found, rows: Sequence[Row]) -> list[str]:
    """Who is taken for whom, at a level of the tree and one of some epochs."""
    each = [geometry.confusion_charts(row, found.classes) for row in rows]
    levels, epochs = each[-1], [row["epoch"] for row in rows]
    parts = [_level_choice(page, levels)] if len(levels) > 1 else []
    note = f"Test set, epoch {epochs[0]:.0f}; percent of each true class."
    if len(rows) > 1:
        note = "Test set; percent of each true class."
        traces = [[chart["data"][0] for _, chart in known] for known in each]
        tables = [[[one["z"], one["text"]] for one in level] for level in zip(*traces)]
        page.data("confusion", {"epochs": epochs, "tables": tables})
        parts.append(slider("confusion-epoch", epochs))
    chart = page.chart("confusion", levels[-1][1], "Confusion", "square", note)
    return [*parts, grid([chart], kind="wide")]


def _level_choice(page: Page, levels: Sequence[tuple[str, charts.Chart]]) -> str:
    """The levels of the tree, of which a reader chooses one."""
    options = []
    for place, (title, chart) in enumerate(levels):
        page.other(f"confusion-{place}", chart)
        selected = " selected" if place == len(levels) - 1 else ""
        options.append(
            f'<option value="confusion-{place}"{selected}>{escape(title)}</option>'
        )
    return (
        '<div class="tools"><label>Level of the tree <select data-of="confusion" '
        f'aria-label="level of the tree">{"".join(options)}</select></label></div>'
    )


def _by_level(page: Page, found: Found) -> list[str]:
    """Errors of the superclasses, and the mean severity, over the epochs."""
    rows = charts.thinned(found.history.rows)
    levels = [
        key
        for key in rows[-1]
        if re.fullmatch(r"test/level\d+_error", key)
        if any(value is not None for value in charts.numbers(rows, key))
    ]
    drawn = []
    if levels:
        keys = [*sorted(levels, key=lambda k: int(re.sub(r"\D", "", k))), "test/error"]
        data = [
            trace
            for key, color in zip(keys, charts.COLORS * 9, strict=False)
            for trace in charts.line(rows, key, _level_name(key), color)
        ]
        layout = charts.over_epochs(found.history, log=True)
        chart = charts.with_few_ticks({"data": data, "layout": layout})
        drawn.append(page.chart("levels", chart, "Test error by level", "curve"))
    key = "test/mistake_severity"
    if any(value is not None for value in charts.numbers(rows, key)):
        band = bool(found.history.seeds)
        data = charts.line(rows, key, "test", charts.ORANGE, band=band)
        layout = charts.over_epochs(found.history, log=False) | {"showlegend": False}
        chart = {"data": data, "layout": layout}
        drawn.append(
            page.chart("heights", chart, "Mean height of the mistakes", "curve")
        )
    return drawn


def _level_name(key: str) -> str:
    level = re.sub(r"\D", "", key)
    return f"level {level}" if level else "classes"
