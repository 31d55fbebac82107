"""A comparison as text and as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ncjax.metrics import Metric
from ncjax.statistics import ROUNDING, Interval, Paired, smallest_p

if TYPE_CHECKING:
    from ncjax.comparison.core import Comparison, PairTest
    from ncjax.comparison.groups import Group


def markdown(comparison: Comparison) -> str:
    """The whole report."""
    warnings = [f"**Warning:** {warning}" for warning in comparison.warnings]
    return "\n\n".join(["# Comparison", *warnings, body(comparison)])


def body(comparison: Comparison, most: int | None = None) -> str:
    """All tables; of more than `most` tests only those below 1 - level."""
    final, pairs = table(comparison), paired_tests(comparison, most)
    text = f"## Final values\n\n{final}\n\n## Paired tests\n\n{pairs}"
    if comparison.theory:
        text += f"\n\n## Theory beside the networks\n\n{comparison.theory_table()}"
    return text


def table(comparison: Comparison) -> str:
    """Mean and interval over seeds at the last measured epoch: a table for each part.

    Rows are groups; the first table says how many seeds each has.
    """
    blocks = []
    for part in dict.fromkeys(m.part for m in comparison.metrics):
        metrics = [m for m in comparison.metrics if m.part == part]
        first = not blocks
        rows = [[part, *(["seeds", "epoch"] if first else [])]]
        rows[0] += [metric.heading for metric in metrics]
        for group in comparison.groups:
            row = [group.name]
            if first:
                row += [str(len(group.runs)), _ends(group)]
            row += [
                cell(metric, comparison.summary(group, metric), len(group.runs))
                for metric in metrics
            ]
            rows.append(row)
        blocks.append(markdown_table(rows))
    return "\n\n".join([*blocks, "  \n".join(_footnotes(comparison))])


def paired_tests(comparison: Comparison, most: int | None = None) -> str:
    """Paired tests by seed; of more than `most` only those below 1 - level."""
    results, alpha = comparison.results, 1 - comparison.level
    if len(comparison.groups) == 1:
        return "No tests: there is one group only."
    if all(len(r.seeds) < 2 for r in results):
        return "No tests: no two groups have 2 seeds in common."
    kept = results
    if most is not None and len(results) > most:
        kept = [r for r in results if r.corrected < alpha]
    rows = [["metric", "A", "B", "seeds", "A - B, or A / B", "p", "p corrected", ""]]
    rows += [_test_row(result, alpha) for result in kept]
    body = markdown_table(rows) if kept else f"No corrected p is below {alpha:.3g}."
    notes = list(_test_notes(comparison, alpha))
    if len(kept) < len(results):
        notes.append(
            f"{len(results) - len(kept)} of {len(results)} comparisons are not shown: "
            f"their corrected p is not below {alpha:.3g}, or they had no test."
        )
    return "\n\n".join([body, "  \n".join(notes)])


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything, for JSON: no NaN, no infinity."""
    return finite(
        {
            "level": comparison.level,
            "test": comparison.test,
            "baseline": comparison.baseline,
            "warnings": list(comparison.warnings),
            "metrics": {
                m.key: {
                    "title": m.title,
                    "smaller_is_better": m.smaller_is_better,
                    "scale": "log" if m.log else "linear",
                }
                for m in comparison.metrics
            },
            "groups": [_group(comparison, group) for group in comparison.groups],
            "tests": [
                {
                    "metric": t.metric.key,
                    "first": t.first,
                    "second": t.second,
                    "seeds": list(t.seeds),
                    "count": t.result.count,
                    "ratio" if t.metric.log else "difference": t.result.difference,
                    "low": t.result.low,
                    "high": t.result.high,
                    "p": t.result.p,
                    "p_corrected": t.corrected,
                    "note": t.result.note,
                }
                for t in comparison.results
            ],
        }
    )


def cell(metric: Metric, found: Interval, total: int) -> str:
    """A mean and its interval: `0.0461 ± 0.0012`, on the log scale `7e-4 ×/÷ 1.1`."""
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


def _group(comparison: Comparison, group: Group) -> dict[str, Any]:
    values = {}
    for metric in comparison.metrics:
        found = comparison.summary(group, metric)
        per_seed = zip(group.seeds, group.final(metric.key).tolist(), strict=True)
        values[metric.key] = {
            "count": int(found.count),
            "centre": float(found.centre),
            "low": float(found.low),
            "high": float(found.high),
            "values": {str(seed): value for seed, value in per_seed},
        }
    return {
        "name": group.name,
        "runs": [
            {"path": str(run.path), "seed": run.seed, "epoch": run.last}
            for run in group.runs
        ],
        "metrics": values,
    }


