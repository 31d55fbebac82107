"""Squared error in closed form: reference values, and independent numerical optima."""

import numpy as np
import pytest

from ncjax.ufm.theory import squared_error
from tests.ufm.theory.searches import assert_found, mse, search


class TestSquaredError:
    @pytest.mark.parametrize("c", [0.001, 0.01, 0.05])
    def test_bias_transition(self, c):
        k, kc = 10, 10 * c
        call = squared_error.squared_error_optimum
        edge = kc / (1 - kc)
        assert call(k, 1, c, c, edge * 0.999).regime == "simplex ETF"
        assert call(k, 1, c, c, edge * 1.001).regime.startswith("between")
        below, above = call(k, 1, c, c, edge / 2), call(k, 1, c, c, edge * 3)
        np.testing.assert_allclose(below.bias, 1 / (k * (1 + edge / 2)))
        np.testing.assert_allclose(above.bias, c / (3 * edge))
        np.testing.assert_allclose(above.logits.sum(1), 1 - kc - kc / (3 * edge))
        free = call(k, 1, c, c, 0.0)
        np.testing.assert_allclose(free.objective, 9 * (c - k * c**2 / 2))
        np.testing.assert_allclose(free.bias, 0.1)
        assert free.rank == 9
        plain = call(k, 1, c, c)
        assert plain.regime == "orthogonal frame"
        np.testing.assert_allclose(plain.objective, kc - kc**2 / 2)
        np.testing.assert_allclose(plain.logits, (1 - kc) * np.eye(k))
        strong = call(k, 1, c, c, 1e9)
        np.testing.assert_allclose(strong.logits, plain.logits, atol=1e-8)

    @pytest.mark.parametrize("decays", [(2e-2, 5e-3), (0.3, 0.2)])
    @pytest.mark.parametrize("lambda_b", [None, 0.0, 0.03, 0.3])
    def test_against_a_search(self, decays, lambda_b):
        k, n = 4, 3
        optimum = squared_error.squared_error_optimum(k, n, *decays, lambda_b)
        found = search(mse, np.repeat(np.eye(k), n, 0), *decays, lambda_b)
        assert_found(optimum, found, k, n)
        if lambda_b is not None:
            np.testing.assert_allclose(found[3], optimum.bias, atol=1e-6)
        assert ("trivial" in optimum.regime) == (decays[0] > 0.1)

    def test_imbalanced_against_a_search(self):
        counts, decays = np.array([5, 3, 1]), (0.1, 0.13)
        optimum = squared_error.imbalanced_squared_error_optimum(counts, *decays)
        value, w, h, _ = search(mse, np.repeat(np.eye(3), counts, 0), *decays)
        np.testing.assert_allclose(optimum.objective, value, rtol=1e-9)
        np.testing.assert_allclose(w @ w.T, optimum.classifier_gram, atol=1e-5)
        first = np.cumsum(counts) - 1
        np.testing.assert_allclose(h[first] @ w.T, optimum.logits, atol=1e-5)
        np.testing.assert_allclose(h[first] @ h[first].T, optimum.mean_gram, atol=1e-5)
        assert optimum.regime == "dropped classes: [2]"  # 1 <= 81 * 0.013 < 3

    def test_imbalanced_with_equal_counts_is_balanced(self):
        one = squared_error.imbalanced_squared_error_optimum(np.full(4, 7), 2e-3, 5e-3)
        two = squared_error.squared_error_optimum(4, 7, 2e-3, 5e-3)
        np.testing.assert_allclose(one.logits, two.logits, atol=1e-15)
        np.testing.assert_allclose(one.objective, two.objective)
        np.testing.assert_allclose(one.classifier_gram, two.classifier_gram, atol=1e-15)
        np.testing.assert_allclose(one.mean_gram, two.mean_gram, atol=1e-15)

    def test_bad_input(self):
        call = squared_error.squared_error_optimum
        with pytest.raises(ValueError, match=r"lambda_b must be .* got -1"):
            call(3, 1, 0.1, 0.1, -1.0)
        with pytest.raises(ValueError, match=r"orthogonal frame\) needs at least 10"):
            call(10, 1, 1e-3, 1e-3, feature_dim=9)
        call(10, 1, 1e-3, 1e-3, 0.0, feature_dim=9)
        with pytest.raises(
            ValueError, match="class_counts must be at least 2 positive"
        ):
            squared_error.imbalanced_squared_error_optimum(np.array([3, 0]), 0.1, 0.1)
