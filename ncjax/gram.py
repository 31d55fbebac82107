"""Gram matrices of class vectors: centred, normalised, compared; NumPy, float64.

Row and column k of a matrix G [K, K] belong to class k.  An argument `gram` or `other`
is such a matrix of any scale, centred or not.  The features of a data set have their
own functions in `ncjax.collapse`, which work on the means themselves.
"""

from __future__ import annotations

import numpy as np


def as_square(table: np.ndarray) -> np.ndarray:
    """The table in float64 [K, K].

    Raises:
        ValueError: unless it is [K, K], with K at least 2.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2:
        raise ValueError(f"Expected a [K, K] matrix with K >= 2, got {table.shape}.")
    return table


def simplex_gram(num_classes: int) -> np.ndarray:
    """P = I - 11'/K, the Gram matrix of a simplex ETF, up to its scale [K, K].

    Raises:
        ValueError: for fewer than 2 classes.
    """
    if num_classes < 2:
        raise ValueError(f"A simplex needs at least 2 classes, got {num_classes}.")
    return np.eye(num_classes) - 1 / num_classes


def centred_gram(gram: np.ndarray) -> np.ndarray:
    """P G P, the Gram matrix of the vectors minus their mean [K, K].

    Raises:
        ValueError: unless it is [K, K], with K at least 2.
    """
    gram = as_square(gram)
    rows = gram - gram.mean(axis=0)
    return rows - rows.mean(axis=1, keepdims=True)


def unit_gram(gram: np.ndarray) -> np.ndarray:
    """P G P divided by its Frobenius norm [K, K].

    Raises:
        ValueError: unless it is [K, K], finite, and not 0 once centred.
    """
    centred = centred_gram(gram)
    largest = np.abs(centred).max()
    if not 0 < largest < np.inf:
        raise ValueError("The Gram matrix must be finite and not 0 once it is centred.")
    centred = centred / largest  # its squares might over- or underflow
    return centred / np.linalg.norm(centred)


def gram_distance(gram: np.ndarray, other: np.ndarray) -> float:
    """|| G/|G|_F - G'/|G'|_F ||_F of the centred matrices; in [0, sqrt(2)].

    Raises:
        ValueError: as `unit_gram`.
    """
    return float(np.linalg.norm(unit_gram(gram) - unit_gram(other)))


def gram_nc2(gram: np.ndarray) -> float:
    """NC2 of vectors with this Gram matrix: their `gram_distance` from a simplex."""
    return gram_distance(gram, simplex_gram(len(gram)))


def gram_cosines(gram: np.ndarray) -> np.ndarray:
    """Cosines between the vectors minus their mean [K, K]."""
    gram = centred_gram(gram)
    norms = np.sqrt(np.diag(gram))
    return gram / np.outer(norms, norms)


def mean_gram(logits: np.ndarray) -> np.ndarray:
    """Gram matrix of the class means behind logits Z, up to scale: (Z Z')^{1/2}.

    At a balanced optimum Z = H W' with H H' = sqrt(lW/(n lH)) (Z Z')^{1/2}.  The means
    are not centred.

    Args:
        logits: Z [K, M], row k of class k.  The transpose gives the classifier.

    Raises:
        ValueError: unless it is a table.
    """
    logits = np.asarray(logits, np.float64)
    if logits.ndim != 2:
        raise ValueError(f"Expected logits [K, M], got {logits.shape}.")
    left, values, _ = np.linalg.svd(logits, full_matrices=False)
    return (left * values) @ left.T
