"""Inputs of the models, checked; each error says what was got and what is allowed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ncjax.ufm.tables import make_fit


def class_means(
    loss: str | Callable,
    num_classes: int | None = None,
    feature_dim: int | None = None,
    sizes: Any = 1,
    **options: Any,
) -> dict[str, Any]:
    """The fields of `Model` in the class-mean form, checked: fit, counts, K and d.

    The arguments are those of `Problem.create`.

    Raises:
        ValueError: for a value out of range, or numbers of classes that differ.
    """
    sizes = number("sizes", sizes, positive=True)
    num_classes = _num_classes(num_classes, sizes, options.get("hierarchy"))
    feature_dim = num_classes if feature_dim is None else feature_dim
    if feature_dim < 1:
        raise ValueError(f"feature_dim must be at least 1, got {feature_dim}.")
    return {
        "fit": make_fit(loss, num_classes, options),
        "counts": sizes * np.ones(num_classes),
        "num_classes": num_classes,
        "feature_dim": feature_dim,
    }


def number(name: str, value: Any, *, positive: bool = False) -> Any:
    """The value as a float64 array, finite and at least 0; traced values pass.

    Args:
        name: name of the value, for errors.
        value: one number, or an array.
        positive: whether 0 is refused too.

    Raises:
        ValueError: for a value out of range.
        TypeError: for a traced value that is not float64.
    """
    if isinstance(value, jax.core.Tracer):
        if value.dtype != np.float64:
            raise TypeError(
                f"{name} is traced as {value.dtype}; these models need float64. Trace "
                "inside `with jax.enable_x64(True):`, with float64 inputs."
            )
        return value
    value = np.asarray(value, np.float64)
    inside = value > 0 if positive else value >= 0
    if not np.all(inside & np.isfinite(value)):
        bound = "more than 0" if positive else "at least 0"
        raise ValueError(f"{name} must be finite and {bound}, got {value}.")
    return value


def _num_classes(given: int | None, sizes: Any, tree: Any) -> int:
    """K, from all inputs that know it: `num_classes`, `sizes` [K] and the tree."""
    if sizes.ndim > 1:
        raise ValueError(f"sizes must be a number or [K], got shape {sizes.shape}.")
    claims = {
        "num_classes": given,
        "sizes": sizes.shape[0] if sizes.ndim else None,
        "the hierarchy": tree.num_classes if tree is not None else None,
    }
    claims = {name: value for name, value in claims.items() if value is not None}
    if not claims:
        raise ValueError("How many classes? Give num_classes, sizes [K] or hierarchy.")
    if len(set(claims.values())) > 1:
        said = ", ".join(f"{name}: {value}" for name, value in claims.items())
        raise ValueError(f"The numbers of classes differ ({said}). Make them agree.")
    num_classes = next(iter(claims.values()))
    if num_classes < 2:
        raise ValueError(f"At least 2 classes are needed, got {num_classes}.")
    return num_classes
