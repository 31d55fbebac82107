"""Class labels as arrays: integers of any type, in 0..K-1.

An index of eight bits overflows where it is compared with or multiplied by K, and JAX
takes an index of -1 for the last row and one of K for row K-1.  What takes labels asks
`class_indices` for them first.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.options import is_traced


def class_indices(
    labels: Any, num_classes: int, *, weights: Any = None, name: str = "labels"
) -> jax.Array:
    """Labels [n] that can be compared, multiplied and used as indices.

    Outside `jit`, where labels are known, they must be in 0..K-1.  Inside they cannot
    be looked at; what becomes of others there is for the caller to say.

    Args:
        labels: classes [n], integers of any width, or booleans.
        num_classes: number of classes K.
        weights: weights of the rows [n], or None; a row of weight 0 may have any label.
        name: what messages call the labels.

    Returns:
        The labels, with at least 32 bits.

    Raises:
        TypeError: for labels that are no integers.
        ValueError: for labels that are not [n], or known to lie outside 0..K-1.
    """
    labels = labels if hasattr(labels, "dtype") else np.asarray(labels)
    if labels.dtype != bool and not jnp.issubdtype(labels.dtype, jnp.integer):
        raise TypeError(
            f"{name} are {labels.dtype}; integers 0..{num_classes - 1} are needed. "
            "Convert them with .astype(np.int32)."
        )
    if labels.ndim != 1:
        raise ValueError(
            f"{name} have shape {tuple(labels.shape)}; [n] is needed, one class for "
            "each row."
        )
    if is_traced(labels):
        return widened(labels)
    known = np.asarray(labels)
    if weights is not None and not is_traced(weights):
        known = np.where(np.asarray(weights) != 0, known, 0)
    if fault := out_of_range(known, num_classes, name):
        raise ValueError(fault)
    return jnp.asarray(labels if labels.dtype == np.int32 else known.astype(np.int32))


def widened(labels: Any) -> jax.Array:
    """Labels with at least 32 bits, in which K and K^2 do not overflow."""
    return labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels


def out_of_range(
    labels: np.ndarray, num_classes: int | None, name: str = "labels", start: int = 0
) -> str | None:
    """What is wrong with labels outside 0..K-1, and how to mend it; None if none is.

    Args:
        labels: labels [n], whole numbers of any type.
        num_classes: K, or None if it is not known yet.
        name: what the message calls the labels.
        start: row of the first label in the whole set.
    """
    most = 2**31 if num_classes is None else num_classes
    wrong = np.flatnonzero((labels < 0) | (labels >= most))
    if not wrong.size:
        return None
    hint = "Leave out the rows that have no class."
    if labels.min() == 1 and labels.max() == num_classes:
        hint = "They run from 1 to K: subtract 1."
    allowed = "K-1" if num_classes is None else num_classes - 1
    return (
        f"{name} are out of range in {wrong.size:,} rows: row {start + wrong[0]:,} has "
        f"{labels[wrong[0]]:.0f}, and 0..{allowed} are allowed. {hint}"
    )


def undefined_outside(labels: jax.Array, num_classes: int) -> jax.Array | float:
    """What makes a value for each label NaN where the label is not in 0..K-1.

    Args:
        labels: what `class_indices` returned [n].
        num_classes: number of classes K.

    Returns:
        0 or, inside `jit`, where labels could not be checked, 0 and NaN [n]; to be
        added to the values.
    """
    if not is_traced(labels):
        return 0.0
    return jnp.where((labels >= 0) & (labels < num_classes), 0.0, jnp.nan)
