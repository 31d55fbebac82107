"""Optimal and best known codes: K unit vectors in d dimensions, as far apart as can be.

A Tammes code has the least angle between two of its vectors as wide as possible; c is
the cosine of that angle.  A softmax code has the greatest margin rho, see
`ncjax.codes.margin`.  rho >= 1 - c for every code, with equality at a Tammes code of
whose vectors each is held in place by others.

References:
    Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML 2024:
    the margin for K <= d + 1, for d = 2, and rho = 1 - c without rattlers.
    Rankin, The closest packing of spherical caps in n dimensions, 1955: the angle for
    K <= 2d.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from ncjax.options import InputError


@dataclasses.dataclass(frozen=True)
class Optimum:
    """Least possible cosine of the least angle between K points.

    Attributes:
        cosine: the cosine c; an upper bound of the least one where it is not proved.
        proved: whether no code has a smaller cosine.
        source: who proved or found it.
    """

    cosine: float
    proved: bool
    source: str


_TRIBONACCI = (1 + math.cbrt(19 + 3 * 33**0.5) + math.cbrt(19 - 3 * 33**0.5)) / 3
_SNUB = _TRIBONACCI**2 / (1 + _TRIBONACCI**-2 + _TRIBONACCI**2)
_WAERDEN = "Schuette & van der Waerden 1951"
_LEVENSHTEIN = "Levenshtein 1979"
# (K, d): cosine, source.  Of (13, 3) and (14, 3) it is rounded down.
_PROVED: dict[tuple[int, int], tuple[float, str]] = {
    (7, 3): (1 - 4 / math.sqrt(3) * math.sin(math.pi / 9), _WAERDEN),
    (8, 3): ((2 * math.sqrt(2) - 1) / 7, _WAERDEN),  # square antiprism
    (9, 3): (1 / 3, _WAERDEN),
    (10, 3): (0.4043943252162508, "Danzer 1963"),
    (11, 3): (1 / math.sqrt(5), "Danzer 1963"),  # icosahedron without a vertex
    (12, 3): (1 / math.sqrt(5), "Fejes Toth 1943"),  # icosahedron
    (13, 3): (0.54263648682, "Musin & Tarasov 2012"),
    (14, 3): (0.563950300361, "Musin & Tarasov 2015"),
    (24, 3): (_SNUB, "Robinson 1961"),  # snub cube
    (10, 4): (1 / 6, "Bachoc & Vallentin 2009"),
    (24, 4): (1 / 2, "de Laat, Leijenhorst & de Muinck Keizer 2024"),  # 24-cell
    (120, 4): ((1 + math.sqrt(5)) / 4, "Boeroeczky 1978"),  # 600-cell
    (16, 5): (1 / 5, _LEVENSHTEIN),
    (27, 6): (1 / 4, _LEVENSHTEIN),
    (56, 7): (1 / 3, _LEVENSHTEIN),
    (240, 8): (1 / 2, _LEVENSHTEIN),
    (112, 21): (1 / 9, _LEVENSHTEIN),
    (162, 21): (1 / 7, _LEVENSHTEIN),
    (100, 22): (1 / 11, _LEVENSHTEIN),
    (275, 22): (1 / 6, _LEVENSHTEIN),
    (891, 22): (1 / 4, _LEVENSHTEIN),
    (552, 23): (1 / 5, _LEVENSHTEIN),
    (4600, 23): (1 / 3, _LEVENSHTEIN),
    (196560, 24): (1 / 2, _LEVENSHTEIN),
}
# (K, d): the least cosine found by `tests/benchmarks/studies/codes.py`, rounded up.
_FOUND: dict[tuple[int, int], float] = {
    (15, 3): 0.592605903,
    (16, 3): 0.6122946165,
    (17, 3): 0.6280944151,
    (18, 3): 0.6486958323,
    (19, 3): 0.6731168876,
    (20, 3): 0.6764771382,
    (9, 4): 0.1620151997,
    (11, 4): 0.2304055636,
    (12, 4): 0.25,
    (13, 4): 0.307295654,
    (14, 4): 0.3195185943,
    (15, 4): 0.350992176,
    (16, 4): 0.3876281772,
    (17, 4): 0.4122593627,
    (18, 4): 0.4228194141,
    (19, 4): 0.434258546,
    (20, 4): 0.434258546,
    (11, 5): 0.1328535427,
    (12, 5): 0.1539316051,
    (13, 5): 0.1872598519,
    (14, 5): 0.2,
    (15, 5): 0.2,
    (17, 5): 0.2704758353,
    (18, 5): 0.2755017417,
    (19, 5): 0.2918223991,
    (20, 5): 0.299385693,
}


def check_sizes(num_classes: int, feature_dim: int) -> None:
    """Refuses numbers of classes and dimensions for which there is no code.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: for K < 2, d < 1, or K > 2 in d = 1, where vectors coincide.
    """
    if num_classes < 2:
        raise InputError(f"A code needs at least 2 classes, got {num_classes}.")
    if feature_dim < 1:
        raise InputError(f"A code needs at least 1 dimension, got {feature_dim}.")
    if feature_dim == 1 and num_classes > 2:
        raise InputError(
            f"In 1 dimension there are 2 directions, and {num_classes} classes share "
            "them: the margin is 0. Take 2 dimensions or more."
        )


def known_code(num_classes: int, feature_dim: int) -> Optimum | None:
    """The best code that is known, or None where none is listed.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: as `check_sizes`.
    """
    k, d = num_classes, feature_dim
    check_sizes(k, d)
    if k <= d + 1:
        return Optimum(-1 / (k - 1), True, "simplex, Rankin 1955")
    if d == 2:
        return Optimum(math.cos(2 * math.pi / k), True, "regular polygon")
    if k <= 2 * d:
        return Optimum(0.0, True, "part of a cross-polytope, Rankin 1955")
    if (k, d) in _PROVED:
        cosine, source = _PROVED[k, d]
        return Optimum(cosine, True, source)
    if (k, d) in _FOUND:
        return Optimum(_FOUND[k, d], False, "found by this project")
    return None


def known_margin(num_classes: int, feature_dim: int) -> float:
    """The largest margin rho that is known.

    K/(K-1) for K <= d + 1 (simplex); 1 for d + 2 <= K <= 2d (cross-polytope at K = 2d,
    not unique below); 1 - cos(2 pi/K) in d = 2 (regular polygon); all proved.  Beyond
    that 1 - c with the cosine c of the best Tammes code that is known: on numerical
    evidence only, that no other code has a larger margin.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: as `check_sizes`, or for a pair (K, d) whose optimum is not listed.
    """
    known = known_code(num_classes, feature_dim)
    if known is None:
        listed = sorted({d: None for _, d in _PROVED | _FOUND})
        raise InputError(
            f"No known optimum for {num_classes} classes in {feature_dim} dimensions: "
            f"with K > 2d some are listed in the dimensions {listed}. "
            f"`ncjax codes --classes={num_classes} --dim={feature_dim}` searches."
        )
    return 1 - known.cosine


def simple_code(num_classes: int, feature_dim: int) -> np.ndarray | None:
    """An optimal code in closed form, float64 [K, d]; None where there is none.

    A simplex for K <= d + 1, a regular polygon in d = 2, and for K <= 2d part of a
    cross-polytope: the unit vectors, and the negatives of as many as are needed.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.

    Raises:
        InputError: as `check_sizes`.
    """
    k, d = num_classes, feature_dim
    check_sizes(k, d)
    if k <= d + 1:
        return _simplex(k, d)
    if d == 2:
        angles = 2 * np.pi * np.arange(k) / k
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)
    if k <= 2 * d:
        return np.concatenate([np.eye(d), -np.eye(d)])[:k]
    return None


def _simplex(num_classes: int, feature_dim: int) -> np.ndarray:
    """K unit vectors with the cosines -1/(K-1), in as few dimensions as they need."""
    rows = np.zeros((num_classes, feature_dim))
    for axis in range(num_classes - 1):
        # Of those that are left, one points along the axis and the others away.
        left = num_classes - 1 - axis
        height = np.sqrt(1 - np.sum(rows[axis] ** 2))
        rows[axis, axis] = height
        rows[axis + 1 :, axis] = -height / left
    return rows
