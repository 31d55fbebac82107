"""Hadamard flow in closed form: reference values, and independent numerical optima."""

import math

import numpy as np
import pytest
from scipy import integrate, special

from ncjax.ufm.theory import hadamard


class TestHadamard:
    def test_sylvester(self):
        for k in (2, 4, 8, 16):
            matrix = hadamard.sylvester_matrix(k)
            np.testing.assert_array_equal(matrix @ matrix, k * np.eye(k))
            np.testing.assert_array_equal(matrix[0], 1)
        for k in (0, 1, 6, 12):
            with pytest.raises(ValueError, match=f"power of two, at least 2, got {k}"):
                hadamard.sylvester_matrix(k)

    @pytest.mark.parametrize(
        ("k", "values"),
        [
            (4, (0.162157, 2.756529, 6.962004, 9.741767, 12.318900, 17.295101)),
            (10, (0.121858, 0.687332, 6.782585, 9.725932, 12.317310, 17.295085)),
        ],
    )
    def test_ray_reference_values(self, k, values):
        times = (1.0, 10.0, 100.0, 1e3, 1e4, 1e6)
        got = [hadamard.ray_strength(0.1, t, k) for t in times]
        np.testing.assert_allclose(got, values, atol=5.1e-7)
        flow = integrate.solve_ivp(
            lambda _, s: [hadamard.ray_velocity(s[0], k)],
            (0, 100),
            [0.1],
            rtol=1e-10,
            atol=1e-12,
        )
        np.testing.assert_allclose(flow.y[0, -1], got[2], rtol=1e-8)
        assert hadamard.ray_strength(0.1, 0.0, k) == 0.1

    @pytest.mark.parametrize("k", [2, 4, 8, 16])
    def test_softmax_is_group_circulant_and_diagonal_in_the_basis(self, k):
        s = np.exp(np.random.default_rng(k).normal(size=k - 1))
        phi = hadamard.sylvester_matrix(k) / math.sqrt(k)
        p = special.softmax(phi[:, 1:] * s @ phi[:, 1:].T, axis=1)
        labels = np.arange(k)
        np.testing.assert_allclose(p, p[0][labels[:, None] ^ labels], rtol=1e-12)
        # pi on the diagonal, 1 for the constant mode, and only rounding beside it.
        pi = np.append(1, hadamard.softmax_coefficients(s))
        np.testing.assert_allclose(phi @ p @ phi, np.diag(pi), atol=2e-15)
        equal = hadamard.softmax_coefficients(np.full(k - 1, 1.7))
        np.testing.assert_allclose(equal, equal[0], atol=2e-15)

    def test_ray_grows_like_log_t(self):
        """At late times s = log(2 t s), so that s/log t falls to 1."""
        times = np.array([1e6, 1e12, 1e100])
        s = np.array([hadamard.ray_strength(0.1, t, 8) for t in times.tolist()])
        np.testing.assert_allclose(s, np.log(2 * times * s), rtol=0.01)
        ratios = s / np.log(times)
        assert np.all(np.diff(ratios) < 0)
        assert 1 < ratios[-1] < 1.03

    def test_ray_is_the_scalar_flow(self):
        velocity = hadamard.strength_velocity(np.full(7, 1.3))
        np.testing.assert_allclose(velocity, hadamard.ray_velocity(1.3, 8))

    def test_factors(self):
        s = np.array([0.3, 1.0, 2.0])
        a = np.sqrt(s)
        da, db = hadamard.factor_velocity(a, a)
        np.testing.assert_allclose(2 * a * da, hadamard.strength_velocity(s))
        a, b = np.array([1.0, 2.0, 0.5]), np.array([0.2, 0.3, 0.4])
        da, db = hadamard.factor_velocity(a, b)
        np.testing.assert_allclose(a * da - b * db, 0, atol=1e-15)

    def test_matrix_descent_follows_the_scalars(self):
        k, dt, rng = 8, 0.01, np.random.default_rng(0)
        start = np.exp(rng.normal(size=k - 1) * 0.5) / 4
        phi = hadamard.sylvester_matrix(k) / math.sqrt(k)
        rotation = np.linalg.qr(rng.normal(size=(k, k)))[0]
        root = np.diag(np.append(1.0, np.sqrt(start)))
        w, h = phi @ root @ rotation, rotation.T @ root @ phi.T
        for _ in range(2000):
            z = w @ h  # columns are samples here
            g = (special.softmax(z, axis=0) - np.eye(k)) / k
            w, h = w - dt * g @ h.T, h - dt * w.T @ g
        spectrum = phi.T @ w @ h @ phi
        off = spectrum - np.diag(np.diag(spectrum))
        # Rounding: 6e-16 was printed, for another start and rotation.
        np.testing.assert_allclose(off, 0, atol=5e-14)
        np.testing.assert_allclose(spectrum[0, 0], 1)
        flow = integrate.solve_ivp(
            lambda _, s: hadamard.strength_velocity(s), (0, 20), start, rtol=1e-9
        )
        np.testing.assert_allclose(np.diag(spectrum)[1:], flow.y[:, -1], atol=2e-3)

    @pytest.mark.parametrize("k", [4, 8, 16])
    def test_spread_falls(self, k):
        start = np.exp(np.random.default_rng(k).normal(size=k - 1) * 0.6) / 4
        flow = integrate.solve_ivp(
            lambda _, s: hadamard.strength_velocity(s),
            (0, 1e4),
            start,
            rtol=1e-9,
            atol=1e-12,
            method="LSODA",
        )
        spreads = np.array([hadamard.spread(s) for s in flow.y.T])
        ratios = flow.y.max(0) / flow.y.min(0)
        assert np.all(np.diff(spreads) < 1e-9)
        assert np.all(np.diff(ratios) < 1e-6)
        assert 0 < spreads[-1] < spreads[0]

    def test_spread_velocity(self):
        rng = np.random.default_rng(0)
        for s in np.exp(rng.normal(size=(2000, 7)) * 2):
            assert hadamard.spread_velocity(s) <= 1e-15
        dt = 1e-6
        moved = hadamard.spread(s + dt * hadamard.strength_velocity(s))
        np.testing.assert_allclose(
            (moved - hadamard.spread(s)) / dt, hadamard.spread_velocity(s), rtol=1e-3
        )
        assert hadamard.spread(np.full(3, 2.0)) == pytest.approx(0, abs=1e-15)
        assert hadamard.spread_velocity(np.full(3, 2.0)) == pytest.approx(0, abs=1e-15)

    @pytest.mark.slow
    def test_spread_and_ratio_fall_from_20_000_points(self):
        """For log(max s/min s): it falls by (2/K)(pi of the largest - of the least)."""
        rng = np.random.default_rng(0)
        for s in np.exp(2 * rng.normal(size=(20_000, 7))):
            assert hadamard.spread_velocity(s) <= 1e-15
            pi = hadamard.softmax_coefficients(s)
            assert pi[s.argmax()] >= pi[s.argmin()] - 1e-15

    @pytest.mark.filterwarnings("error")
    def test_a_huge_strength_stands_still(self):
        assert hadamard.ray_velocity(2000.0, 4) == 0
        np.testing.assert_allclose(hadamard.ray_velocity(0.5, 4), 1 / (3 + np.exp(0.5)))

    def test_zero_strength_stays(self):
        velocity = hadamard.strength_velocity(np.array([0.0, 1.0, 2.0]))
        assert velocity[0] == 0
        assert np.all(velocity[1:] > 0)

    def test_bad_input(self):
        with pytest.raises(ValueError, match="power of two, at least 2, got 6"):
            hadamard.strength_velocity(np.ones(5))
        with pytest.raises(ValueError, match=r"strengths must be > 0, got 0"):
            hadamard.spread(np.array([0.0, 1.0, 1.0]))
        with pytest.raises(ValueError, match=r"start must be .* got 0"):
            hadamard.ray_strength(0.0, 1.0, 4)
        with pytest.raises(ValueError, match="start must be at most 700, got 800"):
            hadamard.ray_strength(800.0, 1.0, 4)
        with pytest.raises(ValueError, match=r"time must be .* got -1"):
            hadamard.ray_strength(0.1, -1.0, 4)
