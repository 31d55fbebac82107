"""Models with norms in place of weight decay, and regression."""

import numpy as np
import pytest

from ncjax.ufm import LayerPeeled, Spherical, certify, geometry, regression, solve
from tests.thin import thin
from tests.ufm.problems import solved


@pytest.mark.parametrize(
    ("ratio", "cosine", "atol"),
    thin(
        [(10, 0.517, 6e-4), (11.9, 0.911, 6e-4), (12.4, 1, 6e-7), (15, 1, 6e-7)],
        keep={1, 2},
    ),
)
def test_layer_peeled_minority(ratio, cosine, atol):
    """K = 5 + 5, E_W E_H = 5: the threshold is n_A/n_B = 12.19245."""
    problem = LayerPeeled.create(
        sizes=[ratio] * 5 + [1] * 5, radius_w=5**0.5, radius_h=5**0.5
    )
    solution = solve(problem)
    assert certify(problem, solution.params).verdict.startswith("global optimum")
    point = problem.point(solution.params)
    rows = point["W"][5:]
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose((rows @ rows.T).min(), cosine, atol=atol)
    for name, radius in (("W", problem.radius_w), ("H", problem.radius_h)):
        np.testing.assert_allclose(np.sum(point[name] ** 2) / 10, radius, rtol=1e-12)


def test_spherical():
    problem = Spherical.create(num_classes=5, feature_dim=4, temperature=0.2)
    solution = solve(problem)
    value = np.log(1 + 4 * np.exp(-5 / (4 * 0.2)))
    np.testing.assert_allclose(solution.objective, value, atol=1e-13)
    assert geometry(problem.point(solution.params)).nc2 < 1e-7
    verdict = certify(problem, solution.params).verdict
    assert verdict == "not certifiable: unit norms are not convex"


@pytest.mark.parametrize("lw", thin([0.02, 0.3], keep={1}))
def test_regression_closed_form(lw):
    """Modes of Sigma under lW lH vanish."""
    rng = np.random.default_rng(0)
    factor = rng.normal(size=(4, 4)) * [2, 1, 0.5, 0.1]
    covariance, lh, mean = factor @ factor.T, 0.4, np.arange(4.0)
    problem = regression(covariance, lambda_w=lw, lambda_h=lh, mean=mean)
    solution, _ = solved(problem)
    values, vectors = np.linalg.eigh(covariance)
    kept = np.maximum(np.sqrt(values) - np.sqrt(lw * lh), 0)
    expected = np.sqrt(lh / lw) * (vectors * kept) @ vectors.T
    w = solution.params["W"]
    np.testing.assert_allclose(w @ w.T, expected, atol=1e-8)
    np.testing.assert_allclose(solution.params["b"], mean, atol=1e-9)
    if np.all(kept > 0):
        value = np.sqrt(lw * lh) * np.sqrt(values).sum() - 4 * lw * lh / 2
        np.testing.assert_allclose(solution.objective, value, atol=1e-13)
