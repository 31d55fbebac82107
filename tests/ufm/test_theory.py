"""Closed forms of the UFM: reference values, and independent numerical optima."""

import math

import numpy as np
import pytest
from scipy import integrate, optimize, special

from ncjax.ufm.theory import (
    cross_entropy,
    deep,
    hadamard,
    landscape,
    minority,
    regression,
    softmax_codes,
    squared_error,
)


def ce(logits, targets):
    """Mean cross-entropy and its gradient; rows are samples."""
    n = len(logits)
    loss = -np.sum(targets * special.log_softmax(logits, axis=1)) / n
    return loss, (special.softmax(logits, axis=1) - targets) / n


def mse(logits, targets):
    n = len(logits)
    return np.sum((logits - targets) ** 2) / (2 * n), (logits - targets) / n


def search(loss, targets, lambda_w, lambda_h, lambda_b=None, d=None, seeds=3):
    """Best of some L-BFGS runs on all free features: f, W, H, b."""
    n, k = targets.shape
    d = d or k + 1

    def split(x):
        return x[: k * d].reshape(k, d), x[k * d : -k].reshape(n, d), x[-k:]

    def objective(x):
        w, h, b = split(x)
        if lambda_b is None:
            b = 0 * b
        value, g = loss(h @ w.T + b, targets)
        value += (lambda_w * np.sum(w**2) + lambda_h * np.sum(h**2)) / 2
        slope_b = np.zeros(k)
        if lambda_b is not None:
            value += lambda_b * b @ b / 2
            slope_b = g.sum(0) + lambda_b * b
        slopes = g.T @ h + lambda_w * w, g @ w + lambda_h * h, slope_b
        return value, np.concatenate([slope.ravel() for slope in slopes])

    runs = []
    for seed in range(seeds):
        start = np.random.default_rng(seed).normal(size=(k + n) * d + k)
        options = {"ftol": 1e-16, "gtol": 1e-10, "maxiter": 20_000, "maxfun": 40_000}
        runs.append(
            optimize.minimize(
                objective, start, jac=True, method="L-BFGS-B", options=options
            )
        )
    best = min(runs, key=lambda run: run.fun)
    return best.fun, *split(best.x)


def assert_found(optimum, found, k, per_class, atol=1e-5):
    """An optimum against `search`: value, logits, both Gram matrices, collapse."""
    value, w, h, _ = found
    np.testing.assert_allclose(optimum.objective, value, rtol=1e-9)
    np.testing.assert_allclose(w @ w.T, optimum.classifier_gram, atol=atol)
    means = h.reshape(k, per_class, -1).mean(1)
    np.testing.assert_allclose(means @ means.T, optimum.mean_gram, atol=atol)
    np.testing.assert_allclose(means @ w.T, optimum.logits, atol=atol)
    np.testing.assert_allclose(h, np.repeat(means, per_class, 0), atol=atol)
    assert np.linalg.matrix_rank(means @ w.T, tol=1e-3) == optimum.rank


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

    def test_bad_input(self):
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


