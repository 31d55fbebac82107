"""Saddles in closed form: reference values, and independent numerical optima."""

import math

import numpy as np
import pytest

from ncjax.ufm.theory import cross_entropy, landscape
from tests.ufm.theory.searches import ce, search


class TestLandscape:
    def test_origin(self):
        got = landscape.origin_curvatures(4, 3, 5, 0.02, 0.005)
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
        want = landscape.origin_curvatures(k, n, d, 0.02, 0.005)
        flat = np.concatenate([np.full(count, value) for value, count in want])
        np.testing.assert_allclose(
            np.linalg.eigvalsh((hessian + hessian.T) / 2), np.sort(flat), atol=1e-7
        )

    @pytest.mark.parametrize(
        ("d", "objective", "excess", "atol"),
        [
            (1, 1.471784, 0.099, 5.1e-4),
            (2, 0.241706, 0.00947, 5.1e-6),
            (3, 0.106843, 0.00219, 5.1e-6),
            (5, 0.076798, 2.5e-4, 5.1e-6),
        ],
    )
    def test_rank_deficient_critical_points(self, d, objective, excess, atol):
        k, c = 10, 1e-3
        value, w, h, _ = search(ce, np.eye(k), c, c, d=d, seeds=12)
        np.testing.assert_allclose(value, objective, atol=5.1e-7)
        _, gradient = ce(h @ w.T, np.eye(k))
        sigma = np.linalg.norm(gradient, 2)
        np.testing.assert_allclose(sigma - c, excess, atol=atol)
        with pytest.raises(ValueError, match="no common null direction"):
            landscape.escape_direction(gradient, w, h, c, c)
        w, h = (np.pad(rows, ((0, 0), (0, 1))) for rows in (w, h))
        escape = landscape.escape_direction(gradient, w, h, c, c)
        np.testing.assert_allclose(escape.curvature, 2 * (c - sigma))

        def along(t):
            moved_w, moved_h = w + t * escape.classifier, h + t * escape.features
            decay = c / 2 * (np.sum(moved_w**2) + np.sum(moved_h**2))
            return ce(moved_h @ moved_w.T, np.eye(k))[0] + decay

        t = 1e-3
        second = (along(t) - 2 * along(0) + along(-t)) / t**2
        np.testing.assert_allclose(second, escape.curvature, rtol=1e-2)

    def test_escape_with_unequal_decays(self):
        """The origin: the best direction has less curvature only if lW differs."""
        gradient = (np.full((4, 4), 0.25) - np.eye(4)) / 4
        w, h, decays = np.zeros((4, 3)), np.zeros((4, 3)), (0.02, 0.005)
        escape = landscape.escape_direction(gradient, w, h, *decays)
        np.testing.assert_allclose(escape.curvature, 2 * (0.01 - 0.25))
        t = 1e-3
        dw, dh = escape.classifier, escape.features
        value = ce(t**2 * dh @ dw.T, np.eye(4))[0] - math.log(4)
        value += t**2 * (decays[0] * np.sum(dw**2) + decays[1] * np.sum(dh**2)) / 2
        np.testing.assert_allclose(2 * value / t**2, escape.curvature, rtol=1e-5)

    def test_no_escape_from_the_optimum(self):
        optimum = cross_entropy.cross_entropy_optimum(4, 1, 0.01, 0.01)
        rows = np.linalg.cholesky(optimum.classifier_gram + 1e-30 * np.eye(4))
        _, gradient = ce(optimum.logits, np.eye(4))
        assert landscape.escape_direction(gradient, rows, rows, 0.01, 0.01) is None
