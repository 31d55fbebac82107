"""Cross-entropy, balanced: the optimum is a simplex ETF, with known size.

References:
    Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021: the structure.
    Yaras et al., Neural Collapse with Normalized Features, NeurIPS 2022: on spheres.
    The sizes, and those with label smoothing, were derived for this project and checked
    against certified optima.
"""

from __future__ import annotations

import math

import numpy as np

from ncjax.ufm.theory.class_optimum import ClassOptimum
from ncjax.ufm.theory.ranges import (
    check_at_least,
    check_model,
    check_positive,
    check_width,
    find_root,
    geometric_mean,
)


def cross_entropy_optimum(
    num_classes: int,
    per_class: int,
    lambda_w: float,
    lambda_h: float,
    *,
    label_smoothing: float = 0.0,
    feature_dim: int | None = None,
) -> ClassOptimum:
    """Global optimum of the UFM with cross-entropy, with or without a bias.

    Logits s P, P = I - 11'/K, with c = sqrt(n lW lH) and smoothing eps:

        e^s = (1 - eps + eps/K - (K-1)c) / (eps/K + c)  if K c < 1 - eps, else s = 0;

    every wrong class has probability eps/K + c; without smoothing s = log(1/c - K + 1)
    and f = -log(1 - (K-1)c) + c (K-1) s.  W W' = s sqrt(n lH/lW) P, h = sqrt(lW/(n lH))
    w_k, b = 0 (any constant vector if it has no decay).

    Args:
        num_classes: number K >= 2 of classes.
        per_class: number n >= 1 of samples of each class.
        lambda_w: weight decay lW > 0, the coefficient of |W|^2/2.
        lambda_h: weight decay lH > 0, the coefficient of |H|^2/2.
        label_smoothing: smoothing eps in [0, 1).
        feature_dim: width d of the features; if given, checked to be at least K - 1.

    Returns:
        The optimum; its `regime` says whether it is trivial.

    Raises:
        ValueError: for input outside these ranges.
    """
    from scipy import special  # late: half a second

    k, eps = num_classes, label_smoothing
    check_model(k, per_class, lambda_w, lambda_h)
    if not 0 <= eps < 1:
        raise ValueError(f"label_smoothing must be in [0, 1), got {eps}.")
    check_width(feature_dim, k - 1, f"a simplex of {k} classes")
    c = math.sqrt(per_class) * geometric_mean(lambda_w, lambda_h)
    if k * c < 1 - eps:
        regime = "simplex ETF"
        wrong = eps / k + c
        s = np.log((1 - (k - 1) * wrong) / wrong)
    else:
        regime = f"trivial: K c = {k * c:.4g} >= {1 - eps:.4g}, all logits are 0"
        wrong, s = 1 / k, 0.0
    # At a critical point the objective is the mean entropy of the softmax.
    missed = (k - 1) * wrong
    entropy = -(1 - missed) * np.log1p(-missed) + (k - 1) * special.entr(wrong)
    logits = s * (np.eye(k) - 1 / k)
    ratio = math.sqrt(per_class * (lambda_h / lambda_w))
    return ClassOptimum(
        regime=regime,
        objective=float(entropy),
        logits=logits,
        bias=np.zeros(k),
        classifier_gram=ratio * logits,
        mean_gram=logits / ratio,
    )


def normalised_cross_entropy_minimum(
    num_classes: int, temperature: float, feature_dim: int | None = None
) -> float:
    """Least cross-entropy of unit w_k and h, logits w_k.h/tau: at a simplex ETF.

    log(1 + (K-1) exp(-K/((K-1) tau))), for K <= d + 1.

    Args:
        num_classes: number K >= 2 of classes.
        temperature: temperature tau > 0.
        feature_dim: width d of the features; if given, checked to be at least K - 1.

    Raises:
        ValueError: for K < 2, tau <= 0, or K > d + 1 (see `ncjax.codes`).
    """
    k = num_classes
    check_at_least(2, num_classes=k)
    check_positive(temperature=temperature)
    check_width(feature_dim, k - 1, f"a simplex of {k} classes")
    return float(np.log1p((k - 1) * np.exp(-k / ((k - 1) * temperature))))


def fixed_simplex_optimum(
    num_classes: int, num_samples: int, lambda_h: float
) -> tuple[float, float]:
    """Cross-entropy with W fixed to a simplex ETF of unit rows: features t w_k.

    t > 0 solves K/(e^{tK/(K-1)} + K - 1) = lH N t, and
    f = log(1 + (K-1) e^{-tK/(K-1)}) + (lH/2) N t^2.

    Args:
        num_classes: number K >= 2 of classes.
        num_samples: number N >= 1 of samples of all classes together.
        lambda_h: weight decay lH > 0 of the features.

    Returns:
        t and f.

    Raises:
        ValueError: for input outside these ranges.
    """
    k = num_classes
    check_at_least(2, num_classes=k)
    check_at_least(1, num_samples=num_samples)
    check_positive(lambda_h=lambda_h)
    price, gain = lambda_h * num_samples, k / (k - 1)
    check_positive(**{"lambda_h * num_samples": price})

    def log_rest(t):
        return np.logaddexp(gain * t, np.log(k - 1)) - np.log(k)

    # With p the price, p t = K/(e^{tK/(K-1)} + K - 1) is at most 1, and above t = 1 t
    # is at most log(K/p): the equation at this end gives the other one.
    most = min(-np.log(price), np.log1p(max(np.log(k) - np.log(price), 0)))
    least = -np.log(price) - log_rest(np.exp(most))
    t = find_root(
        lambda t: np.log(price) + np.log(t) + log_rest(t),
        np.exp(least - 1),
        np.exp(most + 1),
    )
    loss = np.log1p((k - 1) * np.exp(-gain * t))
    return t, float(loss + price * t * t / 2)


def origin_curvatures(
    num_classes: int, per_class: int, feature_dim: int, lambda_w: float, lambda_h: float
) -> list[tuple[float, int]]:
    """Hessian of the balanced UFM with cross-entropy, hard labels, at the origin.

    (lW + lH)/2 -+ sqrt(((lW - lH)/2)^2 + 1/(K^2 n)), d(K-1) times each; lW, d times;
    lH, d(N - K + 1) times.  Negative, so a strict saddle, if and only if K c < 1.

    Args:
        num_classes: number K >= 2 of classes.
        per_class: number n >= 1 of samples of each class.
        feature_dim: width d >= 1 of the features.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.

    Returns:
        Eigenvalues with multiplicities, in the order above, (K + N) d in all.
    """
    k, n, d = num_classes, per_class, feature_dim
    check_model(k, n, lambda_w, lambda_h)
    check_at_least(1, feature_dim=d)
    middle = (lambda_w + lambda_h) / 2
    radius = np.hypot((lambda_w - lambda_h) / 2, 1 / (k * np.sqrt(n)))
    return [
        (float(middle - radius), d * (k - 1)),
        (float(middle + radius), d * (k - 1)),
        (lambda_w, d),
        (lambda_h, d * (k * n - k + 1)),
    ]
