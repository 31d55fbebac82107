"""What a closed form returns, the checks of its input, and scalar equations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import optimize


@dataclasses.dataclass(frozen=True)
class ClassOptimum:
    """A global optimum of a UFM; its features have collapsed to the class means.

    Attributes:
        regime: which case of the formula this is, in words.
        objective: f.
        logits: of the class means, without the bias [K, K]; row k is of class k.
        bias: [K]; zeros in a model without one.
        classifier_gram: W W' [K, K].
        mean_gram: of the class means, not centred [K, K].
    """

    regime: str
    objective: float
    logits: np.ndarray
    bias: np.ndarray
    classifier_gram: np.ndarray
    mean_gram: np.ndarray

    @property
    def rank(self) -> int:
        """Of the logits without bias; the least feature width that allows them."""
        return int(np.linalg.matrix_rank(self.logits))


def check_positive(**values: float) -> None:
    """Raises ValueError unless all are finite and > 0, naming the first that is not."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be finite and > 0, got {value}.")


def check_at_least(least: int, **values: int) -> None:
    """Raises ValueError unless all are at least `least`, naming one that is not."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_width(feature_dim: int | None, needed: int, why: str) -> None:
    """Raises ValueError if the features are narrower than the optimum needs."""
    if feature_dim is not None and feature_dim < needed:
        raise ValueError(
            f"feature_dim={feature_dim} is too small: {why} needs at least {needed}. "
            "Narrower features have no closed form; solve them numerically."
        )


def check_counts(class_counts: np.ndarray) -> np.ndarray:
    """The class sizes n_k in float64.

    Raises:
        ValueError: unless there are at least 2 of them, all positive.
    """
    counts = np.asarray(class_counts, np.float64)
    if counts.ndim != 1 or len(counts) < 2 or not np.all(counts > 0):
        raise ValueError(
            f"class_counts must be at least 2 positive numbers, got {counts.tolist()}."
        )
    return counts


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root between two numbers at which the function differs in sign."""
    found = optimize.root_scalar(
        function, bracket=(low, high), method="brentq", xtol=1e-300, rtol=1e-15
    )
    return float(found.root)
