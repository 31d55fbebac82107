"""The margin of a code: how far each vector is from the hull of the others; float64.

For unit w_k, h_k the cross-entropy with vanishing temperature maximises the least
one-vs-rest distance, rho(W) = min_k dist(w_k, conv{w_j, j != k}); its maximiser is the
softmax code (Jiang et al., ICML 2024).  `ncjax.collapse.one_vs_rest` has the margin of
features on the device, with bounds.
"""

from __future__ import annotations

import numpy as np

from ncjax.options import InputError


def as_code(vectors: np.ndarray) -> np.ndarray:
    """The vectors of a code in float64 [K, d].

    Args:
        vectors: a vector for each of K >= 2 classes [K, d]; of any length.

    Raises:
        InputError: for another shape, or numbers that are not finite.
    """
    vectors = np.asarray(vectors, np.float64)
    if vectors.ndim != 2 or len(vectors) < 2 or not vectors.shape[1]:
        raise InputError(
            f"A code is an array [K, d], a vector for each of K >= 2 classes; got the "
            f"shape {vectors.shape}."
        )
    if not np.isfinite(vectors).all():
        raise InputError("The vectors of a code must be finite; some numbers are not.")
    return vectors


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """The vectors of a code at length 1, float64 [K, d].

    Args:
        vectors: a vector for each of K >= 2 classes [K, d].

    Raises:
        InputError: as `as_code`, or for a vector of length 0.
    """
    vectors = as_code(vectors)
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    if not largest.all():
        row = int(np.flatnonzero(largest == 0)[0])
        raise InputError(f"Vector {row} of the code is 0: it has no direction.")
    vectors = vectors / largest  # squares might over- or underflow
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def one_vs_rest_distances(vectors: np.ndarray) -> np.ndarray:
    """dist(w_k, conv{w_j, j != k}) for each k, float64 [K].

    The point of the hull of p_j = w_j - w_k that is nearest to 0 is P'x/sum(x), where
    x >= 0 minimises |P'x|^2 + (sum(x) - 1)^2: a problem of non-negative least squares,
    which an active set solves in a finite number of steps.

    Args:
        vectors: rows w_k of the code [K, d], which are not normalised.

    Raises:
        InputError: as `as_code`.
    """
    from scipy import optimize  # late: half a second

    vectors = as_code(vectors)
    scale = np.abs(vectors).max() or 1.0
    vectors = vectors / scale
    found = np.empty(len(vectors))
    for k, row in enumerate(vectors):
        points = np.delete(vectors, k, axis=0) - row
        stacked = np.vstack([points.T, np.ones(len(points))])
        aim = np.zeros(len(stacked))
        aim[-1] = 1
        weights, _ = optimize.nnls(stacked, aim)
        found[k] = np.linalg.norm(weights @ points) / weights.sum()
    return scale * found


def one_vs_rest_distance(vectors: np.ndarray) -> float:
    """The margin rho(W) = min_k dist(w_k, conv{w_j, j != k}).

    Args:
        vectors: rows w_k of the code [K, d], which are not normalised.

    Raises:
        InputError: as `as_code`.
    """
    return float(one_vs_rest_distances(vectors).min())


def margin_of_angle(angle: float) -> float:
    """The margin 1 - cos(angle) of vectors on the sphere.

    A lower bound for every code; equality at Tammes codes that hold each vector in
    place, as found in every case searched.

    Args:
        angle: least angle between two of the vectors, in radians.
    """
    return float(1 - np.cos(angle))


def nearest_cosines(vectors: np.ndarray) -> np.ndarray:
    """Cosine between each vector and the one nearest to it in angle, float64 [K].

    Args:
        vectors: a vector for each of K >= 2 classes [K, d].

    Raises:
        InputError: as `unit_rows`.
    """
    rows = unit_rows(vectors)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    return cosines.max(axis=1)
