"""Tables of the study of steered geometries: Markdown for people, CSV for machines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ncjax.statistics import t_interval
from tests.benchmarks.studies.harness import LEVEL
from tests.benchmarks.studies.steering_runs import (
    CONDITIONS,
    METHODS,
    METRICS,
    Shifted,
    Values,
)


def table(title: str, rows: Mapping[str, Values], epochs: bool) -> str:
    """Mean and half of the 95 % interval of each metric, as Markdown.

    Args:
        title: the condition.
        rows: method -> its values.
        epochs: whether the networks were measured often enough to say when.
    """
    keys = [key for key in METRICS if epochs or "<=" not in key]
    cells = [["", *(METRICS[key][0] for key in keys)]]
    cells.append(["---"] * len(cells[0]))
    for name, values in rows.items():
        line = [name]
        for key in keys:
            _, factor, digits = METRICS[key]
            line.append(_cell(factor * values[key], digits))
        cells.append(line)
    numbers = sorted({len(values["test/error"]) for values in rows.values()})
    seeds = " or ".join(map(str, numbers))
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return f"## {title}, {seeds} seeds\n\n" + "\n".join(lines) + "\n"


def _cell(values: np.ndarray, digits: int) -> str:
    """Mean ± half of the interval; of how many seeds, where some have no value."""
    each = t_interval(values, LEVEL)
    if not np.isfinite(each.centre):
        return "-"
    said = f"{each.centre:.{digits}f}"
    if np.isfinite(each.low):
        said += f" ± {(each.high - each.low) / 2:.{digits}f}"
    missing = each.count < len(values)
    return f"{said} ({each.count} of {len(values)})" if missing else said


def errors_table(errors: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """Test error of each method in each condition, mean and half of the interval."""
    cells = [["test error %", *METHODS.values()], ["---"] * (len(METHODS) + 1)]
    for condition, by in errors.items():
        each = (_cell(by[m], 2) if m in by else "-" for m in METHODS)
        cells.append([condition, *each])
    lines = [f"| {' | '.join(row)} |" for row in cells]
    return "## All conditions\n\n" + "\n".join(lines) + "\n"


def csv_of(
    accuracies: Mapping[str, Mapping[str, np.ndarray]],
    orders: Mapping[str, np.ndarray],
    by_condition: Mapping[str, Mapping[str, Values]],
    shifts: Mapping[str, Shifted],
    tuned: Sequence[tuple[str, float, float, float]],
) -> str:
    """All numbers: question, what, metric, seed (or setting), value."""
    lines = ["question,what,metric,seed,value"]

    def add(question: str, what: str, metric: str, values: Iterable[float]) -> None:
        for seed, value in enumerate(values):
            lines.append(f"{question},{what},{metric},{seed},{value:.6g}")

    for data, by in accuracies.items():
        for name, values in by.items():
            add(f"square {data}", name, "accuracy %", values)
    for name, values in orders.items():
        add("learned code", name, "rank correlation", values)
    for condition, rows in by_condition.items():
        for method, found in rows.items():
            for key, values in found.items():
                add(CONDITIONS[condition].replace(",", ""), method, key, values)
    for name, of_method in shifts.items():
        for method, by_shift in of_method.items():
            for shift, errors in by_shift.items():
                title = f"{name} test images {shift}".strip()
                add(title, method, "test/error", errors)
    lines += [
        f"tuning,{method},learning rate {rate:g} and {knob:g},0,{error:.6g}"
        for method, rate, knob, error in tuned
    ]
    return "\n".join(lines) + "\n"
