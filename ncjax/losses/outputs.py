"""What the outputs of a network are to a loss, when not one logit for each class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """The last layer as a loss takes it.

    Attributes:
        size: M, how many outputs the network has; a tuple makes one head for each
            entry, with the features split between them (`ncjax.models.heads`).
        scores: outputs [n, M] -> [n, K]; the largest is the decision, and their softmax
            the probability of a class.
        readout: A [K, M] such that the rows of A W act as the classifier of the
            features; None is the identity.
        embedding: class vectors [K, M], when the outputs are themselves the features
            and the class vectors a fixed classifier.
    """

    size: int | tuple[int, ...]
    scores: Callable[[jax.Array], jax.Array]
    readout: np.ndarray | None = None
    embedding: np.ndarray | None = None


def class_logits(num_classes: int) -> Outputs:
    """One logit for each class."""
    return Outputs(num_classes, lambda outputs: outputs)
