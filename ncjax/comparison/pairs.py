"""Paired tests between groups of runs, seed by seed."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np

from ncjax import statistics
from ncjax.collapse import Metric
from ncjax.comparison.groups import Group


@dataclasses.dataclass(frozen=True)
class PairTest:
    """A paired test between two groups in one metric, by seed.

    Attributes:
        metric: what is compared.
        first: name of the first group; the difference is first - second.
        second: name of the second group.
        seeds: the seeds that both groups have.
        result: the difference, its interval and the p-value.
        corrected: p-value corrected over all tests of the comparison (Holm).
    """

    metric: Metric
    first: str
    second: str
    seeds: tuple[int, ...]
    result: statistics.Paired
    corrected: float


def paired_tests(
    groups: Sequence[Group],
    metrics: Sequence[Metric],
    baseline: Group | None,
    level: float,
    test: str,
) -> tuple[PairTest, ...]:
    """All pairs of groups in every metric; p-values corrected together.

    Args:
        groups: the groups, in the order of the tables.
        metrics: what is compared.
        baseline: the group with which the others are compared; None for all pairs.
        level: confidence of the intervals.
        test: "t" or "wilcoxon".
    """
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
    return tuple(
        dataclasses.replace(one, corrected=float(p))
        for one, p in zip(found, corrected, strict=True)
    )
