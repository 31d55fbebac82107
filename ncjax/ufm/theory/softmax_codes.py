"""More classes than dimensions allow a simplex: best margins known for K > d + 1.

For unit w_k, h_k the cross-entropy with vanishing temperature maximises the least
one-vs-rest distance, rho(W) = min_k dist(w_k, conv{w_j, j != k}); its maximiser is the
softmax code.  Only known optima are here; the search for others is numerical.

References:
    Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML 2024.
    The angles in d = 3 were recomputed for this project by search from many starts.
"""

from __future__ import annotations

import math

import numpy as np

from ncjax.ufm.theory.ranges import check_at_least

# Widest least angle between K points on the sphere in R^3, in degrees (Tammes problem),
# to its digits, where `_EXACT_3D` does not have it.
TAMMES_3D: dict[int, float] = {
    10: 66.1468,
    14: 55.6706,
    15: 53.6579,
    17: 51.0903,
    18: 49.5567,
    20: 47.4310,
}
_TRIBONACCI = (1 + math.cbrt(19 + 3 * 33**0.5) + math.cbrt(19 - 3 * 33**0.5)) / 3
# K: rho = 1 - cosine of that angle, exactly.
_EXACT_3D: dict[int, float] = {
    7: 4 / math.sqrt(3) * math.sin(math.pi / 9),
    8: (8 - 2 * math.sqrt(2)) / 7,  # square antiprism
    9: 2 / 3,
    11: 1 - 1 / math.sqrt(5),  # icosahedron without a vertex
    12: 1 - 1 / math.sqrt(5),  # icosahedron
    24: 1 - _TRIBONACCI**2 / (1 + _TRIBONACCI**-2 + _TRIBONACCI**2),  # snub cube
}
_OTHERS = {(24, 4): 0.5, (16, 5): 0.8}  # (K, d): rho


def known_margin(num_classes: int, feature_dim: int) -> float:
    """The largest rho, where it is known.

    K/(K-1) for K <= d + 1 (simplex); 1 for d + 2 <= K <= 2d (cross-polytope at K = 2d,
    not unique below); 1 - cos(2 pi/K) in d = 2 (regular polygon); in d = 3 on numerical
    evidence only, exact for K = 7, 8, 9, 11, 12 and 24, such as 1 - 1/sqrt(5) for the
    icosahedron, else from `TAMMES_3D`, to its digits; 0.5 for 24 points in d = 4 and
    0.8 for 16 in d = 5.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        ValueError: for K < 2, d < 1, K > 2 in d = 1 (points coincide), or a pair (K, d)
            whose optimum is not listed.
    """
    k, d = num_classes, feature_dim
    check_at_least(2, num_classes=k)
    check_at_least(1, feature_dim=d)
    if k <= d + 1:
        return k / (k - 1)
    if d > 1 and k <= 2 * d:
        return 1.0
    if d == 2:
        return float(1 - np.cos(2 * np.pi / k))
    if d == 3 and k in _EXACT_3D:
        return _EXACT_3D[k]
    if d == 3 and k in TAMMES_3D:
        return margin_of_angle(np.radians(TAMMES_3D[k]))
    if (k, d) in _OTHERS:
        return _OTHERS[k, d]
    listed = sorted(TAMMES_3D | _EXACT_3D)
    raise ValueError(
        f"No known optimum for {k} classes in {d} dimensions. Known: d >= 2 with "
        f"K <= 2d, d = 2, d = 3 with K in {listed}, (24, 4), (16, 5)."
    )


def margin_of_angle(angle: float) -> float:
    """The margin 1 - cos(angle) of points on the sphere.

    A lower bound for every code; equality at Tammes codes without rattlers (points
    whose neighbours are all further away), as found in every case searched.

    Args:
        angle: least angle between two of the points, in radians.
    """
    return float(1 - np.cos(angle))


def one_vs_rest_distance(code: np.ndarray) -> float:
    """rho(W) = min_k dist(w_k, conv{w_j, j != k}), by non-negative least squares.

    Args:
        code: rows W [K, d] of the code, which are not normalised.
    """
    from scipy import optimize  # late: half a second

    code = np.asarray(code, np.float64)
    check_at_least(2, num_classes=len(code))
    heavy = 1e6 * max(1.0, np.abs(code).max())  # makes the weights sum to 1
    distances = []
    for k, row in enumerate(code):
        others = np.delete(code, k, axis=0)
        stacked = np.vstack([others.T, np.full(len(others), heavy)])
        weights, _ = optimize.nnls(stacked, np.append(row, heavy))
        distances.append(np.linalg.norm(row - weights @ others / weights.sum()))
    return float(min(distances))
