"""Upper bounds: no code of K vectors in d dimensions is better.

References:
    Rankin, The closest packing of spherical caps in n dimensions, 1955.
    Fejes Toth, Ueber eine Abschaetzung des kuerzesten Abstandes zweier Punkte eines auf
    einer Kugelflaeche liegenden Punktsystems, 1943.
    Delsarte, Goethals & Seidel, Spherical codes and designs, 1977.
    Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML 2024.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from ncjax.codes.known import check_sizes, known_code

_DEGREE = 30  # of the polynomials of Delsarte's bound
_EXACT = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
_GRID = 200  # points at which they are first held below 0


class Bound(NamedTuple):
    """A number that no code exceeds, and why."""

    value: float
    source: str


@functools.lru_cache(maxsize=256)
def best_margin(num_classes: int, feature_dim: int) -> tuple[float, str]:
    """The largest margin that is known of K unit vectors in d dimensions, and whence.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Returns:
        The margin of the best code that is listed, or where none is an upper bound; and
        a sentence that says which.

    Raises:
        InputError: as `check_sizes`.
    """
    known, most = (
        known_code(num_classes, feature_dim),
        margin_bound(num_classes, feature_dim),
    )
    of = f"{num_classes:,} unit vectors in {feature_dim:,} dimensions"
    if known is None:
        return most.value, (
            f"The margin of {of} is at most {most.value:.4g} ({most.source}); "
            f"`ncjax codes --classes={num_classes} --dim={feature_dim}` searches for a "
            "code of a large one."
        )
    value = 1 - known.cosine
    if most.value - value < 1e-7:
        return value, f"The best margin of {of} is {value:.4g} (proved)."
    return value, (
        f"The best margin that is known of {of} is {value:.4g} (code of the widest "
        f"angle, {known.source}); none is above {most.value:.4g} ({most.source})."
    )


def margin_bound(num_classes: int, feature_dim: int) -> Bound:
    """An upper bound of the margin rho of K vectors in d dimensions.

    K/(K-1), of a simplex; 1 for K >= d + 2, as two parts of the code then have hulls
    that meet (Radon); 1 - cos(2 pi/K) in d = 2.  Beyond that, which is ours: with the
    directions h_k in which the distances are attained, (h_k - h_j).(w_k - w_j) >= 2 rho
    for all pairs, so the vectors (w_k, h_k)/sqrt(2) are a code in 2d dimensions whose
    cosines are at most 1 - rho, and `cosine_bound` in 2d dimensions holds for it.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: as `check_sizes`.
    """
    k, d = num_classes, feature_dim
    check_sizes(k, d)
    if k <= d + 1:
        return Bound(k / (k - 1), "simplex")
    if d == 2:
        return Bound(1 - math.cos(2 * math.pi / k), "regular polygon")
    if k > 4 * d:
        doubled = 1 - cosine_bound(k, 2 * d).value
        if doubled < 1:
            return Bound(doubled, f"a code in {2 * d} dimensions, Delsarte")
    return Bound(1.0, "Radon")


@functools.lru_cache(maxsize=256)
def cosine_bound(num_classes: int, feature_dim: int) -> Bound:
    """A lower bound of the largest cosine between two of K vectors in d dimensions.

    The largest of those that apply: Rankin's, exact for K <= 2d; the cosine of a known
    code that is proved to be optimal; Fejes Toth's in d = 3; Delsarte's.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: as `check_sizes`.
    """
    check_sizes(num_classes, feature_dim)
    known = known_code(num_classes, feature_dim)
    if known is not None and known.proved:
        return Bound(known.cosine, known.source)
    found = [Bound(delsarte(num_classes, feature_dim), "Delsarte")]
    if feature_dim == 3:
        found.append(Bound(fejes_toth(num_classes), "Fejes Toth"))
    return max(found)


def fejes_toth(num_classes: int) -> float:
    """Least cosine between two of K >= 3 points on the sphere in three dimensions.

    cos a = (cot^2 w - 1)/2 with w = pi K/(6 (K - 2)); attained by the triangle, the
    tetrahedron, the octahedron and the icosahedron.

    Args:
        num_classes: number K >= 3 of points.
    """
    corner = math.pi * num_classes / (6 * (num_classes - 2))
    return (1 / math.tan(corner) ** 2 - 1) / 2


def delsarte(num_classes: int, feature_dim: int) -> float:
    """Delsarte's linear programming bound of the largest cosine, a lower one.

    For f(x) = 1 + sum_i f_i P_i(x) with f_i >= 0, Gegenbauer's polynomials P_i with
    P_i(1) = 1, and f <= 0 on [-1, c], a code with cosines of at most c has at most f(1)
    vectors.  A linear program finds the least f(1), for the c at which it is K.  What f
    exceeds 0 by, between the points at which it is held down, is computed from its
    extrema and subtracted: the bound is rigorous but for rounding.

    Args:
        num_classes: number K > 2d of vectors; for fewer the bound is 0.
        feature_dim: dimension d >= 3.
    """
    from scipy import optimize  # late: half a second

    if num_classes <= 2 * feature_dim:
        return 0.0
    log_count = math.log(num_classes)

    def excess(cosine: float) -> float:
        return math.log(most_vectors(cosine, feature_dim)) - log_count

    # The covering of the sphere by caps: K caps of the angle of a code that is larger
    # than theirs cannot be packed, so the root lies below the upper end.
    low, high = 0.0, 0.5
    while excess(high) < 0 and high < 1 - 1e-3:
        low, high = high, (1 + high) / 2
    if excess(high) < 0:
        return high  # finer codes are beyond the degree
    if excess(low) >= 0:
        return low
    root = optimize.brentq(excess, low, high, xtol=1e-11, rtol=1e-12)
    for step in range(40):  # below the root, where the number is certainly too small
        cosine = root - 1e-11 * 2**step
        if excess(cosine) < 0:
            return max(cosine, 0.0)
    return low


def most_vectors(cosine: float, feature_dim: int) -> float:
    """An upper bound of the number of vectors with cosines of at most c.

    Args:
        cosine: the largest cosine c, in [0, 1).
        feature_dim: dimension d >= 3.
    """
    from scipy import optimize

    angles = np.linspace(math.acos(cosine), math.pi, _GRID)
    points = np.cos(angles)
    best = math.inf
    for _ in range(6):
        table = gegenbauer(points, feature_dim)
        found = optimize.linprog(
            np.ones(_DEGREE),
            A_ub=table,
            b_ub=np.full(len(points), -1.0),
            options=_EXACT,
        )
        if not found.success:
            return best
        # Its extrema between the points: it is a polynomial of this degree.
        series = np.polynomial.Chebyshev.interpolate(
            lambda x, f=found.x: 1 + gegenbauer(x, feature_dim) @ f,
            _DEGREE,
            domain=[-1, cosine],
        )
        places = series.deriv().roots().real
        places = np.append(places[(places > -1) & (places < cosine)], [-1, cosine])
        above = max(0.0, float((1 + gegenbauer(places, feature_dim) @ found.x).max()))
        if above < 1:
            best = min(best, float(1 + found.x.sum() - above) / (1 - above))
        points = np.append(points, places)
        if above < 1e-12:
            break
    return best


def gegenbauer(points: np.ndarray, feature_dim: int) -> np.ndarray:
    """Gegenbauer's polynomials P_1 to P_30 of a dimension, [n, 30], with P_i(1) = 1.

    (i + d - 2) P_{i+1} = (2i + d - 2) x P_i - i P_{i-1}.

    Args:
        points: where they are computed, x [n].
        feature_dim: dimension d.
    """
    points = np.asarray(points, np.float64)
    before, now, found = np.ones_like(points), points, [points]
    for i in range(1, _DEGREE):
        after = (2 * i + feature_dim - 2) * points * now - i * before
        before, now = now, after / (i + feature_dim - 2)
        found.append(now)
    return np.stack(found, axis=-1)
