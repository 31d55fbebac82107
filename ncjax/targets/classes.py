"""The target "class": each example belongs to one of K classes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ncjax import collapse
from ncjax.moments import ClassMoments
from ncjax.targets.target import Target


def check(labels: np.ndarray, num_classes: int) -> None:
    """Checks that labels are class indices.

    Args:
        labels: labels of a split [n].
        num_classes: number of classes K.

    Raises:
        TypeError: if they are not int32.
        ValueError: if they are not one index for each example, or outside 0..K-1.
    """
    if labels.dtype != np.int32:
        raise TypeError(
            f"labels are {labels.dtype}, must be int32; "
            "convert with `labels.astype(np.int32)`."
        )
    if labels.ndim != 1:
        raise ValueError(f"labels have shape {labels.shape}, must be [n].")
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"labels lie in {labels.min()}..{labels.max()}, must lie in "
            f"0..{num_classes - 1} for {num_classes} class names."
        )


def absent(labels: np.ndarray, num_classes: int) -> list[int]:
    """The classes of which there is no example."""
    counts = np.bincount(labels, minlength=num_classes)
    return np.flatnonzero(counts == 0).tolist()


def error(scores: Float[Array, "n K"], labels: Int[Array, "n"]) -> Bool[Array, "n"]:
    """Whether the class of the largest score is not the label."""
    return scores.argmax(1) != labels


CLASSES = Target(
    check=check,
    absent=absent,
    error=error,
    moments=ClassMoments.empty,
    metrics=collapse.measure,
)
