"""Minority collapse in closed form: reference values, and numerical optima."""

import math

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy import optimize, special

from ncjax.ufm.theory import minority
from tests.ufm.theory.searches import ce, search


def peeled_logits(majority, minority, values):
    """A class-symmetric Z with merged minority, a row per class."""
    k = majority + minority
    s, x_a, x_b = values
    e = np.append(np.full(majority, 1 / majority), np.full(minority, -1 / minority))
    e *= math.sqrt(majority * minority / k)
    z = np.zeros((k, k))
    z[:majority, :majority] = s * (np.eye(majority) - 1 / majority)
    z[:majority] += x_a / math.sqrt(majority) * e
    z[majority:] += x_b / math.sqrt(minority) * e
    return z


class TestMinority:
    def test_ridge_threshold_brackets_the_merger(self):
        """K = 3 + 2 of 5 and 2 samples, N = 19: merged from mu = sqrt(2)/19 on."""
        counts = np.array([5, 5, 5, 2, 2])
        edge = math.sqrt(2) / 19
        np.testing.assert_allclose(minority.ridge_threshold(19, edge, edge), 2)
        for mu, merged in ((0.97 * edge, False), (1.03 * edge, True)):
            for bias in (None, 0.05):
                _, w, _, _ = search(
                    ce, np.repeat(np.eye(5), counts, 0), 2 * mu, mu / 2, bias, seeds=1
                )
                contrast = np.linalg.norm(w[3] - w[4])
                assert (contrast < 1e-3) == merged

    def test_ridge_threshold_reference(self):
        for total, mu, atol in ((3000, 0.0033333, 5e-8), (2200, 0.004545, 5e-7)):
            edge = math.sqrt(100 / minority.ridge_threshold(total, 1.0, 1.0))
            np.testing.assert_allclose(edge, mu, atol=atol)

    @pytest.mark.parametrize(
        ("majority", "minor", "thresholds"),
        [
            (5, 5, {1.0: 1.735416, 2.0: 2.894567, 5.0: 12.192447, 10.0: 81.102206,
                    25.0: 3954.6735}),
            (3, 7, {1.0: 4.135908, 2.0: 14.617540, 5.0: 245.49693, 10.0: 6350.8465,
                    25.0: 4113420.4}),
        ],
    )  # fmt: skip
    def test_peeled_threshold(self, majority, minor, thresholds):
        for energy, ratio in thresholds.items():
            got = minority.peeled_threshold(majority, minor, energy)
            np.testing.assert_allclose(got, ratio, rtol=1e-6)

    @pytest.mark.parametrize(("majority", "minor"), [(5, 5), (3, 7), (1, 3)])
    @pytest.mark.parametrize("ratio", [1.1, 2.0, 12.0])
    def test_merged_optimum_is_global_for_all_logits(self, majority, minor, ratio):
        """Optimality of the full convex problem: |G|_2 = 1, <-G, Z> = |Z|_*."""
        k = majority + minor
        weights = np.append(np.full(majority, ratio), np.ones(minor))[:, None]

        def objective(values):
            z = peeled_logits(majority, minor, values)
            loss = -weights[:, 0] @ np.diag(special.log_softmax(z, axis=1))
            return loss + np.linalg.norm(z, "nuc")

        start = optimize.minimize(objective, [1.0, 1.0, -1.0], method="Nelder-Mead").x
        found = optimize.minimize(objective, start, method="BFGS", tol=1e-9).x
        z = peeled_logits(majority, minor, found)
        slope = weights * (special.softmax(z, axis=1) - np.eye(k))
        nuclear = np.linalg.norm(z, "nuc")
        np.testing.assert_allclose(np.linalg.norm(slope, 2), 1, atol=1e-5)
        np.testing.assert_allclose(-np.sum(slope * z), nuclear, rtol=1e-5)
        got = minority.merged_norm(majority, minor, ratio)
        np.testing.assert_allclose(got, nuclear, rtol=1e-5)

    @pytest.mark.parametrize(("majority", "minor"), [(5, 5), (3, 7), (90, 10)])
    def test_peeled_threshold_of_small_energy(self, majority, minor):
        """R0 - 1 grows like sqrt(energy), found as a root or to first order."""
        k = majority + minor
        for excess in (1e-6, 1e-8, 1e-10, 1e-12):
            energy = (excess * majority * (k - 1) / k) ** 2
            got = minority.peeled_threshold(majority, minor, energy)
            np.testing.assert_allclose(got - 1, excess, rtol=1e-4)
        assert minority.peeled_threshold(majority, minor, 1e-40) == 1
        assert minority.peeled_threshold(majority, minor, 5e-324) == 1

    @pytest.mark.parametrize(("factor", "merged"), [(0.9, False), (1.1, True)])
    def test_peeled_threshold_by_search(self, factor, merged):
        """With the multiplier that fills the bound, minorities merge above R0 only."""
        majority, minor, energy = 2, 2, 1.0
        ratio = factor * minority.peeled_threshold(majority, minor, energy)
        weights = np.array([ratio, ratio, 1.0, 1.0])[:, None] / (2 * ratio + 2)

        def solve(price):
            def objective(x):
                h, w = x.reshape(2, 4, 4)
                z = h @ w.T
                loss = -weights[:, 0] @ np.diag(special.log_softmax(z, axis=1))
                g = weights * (special.softmax(z, axis=1) - np.eye(4))
                slopes = np.stack([g @ w, g.T @ h]).ravel()
                return loss + price / 2 * x @ x, slopes + price * x

            start = np.random.default_rng(0).normal(size=32)
            x = optimize.minimize(objective, start, jac=True, options={"gtol": 1e-9}).x
            return x.reshape(2, 4, 4)

        def excess(price):
            h, w = solve(price)
            return np.linalg.norm(h @ w.T, "nuc") - 4 * math.sqrt(energy)

        _, w = solve(optimize.brentq(excess, 1e-3, 0.24, xtol=1e-9))
        cosine = w[2] @ w[3] / np.linalg.norm(w[2]) / np.linalg.norm(w[3])
        assert (cosine > 1 - 1e-6) == merged

    @settings(max_examples=40, deadline=None)
    @given(st.integers(1, 8), st.integers(2, 8), st.floats(-6, 6))
    @example(5, 5, 6.0)  # blamed a ratio that nobody gave
    def test_any_energy_has_a_ratio_or_is_refused(self, majority, minor, log_energy):
        energy, refused = 10**log_energy, ""
        try:
            ratio = minority.peeled_threshold(majority, minor, energy)
        except ValueError as error:
            refused = str(error)
        if refused:
            assert energy > 100
            assert refused.startswith("energy = ")
            return
        assert ratio > 1
        bound = (majority + minor) * math.sqrt(energy)
        found = minority.merged_norm(majority, minor, ratio)
        np.testing.assert_allclose(found, bound, rtol=1e-6)

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"^energy = 1e\+06 is too large: R0"):
            minority.peeled_threshold(5, 5, 1e6)
        with pytest.raises(ValueError, match="minority must be at least 2, got 1"):
            minority.peeled_threshold(3, 1, 1.0)
        with pytest.raises(ValueError, match=r"energy must be .* got 0"):
            minority.peeled_threshold(3, 3, 0.0)
        with pytest.raises(ValueError, match="ratio must be finite and > 1, got 1"):
            minority.merged_norm(3, 3, 1.0)
