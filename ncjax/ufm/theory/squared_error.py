"""Squared error: from the simplex to the orthogonal frame.

The loss is (1/2N) sum_i |W h_i + b - e_{y_i}|^2, `ncjax.losses.mse`, a sum over
classes.  PyTorch's `nn.MSELoss` is 2/K times it: for that, multiply all three decays by
K/2 first.

References:
    Zhou et al., On the Optimization Landscape of Neural Collapse under MSE Loss, ICML
    2022, and Tirer & Bruna, Extended Unconstrained Features Model, ICML 2022: balanced.
    Dang et al., Neural Collapse in Deep Linear Networks, ICML 2023: imbalanced.
    The transition in lb was derived for this project and checked numerically.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ncjax.ufm.theory.class_optimum import ClassOptimum
from ncjax.ufm.theory.ranges import (
    check_counts,
    check_model,
    check_positive,
    check_width,
    geometric_mean,
)


def squared_error_optimum(
    num_classes: int,
    per_class: int,
    lambda_w: float,
    lambda_h: float,
    lambda_b: float | None = None,
    *,
    feature_dim: int | None = None,
) -> ClassOptimum:
    """Global optimum of the balanced UFM with squared error.

    Logits u P + v 11'/K, with u = max(1 - K c, 0), c = sqrt(n lW lH), and

        no bias:             v = u: an orthogonal frame, f = K c - K^2 c^2/2 (K c < 1);
        lb <= K c/(1 - K c): v = 0, b = 1/(K (1 + lb)): a simplex ETF; at lb = 0
                             f = (K-1)(c - K c^2/2);
        lb >  K c/(1 - K c): v = 1 - K c - K c/lb, b = c/lb: in between, and the
                             orthogonal frame as lb grows.

    W W' = sqrt(n lH/lW) times the logits.

    Args:
        num_classes: number K >= 2 of classes.
        per_class: number n >= 1 of samples of each class.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
        lambda_b: weight decay lb >= 0, the coefficient of |b|^2/2; None: no bias.
        feature_dim: width d of the features; if given, checked to be at least the rank
            of the logits.

    Returns:
        The optimum; its `regime` names the case.

    Raises:
        ValueError: for input outside these ranges.
    """
    k = num_classes
    check_model(k, per_class, lambda_w, lambda_h)
    if lambda_b is not None and not 0 <= lambda_b < np.inf:
        raise ValueError(
            f"lambda_b must be finite and >= 0, or None for no bias; got {lambda_b}."
        )
    kc = k * math.sqrt(per_class) * geometric_mean(lambda_w, lambda_h)
    u, v, b, regime = _modes(k, kc, lambda_b)
    check_width(feature_dim, (k - 1) * (u > 0) + (v > 0), f"this optimum ({regime})")
    objective = ((k - 1) * (1 - u) ** 2 + (1 - v - k * b) ** 2) / (2 * k)
    objective += kc / k * ((k - 1) * u + v) + (lambda_b or 0.0) * k * b**2 / 2
    logits = u * np.eye(k) + (v - u) / k
    ratio = np.sqrt(per_class * lambda_h / lambda_w)
    return ClassOptimum(
        regime=regime,
        objective=float(objective),
        logits=logits,
        bias=np.full(k, b),
        classifier_gram=ratio * logits,
        mean_gram=logits / ratio,
    )


def _modes(k: int, kc: float, lambda_b: Any) -> tuple[float, float, float, str]:
    """u, v, the entry of the bias, and the name of the case, from K and K c."""
    u = max(1 - kc, 0.0)
    if lambda_b is None:
        v, b = u, 0.0
    else:
        v = max(1 - kc - kc / lambda_b, 0.0) if lambda_b > 0 else 0.0
        b = kc / k / lambda_b if v > 0 else 1 / (k * (1 + lambda_b))
    if u == 0:
        regime = f"trivial: K c = {kc:.4g} >= 1, all logits without bias are 0"
    elif v == u:
        regime = "orthogonal frame"
    elif v == 0:
        regime = "simplex ETF"
    else:
        regime = "between simplex ETF and orthogonal frame"
    return u, v, b, regime


def imbalanced_squared_error_optimum(
    class_counts: np.ndarray,
    lambda_w: float,
    lambda_h: float,
    *,
    feature_dim: int | None = None,
) -> ClassOptimum:
    """Global optimum of the UFM with squared error, any class sizes, no bias.

    Classes are orthogonal; with mu = sqrt(lW lH), logit z_k = max(1 - N mu/sqrt(n_k),
    0), |w_k|^2 = sqrt(lH/lW) sqrt(n_k) z_k, |h_k|^2 = sqrt(lW/lH) z_k/sqrt(n_k).  So
    class k is dropped if and only if n_k <= N^2 lW lH.

    Args:
        class_counts: samples n_k of each class [K].
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
        feature_dim: width d of the features; if given, checked to be at least the
            number of classes kept.

    Raises:
        ValueError: for input outside these ranges.
    """
    counts = check_counts(class_counts)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    mu = geometric_mean(lambda_w, lambda_h)
    total, roots = counts.sum(), np.sqrt(counts)
    z = np.maximum(1 - total * mu / roots, 0)
    dropped = np.flatnonzero(z == 0).tolist()
    regime = f"dropped classes: {dropped}" if dropped else "orthogonal, none dropped"
    check_width(feature_dim, len(z) - len(dropped), f"this optimum ({regime})")
    ratio = np.sqrt(lambda_h / lambda_w)
    return ClassOptimum(
        regime=regime,
        objective=float(counts @ (1 - z) ** 2 / (2 * total) + mu * roots @ z),
        logits=np.diag(z),
        bias=np.zeros(len(z)),
        classifier_gram=np.diag(ratio * roots * z),
        mean_gram=np.diag(z / (ratio * roots)),
    )
