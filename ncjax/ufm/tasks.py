"""The unconstrained-features model of several tasks, and the optimum of a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ncjax.tasks.labels import parts, task_weights as weights_of
from ncjax.ufm.fits import Entropic
from ncjax.ufm.match import C_RANGE, Optimum, OptimumPath, as_optimum, path_of
from ncjax.ufm.model import number
from ncjax.ufm.problem import Problem
from ncjax.ufm.proof import STARTS, Proof, solve_proven
from ncjax.ufm.solve import solve


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


def tasks_path(
    counts: Any,
    *,
    task_weights: Sequence[float] = (),
    c_range: tuple[float, float] = C_RANGE,
) -> OptimumPath:
    """Optima of several tasks for log-spaced c, with a free bias; see `match_loss`.

    Here c = sqrt(n lW lH), with n the mean number of examples of a combination of
    labels that occurs.  The Gram matrices of an optimum are those of the features of
    these combinations [P, P], and of the rows of W [S, S].

    Args:
        counts: number of examples of each combination of labels [K_1, ..., K_T]; only
            their ratios count.
        task_weights: weight w_t > 0 of each task in the loss; () for 1 each.
        c_range: least and greatest c.

    Raises:
        ValueError: for counts or weights out of range.
        OptimumError: (a ValueError) if every optimum in the range is trivial.
    """
    counts = check_counts(counts)
    counts = counts / counts[counts > 0].mean()

    def problem(c: float) -> Problem:
        given = {"lambda_w": c, "lambda_h": c, "lambda_b": 0.0}
        return tasks(counts, task_weights=task_weights, **given)

    def at(c: float) -> Optimum | None:
        return as_optimum(problem(c), solve(problem(c), 0, tol=1e-11), c)

    def proven(c: float, starts: int = STARTS) -> tuple[Optimum | None, Proof]:
        solution, proof = solve_proven(problem(c), starts)
        return as_optimum(problem(c), solution, c), proof

    return path_of(problem(c_range[0]).fit, at, proven, c_range)


def class_gram(gram: np.ndarray, counts: Any) -> np.ndarray:
    """Gram matrix [S, S] of the class means of all tasks, from that of combinations.

    Args:
        gram: inner products of the features of the combinations that occur [P, P], in
            the order of `np.argwhere(counts)`.
        counts: number of examples of each combination of labels [K_1, ..., K_T].
    """
    counts = check_counts(counts)
    labels, mass = np.argwhere(counts), counts[counts > 0]
    share = np.concatenate(
        [
            (labels[:, t] == np.arange(k)[:, None]) * mass
            for t, k in enumerate(counts.shape)
        ]
    )
    share = share / share.sum(1, keepdims=True)
    return share @ gram @ share.T


def task_cosines(gram: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Cosines [S, S] of class vectors minus their mean over the classes of a task.

    Args:
        gram: inner products of the class vectors of all tasks [S, S], of any scale.
        sizes: number of classes K_t of each task.

    Returns:
        The cosines; NaN where a vector is 0, as those of a task that has vanished.
    """
    centre = np.zeros_like(gram)
    for place, size in zip(parts(sizes), sizes, strict=True):
        centre[place, place] = np.eye(size) - 1 / size
    gram = centre @ gram @ centre
    root = np.sqrt(np.maximum(np.diag(gram), 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        return gram / root[:, None] / root


def cross_cosine(gram: np.ndarray, sizes: Sequence[int]) -> float:
    """Mean |cosine| between class vectors of different tasks; `nc/cross_task` of a run.

    Args:
        gram: inner products of the class vectors of all tasks [S, S], of any scale.
        sizes: number of classes K_t of each task, two tasks at least.
    """
    cosines, places = np.abs(task_cosines(gram, sizes)), parts(sizes)
    pairs = [(p, q) for i, p in enumerate(places) for q in places[i + 1 :]]
    return float(np.concatenate([cosines[p, q].ravel() for p, q in pairs]).mean())


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
