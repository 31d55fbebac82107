"""Cross-entropy in closed form: reference values, and independent numerical optima."""

import decimal
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st
from scipy import optimize

from ncjax.ufm.theory import cross_entropy
from tests.ufm.theory.searches import assert_found, ce, search


class TestCrossEntropy:
    @pytest.mark.parametrize(
        ("c", "objective", "s"),
        [(1e-3, 0.0711291755, 6.8987145), (1e-2, 0.5002880350, 4.5108595)],
    )
    def test_reference_values(self, c, objective, s):
        optimum = cross_entropy.cross_entropy_optimum(10, 4, c / 2, c / 2)
        np.testing.assert_allclose(optimum.objective, objective, atol=5.1e-11)
        np.testing.assert_allclose(optimum.logits, s * (np.eye(10) - 0.1), atol=5.1e-8)
        np.testing.assert_allclose(
            optimum.objective, -math.log(1 - 9 * c) + 9 * c * s, atol=1e-8
        )
        assert optimum.rank == 9

    @pytest.mark.parametrize(("eps", "s"), [(0.1, 4.405610), (0.2, 3.653746)])
    def test_label_smoothing_reference_values(self, eps, s):
        optimum = cross_entropy.cross_entropy_optimum(
            10, 1, 1e-3, 1e-3, label_smoothing=eps
        )
        np.testing.assert_allclose(optimum.logits[0, 0], 0.9 * s, atol=5.1e-7)

    @pytest.mark.parametrize("eps", [0.0, 0.2])
    @pytest.mark.parametrize("decays", [(2e-2, 5e-3), (3e-3, 3e-3), (0.3, 0.2)])
    def test_against_a_search(self, eps, decays):
        k, n = 4, 3
        targets = np.repeat((1 - eps) * np.eye(k) + eps / k, n, axis=0)
        optimum = cross_entropy.cross_entropy_optimum(
            k, n, *decays, label_smoothing=eps
        )
        assert_found(optimum, search(ce, targets, *decays), k, n)
        biased = search(ce, targets, *decays, lambda_b=1e-2)
        np.testing.assert_allclose(biased[0], optimum.objective, rtol=1e-9)

    def test_trivial_regime_is_stated(self):
        optimum = cross_entropy.cross_entropy_optimum(10, 1, 0.1, 0.1)
        assert "trivial" in optimum.regime
        np.testing.assert_allclose(optimum.objective, math.log(10))
        assert optimum.rank == 0
        edge = cross_entropy.cross_entropy_optimum
        assert edge(10, 1, 0.0801, 0.0801, label_smoothing=0.2).rank == 0
        assert edge(10, 1, 0.0799, 0.0799, label_smoothing=0.2).rank == 9

    @settings(max_examples=40, deadline=None)
    @given(st.integers(2, 30), st.floats(-200, -1), st.floats(-200, -1))
    def test_the_objective_keeps_its_digits(self, k, log_w, log_h):
        """Against arithmetic of 60 digits; c = 1e-16 was off by 3.5e-4."""
        optimum = cross_entropy.cross_entropy_optimum(k, 1, 10**log_w, 10**log_h)
        with decimal.localcontext(prec=250):
            c = (Decimal(10**log_w) * Decimal(10**log_h)).sqrt()
            if k * c >= 1:
                return
            s = (1 / c - k + 1).ln()
            value = -(1 - (k - 1) * c).ln() + (k - 1) * c * s
            np.testing.assert_allclose(optimum.objective, float(value), rtol=1e-12)
            np.testing.assert_allclose(
                optimum.logits[0, 0], float(s) * (1 - 1 / k), rtol=1e-9, atol=1e-13
            )

    def test_normalised(self):
        k, tau = 4, 0.5
        got = cross_entropy.normalised_cross_entropy_minimum(k, tau, feature_dim=3)

        def objective(x):
            rows = x.reshape(2, k, 3)
            w, h = rows / np.linalg.norm(rows, axis=2, keepdims=True)
            return ce(h @ w.T / tau, np.eye(k))[0]

        start = np.random.default_rng(0).normal(size=2 * k * 3)
        found = optimize.minimize(objective, start, tol=1e-10)
        np.testing.assert_allclose(got, found.fun, rtol=1e-7)

    @pytest.mark.parametrize(
        ("price", "t"), [(1e-3, 6.587322), (1e-2, 4.771150), (0.1, 2.910005)]
    )
    def test_fixed_simplex(self, price, t):
        got, objective = cross_entropy.fixed_simplex_optimum(10, 50, price / 50)
        np.testing.assert_allclose(got, t, atol=5.1e-7)
        frame = math.sqrt(10 / 9) * (np.eye(10) - 0.1)

        def value(h):
            loss, slope = ce(h.reshape(10, 10) @ frame.T, np.eye(10))
            return loss + price / 20 * h @ h, (slope @ frame).ravel() + price / 10 * h

        found = optimize.minimize(value, np.zeros(100), jac=True, tol=1e-10)
        np.testing.assert_allclose(objective, found.fun, rtol=1e-9)
        np.testing.assert_allclose(found.x.reshape(10, 10), got * frame, atol=1e-5)

    @settings(max_examples=60, deadline=None)
    @given(st.integers(2, 50), st.floats(-307, 307))
    @example(10, -300.0)  # was a raw OverflowError
    def test_fixed_simplex_of_any_price(self, k, log_price):
        price = 10**log_price
        t, objective = cross_entropy.fixed_simplex_optimum(k, 1, price)
        left = math.log(k) - np.logaddexp(t * k / (k - 1), math.log(k - 1))
        np.testing.assert_allclose(left, math.log(price) + math.log(t), atol=1e-9)
        assert 0 < objective <= math.log(k) * (1 + 1e-12)

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"lambda_h \* num_samples must be finite"):
            cross_entropy.fixed_simplex_optimum(10, 100, 1e307)
        call = cross_entropy.cross_entropy_optimum
        with pytest.raises(ValueError, match="num_classes must be at least 2, got 1"):
            call(1, 1, 0.1, 0.1)
        with pytest.raises(ValueError, match=r"lambda_w must be .* > 0, got 0"):
            call(3, 1, 0.0, 0.1)
        with pytest.raises(ValueError, match=r"lambda_h must be .* > 0, got -1"):
            call(3, 1, 0.1, -1.0)
        with pytest.raises(ValueError, match=r"in \[0, 1\), got 1"):
            call(3, 1, 0.1, 0.1, label_smoothing=1.0)
        with pytest.raises(ValueError, match=r"feature_dim=8 is .* at least 9"):
            call(10, 1, 1e-3, 1e-3, feature_dim=8)
        with pytest.raises(ValueError, match="feature_dim=2 is too small"):
            cross_entropy.normalised_cross_entropy_minimum(4, 0.5, 2)
        with pytest.raises(ValueError, match="num_samples must be at least 1, got 0"):
            cross_entropy.fixed_simplex_optimum(4, 0, 0.1)


class TestOriginCurvatures:
    def test_against_differences(self):
        got = cross_entropy.origin_curvatures(4, 3, 5, 0.02, 0.005)
        np.testing.assert_allclose(got[0][0], -0.1320322917, atol=5.1e-11)
        assert got[0][1] == 15
        k, n, d = 4, 3, 2
        targets = np.repeat(np.eye(k), n, axis=0)

        def slope(x):
            w, h = x[: k * d].reshape(k, d), x[k * d :].reshape(k * n, d)
            _, g = ce(h @ w.T, targets)
            slopes = g.T @ h + 0.02 * w, g @ w + 0.005 * h
            return np.concatenate([s.ravel() for s in slopes])

        size = (k + k * n) * d
        hessian = np.stack([slope(1e-6 * e) / 1e-6 for e in np.eye(size)])
        want = cross_entropy.origin_curvatures(k, n, d, 0.02, 0.005)
        flat = np.concatenate([np.full(count, value) for value, count in want])
        np.testing.assert_allclose(
            np.linalg.eigvalsh((hessian + hessian.T) / 2), np.sort(flat), atol=1e-7
        )
