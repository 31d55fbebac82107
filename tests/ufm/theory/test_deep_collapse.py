"""Deep models in closed form: reference values, and independent numerical optima."""

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from scipy import optimize

from ncjax.ufm.theory import deep_collapse, squared_error
from tests.ufm.theory.searches import mse


class TestDeep:
    def test_one_layer_is_the_plain_model(self):
        counts = np.array([9.0, 4.0, 1.0])
        one = deep_collapse.deep_linear_optimum(counts, [0.02], 0.05)
        two = squared_error.imbalanced_squared_error_optimum(counts, 0.02, 0.05)
        np.testing.assert_allclose(one.objective, two.objective)
        np.testing.assert_allclose(one.logits, np.diag(two.logits))
        np.testing.assert_allclose(one.layer_squares[0], np.diag(two.classifier_gram))
        np.testing.assert_allclose(one.feature_squares, np.diag(two.mean_gram))
        c = 0.01
        np.testing.assert_allclose(
            deep_collapse.dnc_cost(10, 1, [c], c), 0.1 - 0.01 / 2
        )

    @pytest.mark.parametrize("layers", [1, 2, 3, 5])
    def test_mode_minimum_is_global(self, layers):
        edge = deep_collapse.mode_threshold(layers)
        z = np.linspace(0, 1, 100_001)
        for price in edge * np.array([0.01, 0.5, 0.99, 1.01, 3.0]):
            values = (1 - z) ** 2 / 2 + (layers + 1) / 2 * price * z ** (
                2 / (layers + 1)
            )
            got_z, got = deep_collapse.mode_minimum(float(price), layers)
            np.testing.assert_allclose(got, values.min(), rtol=1e-8)
            np.testing.assert_allclose(got_z, z[values.argmin()], atol=2e-5)
        jump, _ = deep_collapse.mode_minimum(edge * (1 - 1e-12), layers)
        np.testing.assert_allclose(jump, (layers - 1) / layers, atol=1e-9)

    def test_root_formula_with_equal_decays(self):
        counts, decay, lambda_h = np.array([200.0, 100.0, 50.0, 20.0]), 5e-3, 5e-4
        for layers in (2, 3):
            optimum = deep_collapse.deep_linear_optimum(
                counts, [decay] * layers, lambda_h
            )
            assert np.all(optimum.logits > 0)
            total = counts.sum()
            b = layers * total * (total * decay**layers * lambda_h) ** (1 / layers)
            power = optimum.logits / (1 - optimum.logits)  # x^L
            x = power ** (1 / layers)
            np.testing.assert_allclose(
                b / counts, layers * x ** (layers - 1) / (power + 1) ** 2
            )
            squares = (total * lambda_h * power) ** (1 / layers)  # s^2 of each layer
            np.testing.assert_allclose(optimum.layer_squares, [squares] * layers)

    def test_the_largest_root_may_be_only_a_local_minimum(self):
        """Its largest root is z = 0.5606 for the last class; dropping it is better."""
        counts, decays, lambda_h = (
            np.array([200.0, 100.0, 50.0, 20.0]),
            [1e-2] * 3,
            5e-3,
        )
        optimum = deep_collapse.deep_linear_optimum(counts, decays, lambda_h)
        assert optimum.regime == "dropped classes: [3]"
        price = 370 / 20 * (20 * lambda_h * 1e-6) ** 0.25
        root = optimize.brentq(lambda z: 1 - z - price * z ** (2 / 4 - 1), 0.4, 1)
        np.testing.assert_allclose(root, 0.5606, atol=1e-4)
        assert (1 - root) ** 2 / 2 + 2 * price * math.sqrt(root) > 0.5

    @pytest.mark.parametrize("decays", [(0.02, 0.03), (0.05, 0.01, 0.02)])
    def test_deep_linear_against_a_search(self, decays):
        counts, lambda_h = np.array([4, 2, 1]), 0.01
        targets = np.repeat(np.eye(3), counts, 0)
        optimum = deep_collapse.deep_linear_optimum(counts, decays, lambda_h)
        k, d, n, layers = 3, 4, 7, len(decays)
        shapes = [(n, d), *[(d, d)] * (layers - 1), (d, k)]
        ends = np.cumsum([math.prod(shape) for shape in shapes])
        lambdas = [lambda_h, *decays]

        def factors(x):
            parts = np.split(x, ends[:-1])
            return [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]

        def objective(x):
            parts = factors(x)
            value, g = mse(np.linalg.multi_dot(parts), targets)
            slopes = []
            for i, part in enumerate(parts):
                value += lambdas[i] * np.sum(part**2) / 2
                left, right = np.eye(n), np.eye(k)
                for p in parts[:i]:
                    left = left @ p
                for p in reversed(parts[i + 1 :]):
                    right = p @ right
                slopes.append((left.T @ g @ right.T + lambdas[i] * part).ravel())
            return value, np.concatenate(slopes)

        runs = []
        for seed in range(6):
            start = np.random.default_rng(seed).normal(size=ends[-1])
            options = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 5000}
            runs.append(
                optimize.minimize(
                    objective, start, jac=True, method="L-BFGS-B", options=options
                )
            )
        best = min(runs, key=lambda run: run.fun)
        np.testing.assert_allclose(optimum.objective, best.fun, rtol=1e-9)
        parts = factors(best.x)
        first = np.cumsum(counts) - 1
        logits = np.linalg.multi_dot(parts)[first]
        np.testing.assert_allclose(logits, np.diag(optimum.logits), atol=1e-4)
        np.testing.assert_allclose(
            np.sum(parts[0][first] ** 2, 1), optimum.feature_squares, atol=1e-4
        )
        for part, squares in zip(parts[1:], optimum.layer_squares, strict=True):
            values = np.linalg.svd(part, compute_uv=False)[:3] ** 2
            np.testing.assert_allclose(values, np.sort(squares)[::-1], atol=1e-4)

    @pytest.mark.parametrize(
        ("layers", "ratios"),
        [
            (3, {4: 1.0561, 5: 1.0444, 6: 1.0367, 10: 1.0215}),
            (4, {4: 0.9633, 5: 0.9014, 6: 0.8569, 10: 0.7529}),
            (5, {4: 0.9060, 5: 0.8170}),
            (6, {4: 0.8671, 5: 0.7617}),
        ],
    )
    def test_srg_ratio(self, layers, ratios):
        for vertices, ratio in ratios.items():
            got = deep_collapse.srg_ratio(vertices, layers)
            np.testing.assert_allclose(got, ratio, atol=5.1e-5)

    @pytest.mark.parametrize(
        ("layers", "vertices", "srg", "dnc", "atol"),
        [
            (4, 5, 0.08947089, 0.09917987, 5.1e-9),
            (5, 4, 0.06498896, 0.07170725, 5.1e-9),
            (3, 5, 0.08266, 0.07918, 5.1e-6),
            (5, 5, 0.09749825, 0.11917755, 5.1e-9),
        ],
    )
    def test_costs(self, layers, vertices, srg, dnc, atol):
        k, lambdas = vertices * (vertices - 1) // 2, [0.004] * layers
        np.testing.assert_allclose(
            deep_collapse.srg_cost(vertices, 1, lambdas, 0.004), srg, atol=atol
        )
        np.testing.assert_allclose(
            deep_collapse.dnc_cost(k, 1, lambdas, 0.004), dnc, atol=atol
        )
        linear = deep_collapse.deep_linear_optimum(np.ones(k), lambdas, 0.004)
        np.testing.assert_allclose(
            deep_collapse.dnc_cost(k, 1, lambdas, 0.004), linear.objective
        )

    @pytest.mark.parametrize("vertices", [3, 4, 5])
    @pytest.mark.parametrize("lambdas", [(0.01, 0.02, 0.03), (0.004,) * 5])
    def test_srg_cost_is_that_of_the_network(self, vertices, lambdas):
        """The construction, built and evaluated with its ReLUs."""
        n, lambda_h, layers = 2, 0.003, len(lambdas)
        b = deep_collapse.incidence_matrix(vertices)
        k = b.shape[1]
        np.testing.assert_allclose(
            b @ b.T, (vertices - 2) * np.eye(vertices) + np.ones((vertices, vertices))
        )
        left, values, right = np.linalg.svd(b, full_matrices=False)
        np.testing.assert_allclose(
            values.sum(),
            math.sqrt(2 * (vertices - 1)) + (vertices - 1) * math.sqrt(vertices - 2),
        )
        factors = [
            np.sqrt(values)[:, None] * right,  # H
            left * np.sqrt(values),
            *[np.eye(vertices)] * (layers - 3),
            b.T - 0.5,
            np.eye(k),
        ]
        prices = np.array([n * lambda_h, *lambdas])
        squares = np.array([np.sum(f**2) for f in factors])
        before_last = np.linalg.multi_dot(factors[-2::-1])
        assert np.linalg.matrix_rank(before_last) < k or vertices < 4
        want = deep_collapse.srg_cost(vertices, n, lambdas, lambda_h)

        def cost(z):  # factors scaled to pay alike and to give the logit z
            paid = np.prod(prices * squares) * z**2
            scales = np.sqrt(paid ** (1 / (layers + 1)) / (prices * squares))
            x = scales[0] * factors[0]
            for i, f in enumerate(factors[1:], 1):
                x = scales[i] * f @ (x if i == 1 else np.maximum(x, 0))
            np.testing.assert_allclose(x, z * np.eye(k), atol=1e-12)
            decay = np.sum(prices * scales**2 * squares) / 2
            return np.sum((x - np.eye(k)) ** 2) / (2 * k) + decay

        found = optimize.minimize_scalar(cost, bounds=(0.3, 1), method="bounded")
        np.testing.assert_allclose(found.fun, want, rtol=1e-9)

    @pytest.mark.parametrize("vertices", range(3, 9))
    def test_srg_layers(self, vertices):
        """W_{L-1} ~ B' - 1/2 gives M_L = B'B - J, of low rank until the last ReLU."""
        r, b = vertices, deep_collapse.incidence_matrix(vertices)
        k = b.shape[1]
        assert k == r * (r - 1) / 2
        np.testing.assert_array_equal(b.sum(1), r - 1)
        np.testing.assert_array_equal(np.unique(b), [0, 1])
        np.testing.assert_allclose(np.sum((b.T - 0.5) ** 2), k * r / 4)
        before = (b.T - 0.5) @ b
        np.testing.assert_array_equal(before, b.T @ b - 1)
        # r = 3 is the orthogonal frame itself.
        assert np.linalg.matrix_rank(before) == (3 if r <= 4 else r)
        np.testing.assert_array_equal(np.maximum(before, 0), np.eye(k))

    def test_srg_against_dnc_is_the_stated_inequality(self):
        for layers in range(3, 8):
            for r in range(4, 12):
                k = r * (r - 1) / 2
                nuclear = math.sqrt(2 * (r - 1)) + (r - 1) * math.sqrt(r - 2)
                below = nuclear**2 * r ** (layers - 2) < 4 * k ** (layers - 1)
                assert (deep_collapse.srg_ratio(r, layers) < 1) == below == (layers > 3)

    def test_schatten_regulariser(self):
        values, lambdas, lambda_h = np.array([2.0, 0.5]), (0.1, 0.3), 0.2
        got = deep_collapse.schatten_regulariser(values, lambdas, lambda_h)

        def decay(x):  # x: log of two factors per value, the third follows
            a, b = np.exp(x.reshape(2, 2))
            return (
                lambda_h * a @ a + 0.1 * b @ b + 0.3 * np.sum((values / a / b) ** 2)
            ) / 2

        found = optimize.minimize(decay, np.zeros(4), tol=1e-12)
        np.testing.assert_allclose(got, found.fun, rtol=1e-9)
        nuclear = deep_collapse.schatten_regulariser(values, [0.2], 0.05)
        np.testing.assert_allclose(nuclear, 0.1 * values.sum())

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 12), st.floats(-250, -3))
    def test_the_cost_of_tiny_decays(self, layers, log_decay):
        """To leading order ((L+1)/2) K n^{1/(L+1)} l; its product is 0 in float64."""
        decay, share = 10**log_decay, 1 / (layers + 1)
        cost = deep_collapse.dnc_cost(3, 2, [decay] * layers, decay)
        price = 3 * 2**share * decay
        np.testing.assert_allclose(cost, (layers + 1) / 2 * price, rtol=price + 1e-12)
        linear = deep_collapse.deep_linear_optimum(
            np.full(3, 2), [decay] * layers, decay
        )
        np.testing.assert_allclose(linear.objective, cost, rtol=1e-12)

    def test_a_network_of_hundreds_of_layers(self):
        assert 0 < deep_collapse.srg_ratio(5, 400) < 1

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"lambdas\[1\] must be .* got 0"):
            deep_collapse.deep_linear_optimum(np.ones(3), [0.1, 0.0], 0.1)
        with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
            deep_collapse.dnc_cost(3, 1, [], 0.1)
        with pytest.raises(ValueError, match="layers must be at least 3, got 2"):
            deep_collapse.srg_ratio(4, 2)
        with pytest.raises(ValueError, match="vertices must be at least 3, got 2"):
            deep_collapse.incidence_matrix(2)
