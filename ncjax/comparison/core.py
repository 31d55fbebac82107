"""The comparison of runs: groups, metrics, intervals and tests."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ncjax import statistics
from ncjax.comparison import figure, tables, theory_figure, theory_tables
from ncjax.comparison.groups import Group, group
from ncjax.comparison.runs import CompareError, Run, find, read
from ncjax.comparison.theory import GroupTheory, add_theory
from ncjax.metrics import METRICS, Metric, describe


@dataclasses.dataclass(frozen=True)
class PairTest:
    """A paired test between two groups in one metric, by seed.

    Attributes:
        metric: what is compared.
        first, second: names of the groups; the difference is first - second.
        seeds: those that both groups have.
        result: of the test.
        corrected: p-value corrected over all tests of the comparison (Holm).
    """

    metric: Metric
    first: str
    second: str
    seeds: tuple[int, ...]
    result: statistics.Paired
    corrected: float


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Groups of runs side by side; prints as its tables.

    Attributes:
        groups: runs that differ in nothing but the seed.
        metrics: those compared.
        results: the paired tests.
        warnings: what a reader of the numbers must know.
        level: of confidence.
        test: "t" or "wilcoxon".
        baseline: the group with which the others are compared, None for all pairs.
        chosen: whether the metrics were asked for by name.
        theory: the optimum nearest to each network, where it was asked for.
    """

    groups: tuple[Group, ...]
    metrics: tuple[Metric, ...]
    results: tuple[PairTest, ...]
    warnings: tuple[str, ...]
    level: float
    test: str
    baseline: str | None
    chosen: bool
    theory: tuple[GroupTheory, ...] = ()

    def summary(self, group: Group, metric: Metric) -> statistics.Interval:
        """Mean and interval over the seeds of a group, at the last measured epoch."""
        values = group.final(metric.key)
        return statistics.t_interval(values, self.level, metric.log)

    def table(self) -> str:
        """The final values, as Markdown."""
        return tables.table(self)

    def tests(self) -> str:
        """The paired tests, as Markdown."""
        return tables.paired_tests(self)

    def theory_table(self) -> str:
        """Theory beside the networks, as Markdown; "" without theory."""
        return theory_tables.tables(self.theory, self.level) if self.theory else ""

    def figure(self) -> Figure:
        """Curves over epochs: mean and interval over seeds."""
        return figure.figure(self)

    def theory_figure(self) -> Figure:
        """Gram matrices found and predicted.

        Raises:
            ValueError: without theory.
        """
        if not self.theory:
            raise ValueError("There is no theory here: `compare(..., theory=True)`.")
        return theory_figure.figure(self.theory)

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; numbers that are not finite are None."""
        found = tables.to_dict(self)
        if self.theory:
            found["theory"] = tables.finite(theory_tables.to_dict(self.theory))
        return found

    def __str__(self) -> str:
        """The tables, as Markdown."""
        return tables.markdown(self)

    _repr_markdown_ = __str__


def compare(
    runs: str | os.PathLike | Sequence[str | os.PathLike],
    *,
    metrics: Sequence[str] | None = None,
    baseline: str | None = None,
    level: float = 0.95,
    test: str = "t",
    theory: bool = False,
) -> Comparison:
    """Compares runs, grouped by configuration, over their seeds.

    Args:
        runs: folders of runs, folders of such folders, or glob patterns.
        metrics: names as in metrics.jsonl; by default those of
            `ncjax.metrics.METRICS` that the runs have.
        baseline: name of a group, or its beginning: test the others against this one
            only, instead of all pairs.
        level: of confidence of the intervals.
        test: "t", or "wilcoxon" for the signed-rank test.
        theory: read the networks back from their checkpoints and put the geometry that
            theory predicts beside theirs; one run is then enough.

    Raises:
        CompareError: if the runs cannot be read or compared, or an option is unknown.
    """
    runs = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    if not 0 < level < 1:
        raise CompareError(f"The level must lie between 0 and 1, got {level}.")
    if test not in statistics.TESTS:
        raise CompareError(
            f"Unknown test {test!r}. Available: {', '.join(statistics.TESTS)}."
        )
    loaded = [read(path) for path in find(runs)]
    if len(loaded) < 2 and not theory:
        raise CompareError(
            f"Nothing to compare: {loaded[0].path} is the only run. Give two or "
            "more, of other seeds or other configurations."
        )
    groups = group(loaded)
    kept = _metrics(loaded, metrics)
    reference = None if baseline is None else _named(groups, baseline)
    predicted, unknown = add_theory(groups) if theory else ([], [])
    return Comparison(
        groups=tuple(groups),
        metrics=tuple(kept),
        results=tuple(_tests(groups, kept, reference, level, test)),
        warnings=tuple(_warnings(groups) + unknown),
        level=level,
        test=test,
        baseline=None if reference is None else reference.name,
        chosen=metrics is not None,
        theory=tuple(predicted),
    )


def _is_number(value: object) -> bool:
    return not isinstance(value, list)


def _metrics(runs: Sequence[Run], chosen: Sequence[str] | None) -> list[Metric]:
    """The metrics to compare, in the order of the table, or as they were chosen."""
    rows = [row for run in runs for row in run.rows]
    available = {key for row in rows for key, v in row.items() if _is_number(v)}
    available.discard("epoch")
    if chosen is None:
        kept = [m for m in METRICS.values() if m.shown and m.key in available]
        if not kept:
            raise CompareError(
                "Nothing to compare: the runs have none of the usual metrics. Choose "
                f"among theirs: {', '.join(sorted(available))}."
            )
        return kept
    if not chosen:
        raise CompareError(
            f"No metrics were chosen. Available: {', '.join(sorted(available))}."
        )
    for key in chosen:
        if key not in available:
            raise CompareError(
                f"Unknown metric {key!r}. Available: {', '.join(sorted(available))}."
            )
    return [describe(key) for key in dict.fromkeys(chosen)]


def _named(groups: Sequence[Group], name: str) -> Group:
    """The group of that name, or the only one whose name begins so."""
    exact = [g for g in groups if g.name == name]
    found = exact or [g for g in groups if g.name.startswith(name)]
    if len(found) != 1:
        problem = "Unknown" if not found else "Ambiguous"
        raise CompareError(
            f"{problem} baseline {name!r}. Available: "
            f"{', '.join(repr(g.name) for g in groups)}."
        )
    return found[0]


def _tests(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    baseline: Group | None,
    level: float,
    test: str,
) -> list[PairTest]:
    """All pairs, or all against the baseline, in every metric; corrected together."""
    if baseline is None:
        pairs = list(itertools.combinations(groups, 2))
    else:
        pairs = [(g, baseline) for g in groups if g is not baseline]
    found = []
    for metric, (a, b) in itertools.product(metrics, pairs):
        seeds, in_a, in_b = np.intersect1d(a.seeds, b.seeds, return_indices=True)
        of_a, of_b = a.final(metric.key)[in_a], b.final(metric.key)[in_b]
        result = statistics.paired(of_a, of_b, level, metric.log, test)
        common = tuple(int(s) for s in seeds)
        found.append(PairTest(metric, a.name, b.name, common, result, result.p))
    corrected = statistics.holm(np.array([t.result.p for t in found], float))
    return [
        dataclasses.replace(one, corrected=float(p))
        for one, p in zip(found, corrected, strict=True)
    ]


def _warnings(groups: Sequence[Group]) -> list[str]:
    found = []
    for run in (run for g in groups for run in g.runs):
        planned = run.config.get("num_epochs", run.last)
        if run.last < planned:
            found.append(
                f"The run {run.path} is unfinished: measured up to epoch {run.last} of "
                f"{planned}."
            )
    for g in groups:
        measured = [{row["epoch"] for row in run.rows} for run in g.runs]
        common = set.intersection(*measured)
        if any(epochs != common for epochs in measured):
            found.append(
                f"The seeds of {g.name} were measured at different epochs; its curves "
                f"show the {len(common)} that they share."
            )
    ends = {g.name: sorted({run.last for run in g.runs}) for g in groups}
    if len({epoch for epochs in ends.values() for epoch in epochs}) > 1:
        listed = "; ".join(f"{k}: {', '.join(map(str, v))}" for k, v in ends.items())
        found.append(
            "The runs end at different epochs, so their final values are of different "
            f"epochs ({listed})."
        )
    return found
