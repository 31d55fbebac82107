"""Minority collapse: from which imbalance on the minority classes merge.

K_A majority classes of n_A samples, K_B minority classes of n_B < n_A; cross-entropy.

References:
    Fang et al., Exploring Deep Neural Networks via Layer-Peeled Model, PNAS 2021.
    The thresholds were derived for this project and checked numerically.
"""

from __future__ import annotations

import math

import numpy as np

from ncjax.ufm.theory.ranges import (
    check_at_least,
    check_positive,
    find_root,
    geometric_mean,
)

_LARGEST = 709.0  # log of the largest ratio that is looked for
_LEAST = 1e-9  # log of a ratio up to which the square of it is below rounding


def ridge_threshold(num_samples: int, lambda_w: float, lambda_h: float) -> float:
    """Class size N^2 lW lH up to which classes merge in the UFM with weight decay.

    With cross-entropy the classifiers and means of at least two equally small classes
    become identical if and only if n_B <= N^2 lW lH, with or without bias: whatever
    n_A, except through N.  With squared error each class of that size is dropped.

    Args:
        num_samples: number N of samples of all classes together.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
    """
    check_at_least(1, num_samples=num_samples)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    edge = num_samples * geometric_mean(lambda_w, lambda_h)
    return edge * edge


def peeled_threshold(majority: int, minority: int, energy: float) -> float:
    """Ratio R0 = n_A/n_B from which the minority merges in the layer-peeled model.

    The model is (1/N) sum CE subject to (1/K) sum_k |w_k|^2 <= E_W and
    (1/K) sum_k mean_i |h_ki|^2 <= E_H, that is |Z|_* <= K sqrt(E_W E_H) for the logits
    Z of the class means.  The minority is merged if and only if n_B/N <= nu, the
    multiplier of that bound.  At equality, all over n_B/N, Z minimises

        R sum_{k in A} CE_k + sum_{k in B} CE_k + |Z|_*

    among Z with merged minority; R0 is where its nuclear norm fills the bound.

    Args:
        majority: number K_A >= 1 of majority classes.
        minority: number K_B >= 2 of minority classes; a single one cannot merge.
        energy: product E_W E_H > 0 of the squared radii.

    Returns:
        R0 > 1; 1.0 where the energy is so small that float64 knows no number between.

    Raises:
        ValueError: for input outside these ranges, or an energy for which R0 is more
            than float64 can hold: it grows like the exponential of sqrt(energy).
    """
    check_at_least(1, majority=majority)
    check_at_least(2, minority=minority)
    check_positive(energy=energy)
    classes = majority + minority
    bound = classes * math.sqrt(energy)
    # Near R = 1 the nuclear norm is K_A (K - 1) log R; rounding would drown the root.
    first_order = bound / (majority * (classes - 1))
    if first_order < _LEAST:
        return 1 + first_order

    def excess(log_ratio):
        if log_ratio == 0:
            return -bound  # Z = 0
        return _merged_norm(majority, minority, log_ratio) - bound

    if excess(_LARGEST) < 0:
        raise ValueError(
            f"energy = {energy:g} is too large: R0 is more than float64 can hold "
            f"(1.8e308) for {majority} and {minority} classes. Give a smaller energy."
        )
    high = 1.0
    while excess(high) < 0:
        high = min(2 * high, _LARGEST)
    return math.exp(find_root(excess, 0.0, high))


def merged_norm(majority: int, minority: int, ratio: float) -> float:
    """|Z|_* at the minimum of R sum_A CE + sum_B CE + |Z|_* with a merged minority.

    By symmetry Z (a column per class) is s times the contrasts within A, plus a block
    of rank one that tells A from B, with singular value rho: |Z|_* = (K_A - 1) s + rho.
    Let q_A be the probability that samples of A give to B, q_B that of B to A, and
    delta_A, delta_B the gaps of mean logits between A and B.  Z is optimal if and only
    if R (1 - p_own + p_other) = 1 within A and, for some angle,

        q_A = cos(angle) sqrt(K_B/K)/R,  q_B = sin(angle) sqrt(K_A/K),
        delta_A sqrt(K_A) sin(angle) = delta_B sqrt(K_B) cos(angle).

    Args:
        majority: number K_A >= 1 of majority classes.
        minority: number K_B >= 1 of minority classes.
        ratio: ratio R = n_A/n_B > 1 of the class sizes.
    """
    check_at_least(1, majority=majority, minority=minority)
    if not 1 < ratio < np.inf:
        raise ValueError(f"ratio must be finite and > 1, got {ratio}.")
    return _merged_norm(majority, minority, math.log(ratio))


def _merged_norm(ka: int, kb: int, log_ratio: float) -> float:
    """`merged_norm` as a function of log R, which may be near 0 or huge."""
    k = ka + kb
    log_gain = log_ratio + math.log(-math.expm1(-log_ratio))  # log(R - 1)

    def gaps(angle):
        q_a = np.cos(angle) * np.sqrt(kb / k)  # times R, as is the next
        other = (1 - q_a) / ka
        contrast = np.logaddexp(0, log_gain - np.log(other))  # log(p_own / p_other)
        delta_a = contrast / ka + np.log(other * kb / q_a)
        q_b = np.sin(angle) * np.sqrt(ka / k)
        delta_b = np.log(ka * (1 - q_b) / kb) - np.log(q_b)
        return contrast, delta_a * np.sqrt(ka), delta_b * np.sqrt(kb)

    def imbalance(angle):
        _, left, right = gaps(angle)
        return left * np.sin(angle) - right * np.cos(angle)

    end = np.arcsin(np.sqrt(ka / k))
    angle = find_root(imbalance, 1e-300, end)
    contrast, left, right = gaps(angle)
    rho = np.hypot(left, right) * np.sqrt(ka * kb / k)
    return float((ka - 1) * contrast + rho)
