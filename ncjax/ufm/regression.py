"""The unconstrained-features model of regression."""

from __future__ import annotations

from typing import Any

import numpy as np

from ncjax.ufm.fits import Quadratic
from ncjax.ufm.model import number
from ncjax.ufm.problem import Problem
from ncjax.ufm.theory.regression import covariance_roots


def regression(
    covariance: Any,
    *,
    lambda_w: Any,
    lambda_h: Any,
    lambda_b: Any = 0.0,
    mean: Any = 0.0,
    feature_dim: int | None = None,
) -> Problem:
    """Regression on targets with a given mean and covariance Sigma [t, t].

        f = (1/2M) |W H + b - Y|^2 + (lH/2M) |H|^2 + (lW/2) |W|^2 + (lb/2) |b|^2

    Only mean and covariance of Y matter: the optimal H is linear in Y.  So M = t + 1
    samples stand for all; note the 1/M on H.  With lW lH below the least eigenvalue of
    Sigma and a free bias: W W' = sqrt(lH/lW) (Sigma^(1/2) - sqrt(lW lH) I), b = mean.

    Args:
        covariance: Sigma [t, t] of the targets, positive semi-definite (the sum over
            samples divided by M, not by M - 1).
        lambda_w: lW > 0, weight decay of W.
        lambda_h: lH > 0, weight decay of the features, divided by M as above.
        lambda_b: lb >= 0, weight decay of the bias; by default 0, a free bias; None
            for no bias.
        mean: mean of the targets: one number, or [t].
        feature_dim: width d of the features; by default t.

    Raises:
        ValueError: unless Sigma is square, symmetric, positive semi-definite.

    References:
        Andriopoulos et al., The Prevalence of Neural Collapse in Neural Multivariate
        Regression, NeurIPS 2024.
    """
    roots, vectors = covariance_roots(covariance)
    root, size = (vectors * roots) @ vectors.T, len(roots)
    number_of = size + 1
    # Orthonormal columns [M, t] that sum to 0.
    centred = np.linalg.svd(np.eye(number_of) - 1 / number_of)[0][:, :size]
    targets = np.sqrt(number_of) * centred @ root + np.asarray(mean, np.float64)
    return Problem(
        fit=Quadratic(targets),
        counts=np.ones(number_of),
        lambda_w=number("lambda_w", lambda_w, positive=True),
        lambda_h=number("lambda_h", lambda_h, positive=True) / number_of,
        lambda_b=None if lambda_b is None else number("lambda_b", lambda_b),
        num_classes=size,
        feature_dim=size if feature_dim is None else feature_dim,
    )
