"""Gradient flow of cross-entropy from Hadamard initialisation: K - 1 scalars.

Z = W H [K, K] on one-hot inputs, mean cross-entropy over the K classes, no decay.  For
K a power of two and Phi the Hadamard matrix over sqrt(K), W = Phi diag(a) R and
H = R' diag(b) Phi' keep their singular vectors for ever.  With s_k = a_k b_k and phi_k
the column of +-1: p = softmax((1/K) sum_k s_k phi_k), pi_k = <p, phi_k>, and

    da_k/dt = (1/K) b_k (1 - pi_k),   db_k/dt = (1/K) a_k (1 - pi_k).

Strengths s [K-1] leave out the constant mode k = 0, which does not move (pi_0 = 1).

References:
    Garrod, Keating & Thrampoulidis, arXiv 2512.04006.  `spread`, a Lyapunov function,
    was derived for this project.
"""

from __future__ import annotations

import numpy as np

from ncjax.ufm.theory.ranges import check_at_least, check_positive, find_root

_LARGEST = 700.0  # strength whose exponential float64 can hold


def sylvester_matrix(num_classes: int) -> np.ndarray:
    """Hadamard matrix of +-1 [K, K], first row and column 1; symmetric, squares to K I.

    Raises:
        ValueError: unless K is a power of two, at least 2.
    """
    k = num_classes
    if k < 2 or k & (k - 1):
        raise ValueError(f"num_classes must be a power of two, at least 2, got {k}.")
    matrix = np.ones((1, 1))
    while len(matrix) < k:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    return matrix


def softmax_coefficients(strengths: np.ndarray) -> np.ndarray:
    """pi_k = <p, phi_k> for k >= 1 [K-1]; p is the softmax of the logits of class 0.

    Args:
        strengths: strengths s [K-1].
    """
    from scipy import special  # late: half a second

    strengths = np.asarray(strengths, np.float64)
    basis = sylvester_matrix(len(strengths) + 1)[:, 1:]
    return special.softmax(basis @ strengths / len(basis)) @ basis


def strength_velocity(strengths: np.ndarray) -> np.ndarray:
    """ds_k/dt = (2/K) s_k (1 - pi_k), for balanced factors a_k = b_k [K-1].

    A strength of 0 stays 0: a saddle that this initialisation cannot leave.

    Args:
        strengths: strengths s [K-1].
    """
    strengths = np.asarray(strengths, np.float64)
    rest = 1 - softmax_coefficients(strengths)
    return 2 / (len(strengths) + 1) * strengths * rest


def factor_velocity(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """da/dt and db/dt [K-1]; the flow conserves a_k^2 - b_k^2.

    Args:
        a: factors a_k of the classifier [K-1].
        b: factors b_k of the features [K-1].
    """
    rest = (1 - softmax_coefficients(a * b)) / (len(a) + 1)
    return b * rest, a * rest


def ray_velocity(strength: float, num_classes: int) -> float:
    """ds/dt on the collapse ray s_k = s, for any K: 2 s/(e^s + K - 1).

    Args:
        strength: the common strength s.
        num_classes: number K of classes.
    """
    check_at_least(2, num_classes=num_classes)
    log_sum = np.logaddexp(strength, np.log(num_classes - 1))
    return float(2 * strength * np.exp(-log_sum))


def ray_strength(start: float, time: float, num_classes: int) -> float:
    """s(t) on the collapse ray, s(0) = start > 0, to rounding.

    Solves (Ei(s) + (K-1) log s)/2 - (the same at s(0)) = t; s grows like log t.

    Args:
        start: strength s(0) > 0.
        time: the time t >= 0.
        num_classes: number K of classes.

    Raises:
        ValueError: for K < 2, start <= 0 or > 700, or t < 0.
    """
    from scipy import special  # late: half a second

    check_at_least(2, num_classes=num_classes)
    check_positive(start=start)
    if not 0 <= time < np.inf:
        raise ValueError(f"time must be finite and >= 0, got {time}.")
    if start > _LARGEST:
        raise ValueError(f"start must be at most {_LARGEST:g}, got {start:g}.")
    if time == 0:
        return start

    def elapsed(s):
        growth = special.expi(s) - special.expi(start)
        return (growth + (num_classes - 1) * np.log(s / start)) / 2 - time

    # The velocity is at most 2 s/K, and d(e^s)/dt at most 2 s: a safe upper end.
    high = start
    while elapsed(high) < 0:
        high = high + 1
    return find_root(elapsed, start, high)


def spread(strengths: np.ndarray) -> float:
    """V = log(mean_k s_k) - mean_k log s_k >= 0; 0 only on the collapse ray.

    Falls along `strength_velocity`: a Lyapunov function for neural collapse.

    Args:
        strengths: strengths s [K-1], all more than 0.

    Raises:
        ValueError: unless all strengths are > 0.
    """
    strengths = _positive(strengths)
    return float(np.log(strengths.mean()) - np.log(strengths).mean())


def spread_velocity(strengths: np.ndarray) -> float:
    """dV/dt = -(2/(K (K-1))) sum_k (s_k/mean(s) - 1) pi_k <= 0.

    pi is K times the gradient of the convex log-partition function, and constant where
    all s_k are equal, so that the sum is that of a monotone map.

    Args:
        strengths: strengths s [K-1], all more than 0.
    """
    strengths = _positive(strengths)
    slope = (strengths / strengths.mean() - 1) @ softmax_coefficients(strengths)
    return float(-2 / ((len(strengths) + 1) * len(strengths)) * slope)


def _positive(strengths: np.ndarray) -> np.ndarray:
    strengths = np.asarray(strengths, np.float64)
    if not np.all(strengths > 0):
        raise ValueError(f"All strengths must be > 0, got {strengths.min()}.")
    return strengths
