"""The tables of a comparison: the final values over seeds, and the paired tests."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ncjax.collapse import Metric
from ncjax.comparison.groups import Group, PairTest
from ncjax.statistics import ROUNDING, Interval, Paired, smallest_p
from ncjax.table import Part, Table


def final_values(
    groups: Sequence[Group], metrics: Sequence[Metric], level: float
) -> list[Part]:
    """Mean and interval over seeds at the last measured epoch: a table for each part.

    Rows are groups; the first table says how many seeds each has.

    Args:
        groups: the groups.
        metrics: the metrics, of one part or several.
        level: confidence of the intervals.
    """
    counts = [["seeds", "epoch"], *([str(len(g.runs)), _ends(g)] for g in groups)]
    found: list[Part] = []
    parts = list(dict.fromkeys(metric.part for metric in metrics))
    for part in parts:
        columns = [metric for metric in metrics if metric.part == part]
        rows = [[part, *(metric.heading for metric in columns)]]
        for g in groups:
            each = ((m, g.summary(m, level)) for m in columns)
            rows.append([g.name, *(cell(*one, len(g.runs)) for one in each)])
        if not found:
            rows = [[r[0], *more, *r[1:]] for r, more in zip(rows, counts, strict=True)]
        last = part == parts[-1]
        notes = tuple(_footnotes(groups, metrics, level)) if last else ()
        found.append(Table(rows, notes=notes))
    return found


def paired_tests(
    results: Sequence[PairTest],
    level: float,
    test: str,
    baseline: str | None,
    most: int | None = None,
) -> list[Part]:
    """The paired tests by seed.

    Args:
        results: the tests.
        level: confidence of the intervals; 1 - level is the bound for p-values.
        test: "t" or "wilcoxon".
        baseline: name of the group that all others are tested against; None for all
            pairs.
        most: if there are more tests than this, only those with a corrected p-value
            below 1 - level are shown; None shows all.
    """
    alpha = 1 - level
    if not results:
        return ["No tests: there is one group only."]
    if all(len(r.seeds) < 2 for r in results):
        return ["No tests: no two groups have 2 seeds in common."]
    kept = results
    if most is not None and len(results) > most:
        kept = [r for r in results if r.corrected < alpha]
    rows = [["metric", "A", "B", "seeds", "A - B, or A / B", "p", "p corrected", ""]]
    rows += [_test_row(result, alpha) for result in kept]
    notes = list(_test_notes(results, level, test, baseline))
    if len(kept) < len(results):
        notes.append(
            f"{len(results) - len(kept)} of {len(results)} comparisons are not shown: "
            f"their corrected p is not below {alpha:.3g}, or they had no test."
        )
    if kept:
        return [Table(rows, notes=notes)]
    return [f"No corrected p is below {alpha:.3g}.", *notes]


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


def _footnotes(
    groups: Sequence[Group], metrics: Sequence[Metric], level: float
) -> Iterable[str]:
    """What to know of the tables of final values."""
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


def _test_notes(
    results: Sequence[PairTest], level: float, test: str, baseline: str | None
) -> Iterable[str]:
    """What to know of the table of tests."""
    alpha, metrics = 1 - level, list({r.metric.key: r.metric for r in results}.values())
    made = sum(not math.isnan(r.result.p) for r in results)
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