class TestDeep:
    def test_one_layer_is_the_plain_model(self):
        counts = np.array([9.0, 4.0, 1.0])
        one = deep.deep_linear_optimum(counts, [0.02], 0.05)
        two = squared_error.imbalanced_squared_error_optimum(counts, 0.02, 0.05)
        np.testing.assert_allclose(one.objective, two.objective)
        np.testing.assert_allclose(one.logits, np.diag(two.logits))
        np.testing.assert_allclose(one.layer_squares[0], np.diag(two.classifier_gram))
        np.testing.assert_allclose(one.feature_squares, np.diag(two.mean_gram))
        c = 0.01
        np.testing.assert_allclose(deep.dnc_cost(10, 1, [c], c), 0.1 - 0.01 / 2)

    @pytest.mark.parametrize("layers", [1, 2, 3, 5])
    def test_mode_minimum_is_global(self, layers):
        edge = deep.mode_threshold(layers)
        z = np.linspace(0, 1, 100_001)
        for price in edge * np.array([0.01, 0.5, 0.99, 1.01, 3.0]):
            values = (1 - z) ** 2 / 2 + (layers + 1) / 2 * price * z ** (
                2 / (layers + 1)
            )
            got_z, got = deep.mode_minimum(float(price), layers)
            np.testing.assert_allclose(got, values.min(), rtol=1e-8)
            np.testing.assert_allclose(got_z, z[values.argmin()], atol=2e-5)
        jump, _ = deep.mode_minimum(edge * (1 - 1e-12), layers)
        np.testing.assert_allclose(jump, (layers - 1) / layers, atol=1e-9)

    def test_root_formula_with_equal_decays(self):
        counts, decay, lambda_h = np.array([200.0, 100.0, 50.0, 20.0]), 5e-3, 5e-4
        for layers in (2, 3):
            optimum = deep.deep_linear_optimum(counts, [decay] * layers, lambda_h)
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
        optimum = deep.deep_linear_optimum(counts, decays, lambda_h)
        assert optimum.regime == "dropped classes: [3]"
        price = 370 / 20 * (20 * lambda_h * 1e-6) ** 0.25
        root = optimize.brentq(lambda z: 1 - z - price * z ** (2 / 4 - 1), 0.4, 1)
        np.testing.assert_allclose(root, 0.5606, atol=1e-4)
        assert (1 - root) ** 2 / 2 + 2 * price * math.sqrt(root) > 0.5

    @pytest.mark.parametrize("decays", [(0.02, 0.03), (0.05, 0.01, 0.02)])
    def test_deep_linear_against_a_search(self, decays):
        counts, lambda_h = np.array([4, 2, 1]), 0.01
        targets = np.repeat(np.eye(3), counts, 0)
        optimum = deep.deep_linear_optimum(counts, decays, lambda_h)
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
            got = deep.srg_ratio(vertices, layers)
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
            deep.srg_cost(vertices, 1, lambdas, 0.004), srg, atol=atol
        )
        np.testing.assert_allclose(deep.dnc_cost(k, 1, lambdas, 0.004), dnc, atol=atol)
        linear = deep.deep_linear_optimum(np.ones(k), lambdas, 0.004)
        np.testing.assert_allclose(
            deep.dnc_cost(k, 1, lambdas, 0.004), linear.objective
        )

    @pytest.mark.parametrize("vertices", [3, 4, 5])
    @pytest.mark.parametrize("lambdas", [(0.01, 0.02, 0.03), (0.004,) * 5])
    def test_srg_cost_is_that_of_the_network(self, vertices, lambdas):
        """The construction, built and evaluated with its ReLUs."""
        n, lambda_h, layers = 2, 0.003, len(lambdas)
        b = deep.incidence_matrix(vertices)
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
        want = deep.srg_cost(vertices, n, lambdas, lambda_h)

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
        r, b = vertices, deep.incidence_matrix(vertices)
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
                assert (deep.srg_ratio(r, layers) < 1) == below == (layers > 3)

    def test_schatten_regulariser(self):
        values, lambdas, lambda_h = np.array([2.0, 0.5]), (0.1, 0.3), 0.2
        got = deep.schatten_regulariser(values, lambdas, lambda_h)

        def decay(x):  # x: log of two factors per value, the third follows
            a, b = np.exp(x.reshape(2, 2))
            return (
                lambda_h * a @ a + 0.1 * b @ b + 0.3 * np.sum((values / a / b) ** 2)
            ) / 2

        found = optimize.minimize(decay, np.zeros(4), tol=1e-12)
        np.testing.assert_allclose(got, found.fun, rtol=1e-9)
        nuclear = deep.schatten_regulariser(values, [0.2], 0.05)
        np.testing.assert_allclose(nuclear, 0.1 * values.sum())

    def test_bad_input(self):
        with pytest.raises(ValueError, match=r"lambdas\[1\] must be .* got 0"):
            deep.deep_linear_optimum(np.ones(3), [0.1, 0.0], 0.1)
        with pytest.raises(ValueError, match="layers must be at least 1, got 0"):
            deep.dnc_cost(3, 1, [], 0.1)
        with pytest.raises(ValueError, match="layers must be at least 3, got 2"):
            deep.srg_ratio(4, 2)
        with pytest.raises(ValueError, match="vertices must be at least 3, got 2"):
            deep.incidence_matrix(2)