def _test_row(test: PairTest, alpha: float) -> list[str]:
    result = test.result
    name = test.metric.title + (", %" if test.metric.percent else "")
    star = "*" if test.corrected < alpha else ""
    p = ["-", "-"] if math.isnan(result.p) else [_p(result.p), _p(test.corrected)]
    return [
        *(name, test.first, test.second, str(result.count)),
        _difference(test.metric, result),
        *p,
        result.note or star,
    ]


def _difference(metric: Metric, result: Paired) -> str:
    if math.isnan(result.difference):
        return "-"
    sign = "×" if metric.log else ""
    unit = 100 if metric.percent else 1
    value, low, high = (
        f"{sign if i == 0 else ''}{unit * x:.3g}"
        for i, x in enumerate((result.difference, result.low, result.high))
    )
    return value if math.isnan(result.low) else f"{value} [{low}, {high}]"


def _p(p: float) -> str:
    return f"{p:.2g}"


def _percent(level: float) -> str:
    return f"{100 * level:.4g} %"


def _footnotes(comparison: Comparison) -> Iterable[str]:
    level = _percent(comparison.level)
    logs = [m.title for m in comparison.metrics if m.log]
    linear = len(logs) < len(comparison.metrics)
    single = [g.name for g in comparison.groups if len(g.runs) == 1]
    summaries = [
        (comparison.summary(group, metric), len(group.runs))
        for group in comparison.groups
        for metric in comparison.metrics
    ]
    if all(len(group.runs) == 1 for group in comparison.groups):
        yield "One seed in each group: values without intervals."
        linear, logs, single = False, [], []
    if linear:
        yield f"Mean ± half of the {level} t-interval over seeds."
    if logs:
        yield (
            f"{', '.join(logs)}: geometric mean ×/÷ the factor of the {level} "
            "t-interval of the logarithm."
        )
    if single:
        yield f"One seed, so no interval: {', '.join(single)}."
    if any(found.count < total for found, total in summaries):
        yield (
            "(k of n): defined in k of n seeds; the others (null, or not measured) are "
            "left out. Mistakes have no severity where there are none."
        )
    if any(m.log and found.centre == 0 for m, found in _pairs(comparison)):
        yield "A geometric mean of 0 has no interval: one of its values is 0."
    if any(m.smaller_is_better is not None for m in comparison.metrics):
        yield "↓ smaller is better, or more collapsed; ↑ larger is."


def _test_notes(comparison: Comparison, alpha: float) -> Iterable[str]:
    results, metrics = comparison.results, comparison.metrics
    made = sum(not math.isnan(r.result.p) for r in results)
    against = (
        f"against {comparison.baseline}" if comparison.baseline else "of all pairs"
    )
    kind = {"t": "t-tests", "wilcoxon": "Wilcoxon signed-rank tests"}[comparison.test]
    yield (
        f"Paired {kind} by seed, {against}; p corrected by Holm's method for the "
        f"{made} tests made; * corrected p < {alpha:.3g}."
    )
    interval = f"{_percent(comparison.level)} t-interval, which is not corrected"
    points = any(m.percent for m in metrics)
    if not all(m.log for m in metrics):
        yield (
            f"A - B with its {interval}"
            f"{'; percentage points where the metric is in %' if points else ''}."
        )
    if logs := [m.title for m in metrics if m.log]:
        yield f"{', '.join(logs)}: tested on the logarithm; ×A / B with its {interval}."
    pairs = max(r.result.count for r in results)
    if comparison.test == "wilcoxon" and pairs and smallest_p(pairs) > alpha:
        yield (
            f"With {pairs} seeds the signed-rank test cannot give a p below "
            f"{smallest_p(pairs):.3g}, whatever the difference."
        )


def _pairs(comparison: Comparison) -> Iterable[tuple[Metric, Interval]]:
    for group in comparison.groups:
        for metric in comparison.metrics:
            yield metric, comparison.summary(group, metric)


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


def finite(tree: Any) -> Any:
    """A nested structure with None for numbers that are not finite."""
    if isinstance(tree, dict):
        return {k: finite(v) for k, v in tree.items()}
    if isinstance(tree, list):
        return [finite(v) for v in tree]
    if isinstance(tree, float):
        return tree if np.isfinite(tree) else None
    return tree
