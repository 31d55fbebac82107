"""Class vectors that are given: the optimum of the features for a fixed classifier.

    f(H) = sum_k omega_k l_k(W h_k) + (c/2) |H|^2,   c = n lH,

with a sample for each class.  For a loss that is convex in its logits f is strictly
convex, so that the optimum is unique and certified: a function of curvature c lies at
most |grad|^2 / (2 c) below any of its values.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ncjax.gram import unit_gram
from ncjax.ufm.fixed import solve_features
from ncjax.ufm.match import (
    C_RANGE,
    Optimum,
    OptimumError,
    OptimumPath,
    class_loss,
    path_of,
)
from ncjax.ufm.problem import Problem
from ncjax.ufm.proof import Proof

_MERGED = 1e-6  # logits below which all classes have merged


def given_path(
    loss: str,
    classifier: np.ndarray,
    *,
    sizes: Any = 1,
    c_range: tuple[float, float] = C_RANGE,
    **options: Any,
) -> OptimumPath:
    """Optima of the features for a fixed classifier without a bias, for log-spaced c.

    Args:
        loss: a loss in `ncjax.ufm.tables.FITS` that is convex in its logits.
        classifier: W [K, d].
        sizes: samples of each class, one number or [K]; only their ratios count.
        c_range: least and greatest c.
        **options: options of the loss.

    Raises:
        OptimumError: for a loss that is not convex, or if every optimum is trivial.
        ValueError: for bad options.
    """
    rows = np.asarray(classifier, np.float64)
    sizes = np.asarray(sizes, np.float64) * np.ones(len(rows))

    def problem(c: float) -> Problem:
        return Problem.create(
            loss,
            lambda_w=c,
            lambda_h=c,
            lambda_b=None,
            num_classes=len(rows),
            feature_dim=rows.shape[1],
            sizes=sizes / sizes.mean(),
            **options,
        )

    first = problem(c_range[0])
    if not bool(first.fit.is_convex()):
        raise OptimumError(
            f"The loss {loss!r} is not convex in its logits: for a fixed classifier "
            "no certified optimum is known."
        )

    def proven(c: float) -> tuple[Optimum | None, Proof]:
        at = problem(c)
        features, _, gradient = map(np.asarray, solve_features(at, rows))
        gap = float(gradient) ** 2 / (2 * c)
        proof = Proof("certified", gap)
        logits = features @ rows.T
        if np.abs(logits - logits.mean(axis=0)).max() < _MERGED or gap > 1e-9:
            return None, proof
        grams = (unit_gram(x @ x.T) for x in (features, rows))
        return Optimum(c, *grams, loss=float(class_loss(at.fit, logits, sizes))), proof

    return path_of(first.fit, lambda c: proven(c)[0], proven, c_range)
