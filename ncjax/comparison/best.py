"""Which group is the best in a metric, and which the seeds cannot tell from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ncjax.collapse import Metric
from ncjax.comparison.groups import Group
from ncjax.statistics import holm, paired


def best(
    groups: Sequence[Group], metric: Metric, level: float, test: str
) -> frozenset[int]:
    """Places of the group with the best mean, and of those that tie with it.

    A group ties if the paired test by seed against the best one was made and its
    p-value, corrected by Holm's method for the tests of this metric, is at least
    1 - level.  Without a test, for want of common seeds, there are no ties.

    Args:
        groups: the groups.
        metric: what is compared; if neither small nor large is better, nothing is best.
        level: confidence; 1 - level is the bound for p-values.
        test: "t" or "wilcoxon".
    """
    centres = np.array([float(g.summary(metric, level).centre) for g in groups])
    if metric.smaller_is_better is None or np.isnan(centres).all():
        return frozenset()
    sign = 1 if metric.smaller_is_better else -1
    first = int(np.nanargmin(sign * centres))
    others = [place for place in range(len(groups)) if place != first]
    each = (_p(groups[first], groups[place], metric, level, test) for place in others)
    corrected = holm(np.array(list(each), float))
    tied = (x for x, value in zip(others, corrected, strict=True) if value >= 1 - level)
    return frozenset({first, *tied})


def _p(a: Group, b: Group, metric: Metric, level: float, test: str) -> float:
    """The p-value of the paired test of two groups; NaN where there is none."""
    _, in_a, in_b = np.intersect1d(a.seeds, b.seeds, return_indices=True)
    of_a, of_b = a.final(metric.key)[in_a], b.final(metric.key)[in_b]
    return paired(of_a, of_b, level, metric.log, test).p
