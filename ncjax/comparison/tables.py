"""A comparison as Markdown: the final values over seeds, and the paired tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ncjax.collapse import Metric
from ncjax.comparison.groups import Group, PairTest
from ncjax.statistics import ROUNDING, Interval, Paired, smallest_p

if TYPE_CHECKING:
    from ncjax.comparison.result import Comparison


def final_values(comparison: Comparison) -> str:
    """Mean and interval over seeds at the last measured epoch: a table for each part.

    Rows are groups; the first table says how many seeds each has.
    """
    groups, metrics = comparison.groups, comparison.metrics
    counts = [["seeds", "epoch"], *([str(len(g.runs)), _ends(g)] for g in groups)]
    blocks: list[str] = []
    for part in dict.fromkeys(metric.part for metric in metrics):
        columns = [metric for metric in metrics if metric.part == part]
        rows = [[part, *(metric.heading for metric in columns)]]
        for g in groups:
            found = ((m, g.summary(m, comparison.level)) for m in columns)
            rows.append([g.name, *(cell(*each, len(g.runs)) for each in found)])
        if not blocks:
            rows = [[r[0], *more, *r[1:]] for r, more in zip(rows, counts, strict=True)]
        blocks.append(markdown_table(rows))
    return "\n\n".join([*blocks, "  \n".join(_footnotes(comparison))])


def paired_tests(comparison: Comparison, most: int | None = None) -> str:
    """The paired tests by seed.

    Args:
        comparison: the comparison; 1 - its level is the bound for p-values.
        most: if there are more tests than this, only those with a corrected p-value
            below 1 - level are shown; None shows all.
    """
    results, alpha = comparison.results, 1 - comparison.level
    if all(len(r.seeds) < 2 for r in results):
        return "No tests: no two groups have 2 seeds in common."
    kept = results
    if most is not None and len(results) > most:
        kept = [r for r in results if r.corrected < alpha]
    rows = [["metric", "A", "B", "seeds", "A - B, or A / B", "p", "p corrected", ""]]
    rows += [_test_row(result, alpha) for result in kept]
    body = markdown_table(rows) if kept else f"No corrected p is below {alpha:.3g}."
    notes = list(_test_notes(comparison))
    if len(kept) < len(results):
        notes.append(
            f"{len(results) - len(kept)} of {len(results)} comparisons are not shown: "
            f"their corrected p is not below {alpha:.3g}, or they had no test."
        )
    return "\n\n".join([body, "  \n".join(notes)])


def cell(metric: Metric, found: Interval, total: int) -> str:
    """A mean and its interval: `0.0461 ± 0.0012`, on the log scale `7e-4 ×/÷ 1.1`.

    Args:
        metric: what the numbers are.
        found: the mean and its interval.
        total: number of seeds, of which some may have no value.
    """
    count, centre, low, high = (float(x) for x in found)
    if count == 0:
        return "undefined" if total == 1 else f"undefined (0 of {total})"
    unit = 100 if metric.percent else 1
    few = f" ({count:.0f} of {total})" if count < total else ""
    if math.isnan(low):
        return f"{unit * centre:.3g}{few}"
    if metric.log:
        return f"{centre:.3g} ×/÷ {high / centre:.3g}{few}"
    return f"{plus_minus(unit * centre, unit * (high - low) / 2)}{few}"


def plus_minus(centre: float, half: float) -> str:
    """Both rounded to the second digit of the half-width: `0.0461 ± 0.0012`."""
    if half <= ROUNDING * abs(centre):
        return f"{centre:.3g} ± 0"
    decimals = 1 - math.floor(math.log10(half))
    if decimals > 6:
        return f"{centre:.3g} ± {half:.2g}"
    decimals = max(decimals, 0)
    return f"{centre:.{decimals}f} ± {half:.{decimals}f}"


def _test_row(test: PairTest, alpha: float) -> list[str]:
    result = test.result
    name = test.metric.title + (", %" if test.metric.percent else "")
    star = "*" if test.corrected < alpha else ""
    both = (result.p, test.corrected)
    p = ["-" if math.isnan(result.p) else f"{value:.2g}" for value in both]
    found = [str(result.count), _difference(test.metric, result), *p]
    return [name, test.first, test.second, *found, result.note or star]


def _difference(metric: Metric, result: Paired) -> str:
    if math.isnan(result.difference):
        return "-"
    sign = "×" if metric.log else ""
    unit = 100 if metric.percent else 1
    value = f"{sign}{unit * result.difference:.3g}"
    if math.isnan(result.low):
        return value
    return f"{value} [{unit * result.low:.3g}, {unit * result.high:.3g}]"


def _footnotes(comparison: Comparison) -> Iterable[str]:
    """What to know of the tables of final values."""
    groups, metrics, level = comparison.groups, comparison.metrics, comparison.level
    cells = [(m, g.summary(m, level), len(g.runs)) for g in groups for m in metrics]
    logs = [m.title for m in metrics if m.log]
    single = [g.name for g in groups if len(g.runs) == 1]
    if len(single) == len(groups):
        yield "One seed in each group: values without intervals."
    else:
        if len(logs) < len(metrics):
            yield f"Mean ± half of the {100 * level:.4g} % t-interval over seeds."
        if logs:
            yield (
                f"{', '.join(logs)}: geometric mean ×/÷ the factor of the "
                f"{100 * level:.4g} % t-interval of the logarithm."
            )
        if single:
            yield f"One seed, so no interval: {', '.join(single)}."
    if any(found.count < total for _, found, total in cells):
        yield (
            "(k of n): defined in k of n seeds; the others (null, or not measured) are "
            "left out. Mistakes have no severity where there are none."
        )
    if any(metric.log and found.centre == 0 for metric, found, _ in cells):
        yield "A geometric mean of 0 has no interval: one of its values is 0."
    if any(metric.smaller_is_better is not None for metric in metrics):
        yield "↓ smaller is better, or more collapsed; ↑ larger is."


def _test_notes(comparison: Comparison) -> Iterable[str]:
    """What to know of the table of tests."""
    results, level, test = comparison.results, comparison.level, comparison.test
    alpha, metrics = 1 - level, comparison.metrics
    made = sum(not math.isnan(r.result.p) for r in results)
    baseline = comparison.baseline
    against = f"against {baseline}" if baseline else "of all pairs"
    kind = {"t": "t-tests", "wilcoxon": "Wilcoxon signed-rank tests"}[test]
    yield (
        f"Paired {kind} by seed, {against}; p corrected by Holm's method for the "
        f"{made} tests made; * corrected p < {alpha:.3g}."
    )
    interval = f"{100 * level:.4g} % t-interval, which is not corrected"
    points = any(m.percent for m in metrics)
    if not all(m.log for m in metrics):
        yield (
            f"A - B with its {interval}"
            f"{'; percentage points where the metric is in %' if points else ''}."
        )
    if logs := [m.title for m in metrics if m.log]:
        yield f"{', '.join(logs)}: tested on the logarithm; ×A / B with its {interval}."
    pairs = max(r.result.count for r in results)
    if test == "wilcoxon" and pairs and smallest_p(pairs) > alpha:
        yield (
            f"With {pairs} seeds the signed-rank test cannot give a p below "
            f"{smallest_p(pairs):.3g}, whatever the difference."
        )


def _ends(group: Group) -> str:
    """The last measured epoch, or the first and last of several."""
    ends = sorted({run.last for run in group.runs})
    return str(ends[0]) if len(ends) == 1 else f"{ends[0]}-{ends[-1]}"


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """An aligned Markdown table; the first row is its heading."""
    rows = [[text.replace("|", "\\|") for text in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = (text.ljust(w) for text, w in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = f"|{'|'.join('-' * (w + 2) for w in widths)}|"
    return "\n".join([line(rows[0]), rule, *map(line, rows[1:])])
