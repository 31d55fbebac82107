"""What the outputs of a network are to a loss, when not one logit for each class."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol, runtime_checkable

import jax
import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Outputs:
    """The outputs of a linear last layer, as a loss takes them.

    Attributes:
        size: M, how many outputs the network has; a tuple makes one head for each
            entry, with the features split between them (`ncjax.classifiers.linear`).
        scores: outputs [n, M] -> scores [n, K]; the largest is the decision, and their
            softmax the probability of each class.
        readout: A [K, M] such that the rows of A W act as the classifier of the
            features, with W [M, d] the weights of the layer; None is the identity.
    """

    size: int | tuple[int, ...]
    scores: Callable[[jax.Array], jax.Array]
    readout: np.ndarray | None = None


@runtime_checkable
class FixedVectors(Protocol):
    """Class vectors that do not learn, as a loss with a keyword `vectors` gets them.

    Attributes:
        gram: inner products of the vectors, float64 [K, K].
    """

    @property
    def gram(self) -> np.ndarray: ...

    def apply(self, outputs: jax.Array) -> jax.Array:
        """Inner products of outputs [n, M] with all vectors [n, K]."""
        ...

    def dense(self) -> np.ndarray:
        """The vectors as rows, float64 [K, M]."""
        ...


def class_logits(num_classes: int) -> Outputs:
    """One logit for each class."""
    return Outputs(num_classes, lambda outputs: outputs)
