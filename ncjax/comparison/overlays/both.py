"""What was found beside what is predicted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Both(NamedTuple):
    """One quantity of a network: a number, or some in an order.

    Attributes:
        found: value in the network, [] or [m].
        predicted: value that theory has, of the same shape.
    """

    found: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of(cls, found: Any, predicted: Any) -> Both:
        """Both as float64.

        Raises:
            ValueError: if their shapes differ, or have more than one axis.
        """
        pair = np.asarray(found, np.float64), np.asarray(predicted, np.float64)
        if pair[0].shape != pair[1].shape or pair[0].ndim > 1:
            raise ValueError(
                f"Found and predicted have shapes {pair[0].shape} and "
                f"{pair[1].shape}; they must be one number, or one row, each."
            )
        return cls(*pair)

    @property
    def distance(self) -> float:
        """|found - predicted| / |predicted|; NaN where the prediction is 0."""
        size = np.linalg.norm(self.predicted)
        away = np.linalg.norm(self.found - self.predicted)
        return float(away / size) if size > 0 else float("nan")
