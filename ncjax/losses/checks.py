"""What losses and fixed classifiers ask of their options and their tree."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.hierarchy import Hierarchy

# A numeric option: a number, or an array with one value, which JAX may trace.
Scalar = float | int | Float[Array, ""]


def check_floating(outputs: jax.Array) -> None:
    """Raises `TypeError` unless the outputs of a network are floating-point numbers.

    Integers, such as logits typed in by hand, would make a loss round its result.
    """
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise TypeError(
            f"Outputs must be floating-point numbers, got {outputs.dtype}. Convert "
            "them with .astype(jnp.float32)."
        )


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


def distance_rule(field: str, rule: str) -> Literal["height", "depth"]:
    """The rule by which the distance of two classes in a tree is measured.

    Args:
        field: name of the field in the configuration, for the message.
        rule: "height" or "depth", see `Hierarchy.distances`.

    Raises:
        ValueError: for another rule.
    """
    if rule == "height" or rule == "depth":
        return rule
    raise ValueError(f"Unknown {field} {rule!r}. Available: height, depth.")
