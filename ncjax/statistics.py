"""Intervals over seeds, paired tests, Holm's correction, Pareto fronts; plain arrays.

Metrics that span decades (`log=True`) are treated on the logarithm: centre and
interval are then the geometric mean and a multiplicative interval, and a paired
difference is a ratio.
"""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np

TESTS = ("t", "wilcoxon")

# Metrics are float32: differences below this share of the values are rounding.
ROUNDING = 1e-6


class Interval(NamedTuple):
    """Mean and interval over the first axis of [n, ...]; every field is [...].

    `low` and `high` are NaN where fewer than 2 values are defined.
    """

    count: np.ndarray  # values that are defined
    centre: np.ndarray
    low: np.ndarray
    high: np.ndarray


def t_interval(values: np.ndarray, level: float, log: bool = False) -> Interval:
    """Student's interval for the mean: x̄ ± t((1 + level)/2; n - 1) s / √n.

    With `log`, the same of log x, and the exponential of centre, low and high.  A value
    of 0 has no logarithm: the geometric mean is then 0, without an interval.

    Args:
        values: values of n independent seeds [n, ...]; NaN where undefined, which is
            left out.
        level: level of confidence, between 0 and 1.
        log: whether to take the logarithm; negative values then count as undefined.

    References:
        Student, "The probable error of a mean", Biometrika 1908.
    """
    from scipy import stats  # late: it takes a second to import

    values = np.asarray(values, np.float64)
    with np.errstate(all="ignore"):
        values = np.log(values) if log else values
        defined = ~np.isnan(values)
        count = defined.sum(axis=0)
        mean = np.where(defined, values, 0).sum(axis=0) / count
        squares = np.where(defined, values - mean, 0) ** 2
        deviation = np.sqrt(squares.sum(axis=0) / (count - 1))
        half = stats.t.ppf((1 + level) / 2, count - 1) * deviation / np.sqrt(count)
        half = np.where(count > 1, half, np.nan)
        found = mean, mean - half, mean + half
        centre, low, high = map(np.exp, found) if log else found
    return Interval(count, centre, low, high)


@dataclasses.dataclass(frozen=True)
class Paired:
    """A paired test of a against b.

    Attributes:
        count: number of pairs in which both values are defined.
        difference: mean of a - b, or with `log` the geometric mean of a / b.
        low, high: t-interval of the difference, not corrected for the number of tests.
        p: two-sided p-value; NaN where there is no test.
        note: why there is no test, or what to know of it; "" otherwise.
    """

    count: int
    difference: float
    low: float
    high: float
    p: float
    note: str = ""


def paired(
    a: np.ndarray, b: np.ndarray, level: float, log: bool = False, test: str = "t"
) -> Paired:
    """Is the mean of a - b (with `log` of log a - log b) zero?

    "t" is Student's test of the n differences, "wilcoxon" the signed-rank test, exact
    for small n.  Where all differences are zero up to rounding, p = 1.  Where they are
    all the same but not zero, neither test can tell chance from certainty, and no test
    is made.  (Error rates are multiples of 1/n, so two or three seeds agree now and
    then.)

    Args:
        a: values of one group by seed [n], NaN where undefined.
        b: values of the other group [n], by the same seeds in the same order.
        level: level of confidence of the interval, which is Student's for both tests.
        log: whether to compare the logarithms.
        test: "t" or "wilcoxon".

    References:
        Wilcoxon, "Individual comparisons by ranking methods", Biometrics Bulletin 1945.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    count = len(a)
    identity = 1.0 if log else 0.0

    def none(note: str, value: float = math.nan) -> Paired:
        return Paired(count, value, math.nan, math.nan, math.nan, note)

    if log and (np.minimum(a, b) <= 0).any():
        return none("no test: a value is 0, which has no logarithm")
    rounding = ROUNDING * np.abs(np.concatenate([a, b])).max(initial=0)
    if log:
        a, b, rounding = np.log(a), np.log(b), ROUNDING
    differences = a - b
    mean = float(differences.mean()) if count else math.nan
    centre = math.exp(mean) if log else mean
    if count < 2:
        return none(f"no test: {count} common seed{'s' if count != 1 else ''}", centre)
    if np.abs(differences).max() <= rounding:
        return Paired(count, identity, identity, identity, 1.0, "identical values")
    if np.ptp(differences) <= 2 * rounding:
        return none("no test: the same difference in every seed", centre)

    _, _, low, high = (float(x) for x in t_interval(differences, level))
    if log:
        low, high = math.exp(low), math.exp(high)
    from scipy import stats  # late: it takes a second to import

    if test == "t":
        p = stats.ttest_rel(a, b).pvalue
    else:
        differences = np.where(np.abs(differences) <= rounding, 0, differences)
        p = stats.wilcoxon(differences).pvalue
    return Paired(count, centre, low, high, float(p))


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's step-down correction: p̃_(i) = max_{j <= i} min(1, (m - j + 1) p_(j)).

    Holds the chance of any false positive among the m tests, however they depend on
    each other.

    Args:
        p: p-values [n]; NaN where there was no test, which does not count towards m.

    Returns:
        Corrected p-values [n], NaN where `p` is.

    References:
        Holm, "A simple sequentially rejective multiple test procedure", Scandinavian
        Journal of Statistics 1979.
    """
    p = np.asarray(p, np.float64)
    order = np.argsort(p)[: int((~np.isnan(p)).sum())]  # NaN is sorted to the end
    factors = np.arange(len(order), 0, -1)
    corrected = np.full(p.shape, np.nan)
    corrected[order] = np.maximum.accumulate(np.minimum(1, factors * p[order]))
    return corrected


def pareto_front(points: np.ndarray) -> np.ndarray:
    """Which points no other one beats: is at least as small in all, smaller in one.

    Args:
        points: values of which small ones are better [n, m]; NaN is beaten.

    Returns:
        bool [n].
    """
    at_most = (points[None] <= points[:, None]).all(-1)
    less = (points[None] < points[:, None]).any(-1)
    beaten = np.any(at_most & less, axis=1)
    return np.logical_and(~beaten, np.isfinite(points).all(axis=1))


def smallest_p(count: int) -> float:
    """The least p-value of the signed-rank test with `count` = n pairs: 2^(1 - n)."""
    return 2.0 ** (1 - count)
