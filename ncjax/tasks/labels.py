"""Labels of several tasks: a class of each task for each example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np

from ncjax.options import check_value


def check_sizes(sizes: Sequence[int]) -> None:
    """Raises `ValueError` unless there is a task, and each has at least two classes.

    Args:
        sizes: number of classes K_t of each task.
    """
    if not sizes or min(sizes) < 2:
        raise ValueError(
            f"The tasks have {tuple(sizes)} classes; at least one task is needed, and "
            "at least 2 classes of each."
        )


def check_labels(labels: np.ndarray, sizes: Sequence[int]) -> None:
    """Checks that labels are a class of each task.

    Args:
        labels: labels y [n, T].
        sizes: number of classes K_t of each task.

    Raises:
        TypeError: unless they are int32.
        ValueError: for another shape, or classes outside 0..K_t - 1.
    """
    check_sizes(sizes)
    if labels.dtype != np.int32:
        raise TypeError(
            f"labels are {labels.dtype}, must be int32 for the target 'tasks'; convert "
            "with `labels.astype(np.int32)`."
        )
    if labels.ndim != 2 or labels.shape[1] != len(sizes):
        raise ValueError(
            f"labels have shape {labels.shape}, must be [n, {len(sizes)}]: a class of "
            f"each of {len(sizes)} task(s) for every example."
        )
    wrong = (labels < 0) | (labels >= np.asarray(sizes))
    if wrong.any():
        row, task = np.argwhere(wrong)[0]
        raise ValueError(
            f"labels of task {task} lie in {labels[:, task].min()}.."
            f"{labels[:, task].max()}, must lie in 0..{sizes[task] - 1}; first wrong "
            f"in row {row}."
        )


def parts(sizes: Sequence[int]) -> list[slice]:
    """The places of each task among the S = sum_t K_t classes of all.

    Args:
        sizes: number of classes K_t of each task.
    """
    ends = list(accumulate(sizes, initial=0))
    return [slice(*pair) for pair in pairwise(ends)]


def task_weights(weights: Sequence[float], tasks: int) -> tuple[float, ...]:
    """The weight of each task in the loss.

    Args:
        weights: weights w_t, finite and more than 0; () for 1 each.
        tasks: number T of tasks.

    Raises:
        ValueError: for another number of weights, or one out of range.
    """
    if not weights:
        return (1.0,) * tasks
    if len(weights) != tasks:
        raise ValueError(
            f"task_weights has {len(weights)} weights for {tasks} tasks; give one for "
            "each, or () for 1 each."
        )
    for weight in weights:
        allowed = "finite and more than 0"
        check_value("task_weights", weight, lambda w: 0 < w < math.inf, allowed)
    return tuple(weights)
