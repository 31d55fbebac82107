"""The unconstrained-features model of several tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ncjax.tasks.labels import task_weights as weights_of
from ncjax.ufm.fits import Entropic
from ncjax.ufm.model import number
from ncjax.ufm.problem import Problem


def tasks(
    counts: Any,
    *,
    lambda_w: Any,
    lambda_h: Any,
    lambda_b: Any = None,
    task_weights: Sequence[float] = (),
    feature_dim: int | None = None,
) -> Problem:
    """Cross-entropy of T tasks on the same features: task t has K_t classes.

        f = (1/N) sum_i sum_t w_t CE(W_t h_i + b_t, y_it) + (lW/2)|W|^2 + (lH/2)|H|^2

    There is one row of features for each combination of labels that occurs, in the
    order of `np.argwhere(counts)`: averaging the features of a combination raises no
    term.  The rows of W [S, d], S = sum_t K_t, are those of task 1, then of task 2, ...

    Args:
        counts: number of examples of each combination of labels [K_1, ..., K_T], at
            least 0; every class of every task must have some.
        lambda_w: lW > 0, weight decay of W with the convention (lW/2) |W|^2.
        lambda_h: lH > 0, weight decay of the features, with the same convention.
        lambda_b: lb >= 0, weight decay of the bias; 0 for a free bias, None for no
            bias.
        task_weights: weight w_t > 0 of each task in the loss; () for 1 each.
        feature_dim: width d of the features; by default S.  An optimum needs S - T at
            most.

    Raises:
        ValueError: for counts that are not such a table, a class without examples, or
            another number of weights than of tasks.

    Example:
        >>> import numpy as np
        >>> from ncjax import ufm
        >>> problem = ufm.tasks(np.ones((3, 2)), lambda_w=1e-2, lambda_h=1e-2)
        >>> problem.num_rows, problem.num_outputs
        (6, 5)
    """
    counts = check_counts(counts)
    sizes = counts.shape
    weights = np.asarray(weights_of(task_weights, len(sizes)))
    rows = np.argwhere(counts)
    hot = np.concatenate([np.eye(k)[rows[:, t]] for t, k in enumerate(sizes)], axis=1)
    numbers = np.arange(1, len(sizes) + 1)  # of each task; group 0 is everything
    task = np.repeat(numbers, sizes)
    one = np.ones(len(rows))
    fit = Entropic(
        targets=hot * weights[task - 1],
        factors=np.outer(np.append(0, weights), one),  # group 0 has no weight
        groups=np.concatenate(
            [0 * task[None], np.where(task == numbers[:, None], numbers[:, None], 0)]
        ),
        own=np.outer(np.append(0, numbers), one).astype(int),
        offset=0 * one,
        temperature=np.ones(()),
    )
    return Problem(
        fit=fit,
        counts=counts[counts > 0],
        lambda_w=number("lambda_w", lambda_w, positive=True),
        lambda_h=number("lambda_h", lambda_h, positive=True),
        lambda_b=None if lambda_b is None else number("lambda_b", lambda_b),
        num_classes=len(task),
        feature_dim=len(task) if feature_dim is None else feature_dim,
    )


def check_counts(counts: Any) -> np.ndarray:
    """The numbers of examples of the combinations of labels, in float64.

    Args:
        counts: number of examples of each combination of labels [K_1, ..., K_T].

    Raises:
        ValueError: unless they are finite and at least 0, every task has at least 2
            classes, and every class some examples.
    """
    counts = np.asarray(counts, np.float64)
    if counts.ndim < 1 or min(counts.shape) < 2:
        raise ValueError(
            f"counts have shape {counts.shape}; an axis for each task is needed, with "
            "an entry for each of its classes, at least 2."
        )
    if not np.all(np.isfinite(counts) & (counts >= 0)):
        raise ValueError("counts must be finite and at least 0.")
    for task in range(counts.ndim):
        others = tuple(axis for axis in range(counts.ndim) if axis != task)
        if (empty := np.flatnonzero(counts.sum(others) == 0)).size:
            raise ValueError(
                f"No combination has class {empty[0]} of task {task}. Leave the class "
                "out, or give it examples."
            )
    return counts
