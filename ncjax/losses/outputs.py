"""What losses take: outputs, class vectors and options, and what they ask of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.hierarchy import Hierarchy
from ncjax.options import check_value, is_traced

# A numeric option: a number, or an array with one value, which JAX may trace.
Scalar = float | int | Float[Array, ""]


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
        least_width: the least number d of features that these outputs make sense of.
        ordered: whether they are a latent number and thresholds, as the classifier
            `ordinal` has them, and not outputs of a linear layer.
    """

    size: int | tuple[int, ...]
    scores: Callable[[jax.Array], jax.Array]
    readout: np.ndarray | None = None
    least_width: int = 1
    ordered: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class FixedVectors:
    """Class vectors that do not learn, as a loss with a keyword `vectors` gets them.

    Attributes:
        rows: the vectors, float64 [K, M].
        gram: inner products of the vectors, float64 [K, K].
        apply: outputs [n, M] -> their inner products with all vectors [n, K].
        turn: where the outputs are features of any width d: d -> orthonormal basis
            [d, M], in which `rows` are coordinates of the vectors; else None.
    """

    rows: np.ndarray
    gram: np.ndarray
    apply: Callable[[jax.Array], jax.Array]
    turn: Callable[[int], np.ndarray] | None = None

    def at(self, width: int) -> np.ndarray:
        """The vectors, for outputs [n, d] of a width d: float64 [K, d]."""
        return self.rows if self.turn is None else self.rows @ self.turn(width).T


def check_floating(outputs: jax.Array) -> None:
    """Raises `TypeError` unless the outputs of a network are floating-point numbers.

    Integers, such as logits typed in by hand, would make a loss round its result.
    """
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise TypeError(
            f"Outputs must be floating-point numbers, got {outputs.dtype}. Convert "
            "them with .astype(jnp.float32)."
        )


def check_vectors(outputs: jax.Array, labels: jax.Array) -> None:
    """Raises `ValueError` unless labels [n, t] are vectors like the outputs."""
    if outputs.shape != labels.shape:
        raise ValueError(
            f"The outputs have shape {outputs.shape} and the labels {labels.shape}; "
            "each example needs as many outputs as its label has coordinates."
        )


def tempered(logits: jax.Array, temperature: Scalar) -> jax.Array:
    """The logits divided by a temperature, for a softmax.

    Args:
        logits: z, of any shape.
        temperature: T, positive and finite; 1 changes nothing.

    Returns:
        z / T, of the same shape.

    Raises:
        ValueError: for a temperature out of range.
    """
    name, must_be = "loss.temperature", "positive and finite"
    check_value(name, temperature, lambda t: 0 < t < math.inf, must_be)
    if not is_traced(temperature) and float(temperature) == 1:
        return logits
    return logits / temperature


def check_tree(hierarchy: Hierarchy, num_classes: int, whose: str) -> None:
    """Raises `ValueError` unless the tree has as many classes as something else.

    Args:
        hierarchy: the class tree.
        num_classes: number of classes of the other thing.
        whose: the name of the other thing, for the message.
    """
    if num_classes != hierarchy.num_classes:
        raise ValueError(
            f"The tree has {hierarchy.num_classes} classes, {whose} {num_classes}."
        )