class TestRegression:
    @pytest.fixture
    def problem(self):
        rng = np.random.default_rng(1)
        targets = rng.normal(size=(12, 3)) @ np.diag([2.0, 1.0, 0.5]) + 2
        targets[:, 0] += targets[:, 1]
        centred = targets - targets.mean(0)
        return targets, centred.T @ centred / len(targets)

    @pytest.mark.parametrize("decays", [(1e-2, 0.1), (0.4, 0.7)])
    def test_against_a_search(self, problem, decays):
        targets, covariance = problem
        lambda_w, lambda_h = decays
        optimum = regression.regression_optimum(covariance, *decays)
        # This model's decay of H is lH/M.
        value, w, h, b = search(mse, targets, lambda_w, lambda_h / 12, 0.0)
        np.testing.assert_allclose(optimum.objective, value, rtol=1e-9)
        np.testing.assert_allclose(w @ w.T, optimum.classifier_gram, atol=1e-5)
        np.testing.assert_allclose(
            h, regression.regression_features(w, targets, *decays), atol=1e-4
        )
        np.testing.assert_allclose(b, targets.mean(0), atol=1e-5)
        assert optimum.rank == (3 if lambda_w < 0.1 else 2)
        assert optimum.regime == f"{optimum.rank} of 3 target directions kept"

    def test_objective_with_all_directions_kept(self, problem):
        _, covariance = problem
        roots = np.sqrt(np.linalg.eigvalsh(covariance))
        got = regression.regression_optimum(covariance, 1e-2, 0.1).objective
        np.testing.assert_allclose(got, math.sqrt(1e-3) * roots.sum() - 3 * 1e-3 / 2)

    def test_features_of_the_optimum_lie_in_the_classifier(self, problem):
        targets, covariance = problem
        gram = regression.regression_optimum(covariance, 1e-2, 0.1).classifier_gram
        values, vectors = np.linalg.eigh(gram)
        frame = np.linalg.qr(np.random.default_rng(0).normal(size=(7, 3)))[0]
        w = (vectors * np.sqrt(values)) @ frame.T
        h = regression.regression_features(w, targets, 1e-2, 0.1)
        assert regression.nrc1(h, 3) == pytest.approx(0, abs=1e-25)
        assert regression.nrc2(h, w) == pytest.approx(0, abs=1e-25)
        # Of a random direction in 7 dimensions 4/7 lies outside of 3 of them.
        rng = np.random.default_rng(1)
        noise = rng.normal(size=(20_000, 7))
        assert regression.nrc2(noise, w) == pytest.approx(4 / 7, abs=0.01)
        # A common mean across the classifier hides the collapse of what is centred.
        away = 100 * np.linalg.qr(np.c_[w.T, rng.normal(size=7)])[0][:, -1]
        assert regression.nrc1(h + away, 3) > 0.99
        assert regression.nrc2(h + away, w) > 0.99
        with pytest.raises(ValueError, match="no direction"):
            regression.nrc1(np.zeros((2, 3)), 1)

    def test_best_gamma(self, problem):
        _, covariance = problem
        gram = regression.regression_optimum(covariance, 1e-2, 0.1).classifier_gram
        gamma = regression.best_gamma(7 * gram, covariance)
        np.testing.assert_allclose(gamma, 1e-3)
        np.testing.assert_allclose(
            regression.nrc3(gram, covariance, gamma), 0, atol=1e-20
        )
        # The formula of the paper needs lW = lH.
        root = np.sum(np.sqrt(np.linalg.eigvalsh(covariance)))
        assert abs(((root - np.trace(gram)) / 3) ** 2 - 1e-3) > 0.05
        gram = regression.regression_optimum(covariance, 0.03, 0.03).classifier_gram
        np.testing.assert_allclose(((root - np.trace(gram)) / 3) ** 2, 9e-4)

    def test_best_gamma_minimises_nrc3(self, problem):
        _, covariance = problem
        rng = np.random.default_rng(0)
        noise = 0.05 * rng.normal(size=(3, 3))
        gram = regression.regression_optimum(covariance, 0.1, 0.1).classifier_gram
        gram = gram + noise @ noise.T
        gamma = regression.best_gamma(gram, covariance)
        found = optimize.minimize_scalar(
            lambda g: regression.nrc3(gram, covariance, g),
            bounds=(0, 4 * gamma),
            method="bounded",
            options={"xatol": 1e-12},
        )
        np.testing.assert_allclose(gamma, found.x, rtol=1e-5)

    def test_bad_input(self):
        with pytest.raises(ValueError, match="symmetric"):
            regression.regression_optimum(np.triu(np.ones((2, 2))), 0.1, 0.1)
        with pytest.raises(ValueError, match="negative eigenvalue -1"):
            regression.regression_optimum(np.diag([1.0, -1.0]), 0.1, 0.1)
        with pytest.raises(ValueError, match="No gamma > 0 is best"):
            regression.best_gamma(np.eye(2), np.diag([1.0, 4.0]))


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
        with pytest.raises(ValueError, match=r"time must be .* got -1"):
            hadamard.ray_strength(0.1, -1.0, 4)


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

    def test_bad_input(self):
        with pytest.raises(ValueError, match="minority must be at least 2, got 1"):
            minority.peeled_threshold(3, 1, 1.0)
        with pytest.raises(ValueError, match=r"energy must be .* got 0"):
            minority.peeled_threshold(3, 3, 0.0)
        with pytest.raises(ValueError, match="ratio must be finite and > 1, got 1"):
            minority.merged_norm(3, 3, 1.0)


