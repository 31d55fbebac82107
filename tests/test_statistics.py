"""Intervals and paired tests, against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from ncjax.statistics import holm, paired, pareto_front, smallest_p, t_interval


def test_t_interval_by_hand():
    # Mean 2, s = 1, n = 3, t(0.975; 2) = 4.302653.
    found = t_interval(np.array([1.0, 2.0, 3.0]), 0.95)
    assert (found.count, found.centre) == (3, 2)
    np.testing.assert_allclose(found.high - 2, 4.302652729911275 / math.sqrt(3))
    np.testing.assert_allclose(2 - found.low, found.high - 2)


def test_t_interval_is_that_of_scipy_along_the_first_axis():
    values = np.random.default_rng(0).normal(3, 1, (5, 7))
    found = t_interval(values, 0.9)
    wanted = stats.t.interval(
        0.9, 4, values.mean(axis=0), stats.sem(values, axis=0, ddof=1)
    )
    np.testing.assert_allclose((found.low, found.high), wanted)


def test_t_interval_on_the_log_scale_is_multiplicative():
    values = np.array([1e-4, 1e-2])
    found = t_interval(values, 0.95, log=True)
    np.testing.assert_allclose(found.centre, 1e-3)
    factor = math.exp(stats.t.ppf(0.975, 1) * np.log(10) * math.sqrt(2) / math.sqrt(2))
    np.testing.assert_allclose(found.high, 1e-3 * factor)
    np.testing.assert_allclose(found.low, 1e-3 / factor)
    scaled = t_interval(1000 * values, 0.95, log=True)
    np.testing.assert_allclose(scaled.high, 1000 * found.high)


def test_t_interval_leaves_out_what_is_undefined():
    values = np.array([[1.0, np.nan, np.nan], [3.0, 2.0, np.nan]])
    found = t_interval(values, 0.95)
    np.testing.assert_array_equal(found.count, [2, 1, 0])
    np.testing.assert_array_equal(found.centre, [2, 2, np.nan])
    np.testing.assert_array_equal(np.isnan(found.low), [False, True, True])
    zero = t_interval(np.array([0.0, 1.0]), 0.95, log=True)
    assert (zero.count, zero.centre) == (2, 0)
    assert math.isnan(zero.low)


def test_t_interval_covers():
    values = np.random.default_rng(1).normal(size=(4, 20_000))
    found = t_interval(values, 0.8)
    inside = (found.low < 0) & (found.high > 0)
    assert abs(inside.mean() - 0.8) < 0.01


def test_holm_against_known_values():
    # Holm (1979) by hand: 0.01 * 4, 0.02 * 3, 0.03 * 2, and max(0.04, 0.06).
    np.testing.assert_allclose(
        holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06]
    )
    np.testing.assert_allclose(holm(np.array([0.6, 0.7])), [1, 1])
    np.testing.assert_allclose(
        holm(np.array([np.nan, 0.01, np.nan, 0.04])), [np.nan, 0.02, np.nan, 0.04]
    )
    assert holm(np.array([])).size == 0


def test_holm_is_monotone_and_between_raw_and_bonferroni():
    p = np.random.default_rng(2).uniform(size=50) ** 3
    corrected = holm(p)
    order = np.argsort(p)
    assert (np.diff(corrected[order]) >= 0).all()
    assert (corrected >= p).all()
    assert (corrected <= np.minimum(1, 50 * p)).all()


def test_paired_t_is_that_of_scipy():
    rng = np.random.default_rng(3)
    a, b = np.exp(rng.normal(size=(2, 6)))
    wanted = stats.ttest_rel(a, b)
    found = paired(a, b, 0.9)
    assert (found.count, found.note) == (6, "")
    np.testing.assert_allclose(found.p, wanted.pvalue)
    np.testing.assert_allclose(found.difference, (a - b).mean())
    np.testing.assert_allclose((found.low, found.high), wanted.confidence_interval(0.9))

    wanted = stats.ttest_rel(np.log(a), np.log(b))
    found = paired(a, b, 0.9, log=True)
    np.testing.assert_allclose(found.p, wanted.pvalue)
    np.testing.assert_allclose(
        (found.low, found.high), np.exp(wanted.confidence_interval(0.9))
    )
    swapped = paired(b, a, 0.9, log=True)
    np.testing.assert_allclose(swapped.difference, 1 / found.difference)
    np.testing.assert_allclose(swapped.p, found.p)


def test_wilcoxon_is_exact_and_has_a_floor():
    a = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    found = paired(a + np.array([0.1, 0.2, 0.3, 0.4, 0.5]), a, 0.95, test="wilcoxon")
    assert found.p == smallest_p(5) == 0.0625
    zeros = paired(a + np.array([0, 1, -2, 3, 4]), a, 0.95, test="wilcoxon")
    assert 0 < zeros.p <= 1


@pytest.mark.parametrize("test", ["t", "wilcoxon"])
def test_paired_without_variance(test):
    same = np.array([0.1, 0.2, 0.3])
    found = paired(same, same, 0.95, test=test)
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)
    # The same difference up to float32 rounding is no evidence beyond all bounds.
    values = np.array([3, 5], np.float32) / np.float32(360)
    shifted = np.array([1, 3], np.float32) / np.float32(360)
    found = paired(values, shifted, 0.95, test=test)
    assert math.isnan(found.p)
    assert "same difference in every seed" in found.note
    np.testing.assert_allclose(found.difference, 2 / 360, rtol=1e-6)
    assert paired(same, same, 0.95, log=True, test=test).difference == 1


def test_paired_with_too_little():
    found = paired(np.array([1.0, np.nan, 3.0]), np.array([2.0, 2.0, np.nan]), 0.95)
    assert (found.count, found.difference) == (1, -1)
    assert math.isnan(found.p)
    assert found.note == "no test: 1 common seed"
    found = paired(np.array([]), np.array([]), 0.95)
    assert (found.count, found.note) == (0, "no test: 0 common seeds")
    found = paired(np.array([0.0, 1.0]), np.array([1.0, 2.0]), 0.95, log=True)
    assert math.isnan(found.p)
    assert "no logarithm" in found.note


def test_pareto_front_by_hand():
    points = np.array([[1, 3], [2, 2], [3, 3], [2, 2.5], [4, 1], [np.nan, 0], [1, 3]])
    found = np.flatnonzero(pareto_front(points)).tolist()
    assert found == [0, 1, 4, 6]  # equal points do not beat each other
