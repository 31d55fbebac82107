"""`compare`: runs grouped by configuration, over their seeds."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ncjax import statistics
from ncjax.collapse import Metric
from ncjax.comparison.groups import Group, group, paired_tests
from ncjax.comparison.result import Comparison
from ncjax.comparison.runs import CompareError, Run, find, read
from ncjax.options import suggest, unknown
from ncjax.runs.metrics import compared, describe


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
        metrics: keys as in metrics.jsonl; by default those of
            `ncjax.runs.metrics.compared` that the runs have.
        baseline: name of a group, or its beginning: test the others against this one
            only, instead of all pairs.
        level: confidence of the intervals.
        test: "t" for Student's t-test, or "wilcoxon" for the signed-rank test.
        theory: read the networks back from their checkpoints and put the geometry that
            theory predicts beside theirs; one run is then enough.

    Raises:
        CompareError: if the runs cannot be read or compared, or an option is unknown.

    Example:
        >>> import ncjax
        >>> config = ncjax.default()
        >>> config.num_epochs = 2
        >>> config.data.examples_per_class = 20  # of the digits
        >>> config.batch_size = 64
        >>> for seed in range(2):
        ...     config.seed = seed
        ...     _ = ncjax.train(config, f"runs/{seed}", progress=False)
        >>> comparison = ncjax.compare("runs")
        >>> [(group.name, len(group.runs)) for group in comparison.groups]
        [('cross_entropy', 2)]
    """
    runs = [runs] if isinstance(runs, (str, os.PathLike)) else list(runs)
    if not 0 < level < 1:
        raise CompareError(f"The level must lie between 0 and 1, got {level}.")
    if test not in statistics.TESTS:
        raise CompareError(unknown("test", test, statistics.TESTS))
    loaded = [read(path) for path in find(runs)]
    if len(loaded) < 2 and not theory:
        raise CompareError(
            f"Nothing to compare: {loaded[0].path} is the only run. Give two or "
            "more, of other seeds or other configurations."
        )
    groups = group(loaded)
    kept = _metrics(loaded, metrics)
    reference = None if baseline is None else _named(groups, baseline)
    predicted = None
    if theory:
        from ncjax.comparison.theory import add_theory  # late: it loads the networks

        predicted = add_theory(groups)
    return Comparison(
        groups=tuple(groups),
        metrics=tuple(kept),
        results=paired_tests(groups, kept, reference, level, test),
        warnings=tuple(_warnings(groups) + (predicted.warnings if predicted else [])),
        level=level,
        test=test,
        baseline=None if reference is None else reference.name,
        chosen=metrics is not None,
        theory=predicted.classes if predicted else (),
        overlays=predicted.overlays if predicted else (),
    )


def _metrics(runs: Sequence[Run], chosen: Sequence[str] | None) -> list[Metric]:
    """The metrics to compare, in the order of the registry or as they were chosen.

    Raises:
        CompareError: if there are none, or a key is in none of the runs.
    """
    rows = [row for run in runs for row in run.rows]
    # A confusion matrix is no number.
    numbers = {k for row in rows for k, v in row.items() if not isinstance(v, list)}
    available = sorted(numbers - {"epoch"})
    listed = ", ".join(available)
    if chosen is None:
        kept = [metric for metric in compared() if metric.key in available]
        if not kept:
            raise CompareError(
                "Nothing to compare: the runs have none of the usual metrics. Choose "
                f"among theirs: {listed}."
            )
        return kept
    if not chosen:
        raise CompareError(f"No metrics were chosen. Available: {listed}.")
    for key in chosen:
        if key not in available:
            raise CompareError(unknown("metric", key, available))
    return [describe(key) for key in dict.fromkeys(chosen)]


def _named(groups: Sequence[Group], name: str) -> Group:
    """The group of that name, or the only one whose name begins with it.

    Raises:
        CompareError: if there is no such group, or there are several.
    """
    exact = [g for g in groups if g.name == name]
    found = exact or [g for g in groups if g.name.startswith(name)]
    if len(found) != 1:
        problem = "Ambiguous" if found else "Unknown"
        listed = ", ".join(repr(g.name) for g in groups)
        meant = suggest(name, [g.name for g in groups])
        raise CompareError(f"{problem} baseline {name!r}. Available: {listed}.{meant}")
    return found[0]


def _warnings(groups: Sequence[Group]) -> list[str]:
    """What a reader of the numbers must know of these runs."""
    found = [
        f"The run {run.path} is unfinished: measured up to epoch {run.last} of "
        f"{run.planned}."
        for g in groups
        for run in g.runs
        if run.last < run.planned
    ]
    for g in groups:
        measured = {frozenset(row["epoch"] for row in run.rows) for run in g.runs}
        if len(measured) > 1:
            shared = frozenset.intersection(*measured)
            found.append(
                f"The seeds of {g.name} were measured at different epochs; its curves "
                f"show the {len(shared)} that they share."
            )
    ends = {g.name: sorted({run.last for run in g.runs}) for g in groups}
    if len({epoch for epochs in ends.values() for epoch in epochs}) > 1:
        listed = "; ".join(f"{k}: {', '.join(map(str, v))}" for k, v in ends.items())
        found.append(
            "The runs end at different epochs, so their final values are of different "
            f"epochs ({listed})."
        )
    return found