class TestSoftmaxCodes:
    @pytest.mark.parametrize(
        ("k", "rho"),
        [(3, 1.5), (4, 1), (5, 0.690983), (6, 0.5), (8, 0.292893), (10, 0.190983)],
    )
    def test_polygons(self, k, rho):
        np.testing.assert_allclose(softmax_codes.known_margin(k, 2), rho, atol=5.1e-7)
        angle = 2 * np.pi * np.arange(k) / k
        code = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code), rho, atol=1e-6
        )

    @pytest.mark.parametrize("k", [2, 5, 9])
    def test_simplex(self, k):
        np.testing.assert_allclose(softmax_codes.known_margin(k, k - 1), k / (k - 1))
        code = math.sqrt(k / (k - 1)) * (np.eye(k) - 1 / k)
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code), k / (k - 1), rtol=1e-9
        )

    @pytest.mark.parametrize("d", [2, 3, 6])
    def test_cross_polytope(self, d):
        assert softmax_codes.known_margin(2 * d, d) == 1
        code = np.vstack([np.eye(d), -np.eye(d)])
        np.testing.assert_allclose(softmax_codes.one_vs_rest_distance(code), 1)

    @pytest.mark.parametrize(
        ("k", "rho"),
        [
            (4, 1.333333), (5, 1), (6, 1), (7, 0.789862), (8, 0.738796), (9, 0.666667),
            (10, 0.595606), (11, 0.552786), (12, 0.552786), (14, 0.436050),
            (15, 0.407394), (17, 0.371906), (18, 0.351304), (20, 0.323523),
            (24, 0.276922),
        ],
    )  # fmt: skip
    def test_sphere(self, k, rho):
        np.testing.assert_allclose(softmax_codes.known_margin(k, 3), rho, atol=2e-6)

    def test_icosahedron(self):
        gold = (1 + math.sqrt(5)) / 2
        pairs = np.array([(x, y * gold) for x in (-1, 1) for y in (-1, 1)])
        flat = np.column_stack([np.zeros(4), pairs])
        code = np.vstack([np.roll(flat, i, axis=1) for i in range(3)])
        code /= np.linalg.norm(code[0])
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code),
            softmax_codes.known_margin(12, 3),
            atol=1e-6,
        )

    def test_margin_is_at_least_that_of_the_angle(self):
        for seed in range(20):
            code = np.random.default_rng(seed).normal(size=(7, 3))
            code /= np.linalg.norm(code, axis=1, keepdims=True)
            widest = np.max((code @ code.T)[~np.eye(7, dtype=bool)])
            margin = softmax_codes.margin_of_angle(float(np.arccos(widest)))
            assert softmax_codes.one_vs_rest_distance(code) >= margin - 1e-9
            assert margin <= softmax_codes.known_margin(7, 3)

    def test_others(self):
        assert softmax_codes.known_margin(24, 4) == 0.5
        assert softmax_codes.known_margin(16, 5) == 0.8
        np.testing.assert_allclose(
            softmax_codes.margin_of_angle(math.radians(78.4630)), 0.8, atol=1e-5
        )
        for k, d in ((3, 1), (13, 3), (100, 10)):
            with pytest.raises(ValueError, match=f"No known optimum for {k} classes"):
                softmax_codes.known_margin(k, d)
