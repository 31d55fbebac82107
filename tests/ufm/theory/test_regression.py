"""Regression in closed form: reference values, and independent numerical optima."""

import math

import numpy as np
import pytest
from scipy import optimize

from ncjax.ufm.theory import regression
from tests.ufm.theory.searches import mse, search


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
        assert abs(regression.printed_gamma(gram, covariance) - 1e-3) > 0.05
        gram = regression.regression_optimum(covariance, 0.03, 0.03).classifier_gram
        np.testing.assert_allclose(regression.printed_gamma(gram, covariance), 9e-4)

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
