"""Independent numerical optima, for comparison with closed forms."""

import numpy as np
from scipy import optimize, special


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
