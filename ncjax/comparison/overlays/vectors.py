"""Regression: one threshold, read off the classifier, predicts features and error."""

from __future__ import annotations

import jax
import numpy as np

from ncjax.comparison.overlays.both import Both
from ncjax.regression.duality import nrc3, target_root
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError

NOTE = (
    "vector: the optimum of regression with a free bias, W W' in proportion to S - "
    "sqrt(gamma) I, S the root of the covariance of the targets. gamma = lW lH is the "
    "one for which NRC3 is least, fitted to the shape of W W' alone; features in the "
    "span of W have the same spectrum, and the squared error is the sum of gamma, or "
    "of the eigenvalue of S^2 where that is less. Spectra have norm 1, in ascending "
    "order of the directions of S."
)


def values(network: LoadedRun) -> dict[str, Both]:
    """Spectra of classifier and features, and the training error.

    Raises:
        OptimumError: for one target, where every W W' has the shape of S, or W = 0.
    """
    moments = network.moments
    classifier = network.classifier[0]
    gamma = float(nrc3(moments, classifier)[1])
    if not np.isfinite(gamma):
        raise OptimumError(
            f"its examples have {moments.outputs} target, and W W' fits the threshold "
            "of any optimum; theory needs two targets and W other than 0."
        )
    roots, root = (np.asarray(x, np.float64) for x in target_root(moments))
    axes = np.linalg.eigh(root)[1]
    weights = np.asarray(classifier, np.float64)
    # The features at the optimum lie in the rows of W; what they do there is the same
    # in any basis of the rows.
    rows = np.linalg.svd(weights, full_matrices=False)[2]
    spread = rows @ np.asarray(moments.feature_cov, np.float64) @ rows.T
    kept = np.maximum(roots - np.sqrt(gamma), 0)
    unit = float(moments.unit[1])
    error = np.sum(np.minimum(roots**2, gamma)) * unit**2
    return {
        "spectrum of W W'": Both.of(
            _unit(_along(weights @ weights.T, axes)), _unit(kept)
        ),
        "spectrum of the features": Both.of(
            _unit(np.linalg.eigvalsh(spread)), _unit(kept)
        ),
        "squared error of training": Both.of(_squared_error(network), error),
    }


def _along(gram: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """The quadratic form of each axis, a column [t, t]."""
    return np.einsum("ij,ik,kj->j", axes, gram, axes)


def _unit(numbers: np.ndarray) -> np.ndarray:
    norm = np.linalg.norm(numbers)
    return numbers / norm if norm > 0 else numbers


def _squared_error(network: LoadedRun) -> float:
    """Mean over the training set of the sum over targets."""
    total, train = 0.0, network.dataset.train
    size = network.config.eval.batch_size
    for start in range(0, len(train), size):
        rows = slice(start, start + size)
        outputs = np.asarray(jax.device_get(network(train.images[rows])[0]), np.float64)
        total += np.sum((outputs - train.labels[rows]) ** 2)
    return total / len(train)
