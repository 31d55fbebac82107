"""What a closed form for classes returns."""

from __future__ import annotations

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class ClassOptimum:
    """A global optimum of a UFM; its features have collapsed to the class means.

    Attributes:
        regime: which case of the formula this is, in words.
        objective: least value of f.
        logits: logits of the class means, without the bias [K, K]; row k is of class k.
        bias: the bias b [K]; zeros in a model without one.
        classifier_gram: Gram matrix W W' [K, K] of the classifier.
        mean_gram: Gram matrix of the class means, not centred [K, K].
    """

    regime: str
    objective: float
    logits: np.ndarray
    bias: np.ndarray
    classifier_gram: np.ndarray
    mean_gram: np.ndarray

    @property
    def rank(self) -> int:
        """Rank of the logits without bias: the least width of features for them."""
        return int(np.linalg.matrix_rank(self.logits))
