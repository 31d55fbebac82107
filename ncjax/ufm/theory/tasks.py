"""Several tasks on the same features: orthogonal frames, or tilted by correlation.

    f = (1/N) sum_i sum_t w_t CE(W_t h_i, y_it) + (lW/2)|W|^2 + (lH/2)|H|^2

over N samples; task t has K_t classes, W = (W_1, ..., W_T) [S, d], S = sum_t K_t, and a
bias would be 0 in both cases below.  The width d must be at least S - T.

Independent labels, all combinations equally frequent: each task has its own simplex, as
if it were alone, at a right angle to those of the others, and a feature is the sum of
one vector for each task.  A task has vanished if lW lH >= w_t^2 / (N K_t), and no
other task matters for that.  Authors who minimise the sum over samples, and penalties
without the 1/2, write lW lH >= N / (4 K).

Correlated labels of two tasks tilt the frames towards each other: singular vectors are
the sums and the differences of both tasks, and the sums have more to gain.

References:
    Neural collapse in multi-task learning, ICLR 2026, has the first case and a cosine
    for two binary tasks.  All formulas here were derived for this project, and checked
    by certified optima.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from ncjax.tasks.labels import check_sizes, parts, task_weights
from ncjax.ufm.theory.cross_entropy import cross_entropy_optimum
from ncjax.ufm.theory.ranges import check_at_least, check_positive, geometric_mean


@dataclasses.dataclass(frozen=True)
class TasksOptimum:
    """Global optimum of the UFM of several tasks.

    Attributes:
        objective: least value of f.
        classifier_gram: Gram matrix W W' [S, S] of the rows of all tasks.
        regime: what has not vanished, in words.
    """

    objective: float
    classifier_gram: np.ndarray
    regime: str


def independent_optimum(
    sizes: Sequence[int],
    num_samples: float,
    lambda_w: float,
    lambda_h: float,
    weights: Sequence[float] = (),
) -> TasksOptimum:
    """Optimum for independent labels, all combinations equally frequent.

    Task t is a UFM of its own, of K_t classes of N / K_t samples with the decays
    lW / w_t and lH / w_t: W_t W_t' is that of `cross_entropy_optimum`.

    Args:
        sizes: number of classes K_t of each task.
        num_samples: number N of samples.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
        weights: weight w_t > 0 of each task in the loss; () for 1 each.

    Raises:
        ValueError: for a task with fewer than two classes, or numbers out of range.
    """
    check_sizes(sizes)
    check_positive(num_samples=num_samples, lambda_w=lambda_w, lambda_h=lambda_h)
    every = task_weights(weights, len(sizes))
    gram, objective, gone = np.zeros((sum(sizes),) * 2), 0.0, []
    for task, (k, weight) in enumerate(zip(sizes, every, strict=True)):
        # n = N / K_t samples of decay lH count like one of n lH.
        decays = lambda_w / weight, lambda_h / weight * num_samples / k
        alone = cross_entropy_optimum(k, 1, *decays)
        place = parts(sizes)[task]
        gram[place, place] = alone.classifier_gram
        objective += weight * alone.objective
        gone += [] if alone.rank else [str(task)]
    kept = f"{len(sizes) - len(gone)} of {len(sizes)} tasks kept"
    regime = f"{kept}; task {', '.join(gone)} vanished" if gone else kept
    return TasksOptimum(objective, gram, regime)


@dataclasses.dataclass(frozen=True)
class PairOptimum(TasksOptimum):
    """Global optimum for two binary tasks with correlated labels.

    Attributes:
        cosine: cosine between the rows of W for class k of both tasks, each minus the
            mean over the classes of its task; NaN where all has vanished.
        mean_cosine: the same between the centred class means of the features.
    """

    cosine: float = math.nan
    mean_cosine: float = math.nan


def binary_pair_optimum(
    correlation: float,
    num_samples: float,
    lambda_w: float,
    lambda_h: float,
    weight: float = 1.0,
) -> PairOptimum:
    """Optimum for two binary tasks whose labels agree with probability (1 + rho) / 2.

    By symmetry the logit gaps of both tasks are (a, a) where the labels agree, (b, -b)
    where they do not, and up to signs, so that f falls apart into one scalar problem
    for the sum of both tasks (+) and one for their difference (-):

        q = sqrt(N lW lH / (2 (1 +- rho))) / w,  gap = log(1/q - 1) or 0 for q >= 1/2,
        s = sqrt(1 +- rho) gap,                  cosine = (s+ - s-) / (s+ + s-).

    The sum vanishes where lW lH >= w^2 (1 + rho) / (2 N), the difference, for rho > 0
    first, where lW lH >= w^2 (1 - rho) / (2 N): then both tasks have the same rows,
    and examples whose labels differ have no feature.

    Args:
        correlation: correlation rho of the labels, between -1 and 1; both classes of
            both tasks are equally frequent.
        num_samples: number N of samples.
        lambda_w: weight decay lW > 0 of W.
        lambda_h: weight decay lH > 0 of the features.
        weight: weight w > 0 of both tasks in the loss.

    Raises:
        ValueError: for numbers out of range.
    """
    check_positive(num_samples=num_samples, weight=weight)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)
    _check_correlation(correlation)
    strength = geometric_mean(lambda_w, lambda_h) / weight * math.sqrt(num_samples)
    shares, values, objective = (1 + correlation, 1 - correlation), [], 0.0
    for share in shares:
        q = min(strength / math.sqrt(2 * share), 0.5)
        gap = math.log1p(-q) - math.log(q)
        values.append(math.sqrt(share) * gap)
        objective += share * -math.log1p(-q) + strength * values[-1] / math.sqrt(2)
    root = math.sqrt(num_samples / 2)
    whole, half = np.array([[1.0, 1.0], [1.0, -1.0]]) / 2 @ np.array(values) * root
    simplex = np.array([[1.0, -1.0], [-1.0, 1.0]]) / 2
    gram = np.kron(np.array([[whole, half], [half, whole]]), simplex)
    kept = [name for name, x in zip(("sum", "difference"), values) if x > 0]
    return PairOptimum(
        objective=weight * objective,
        classifier_gram=math.sqrt(lambda_h / lambda_w) * gram,
        regime=f"kept of both tasks: {' and '.join(kept) or 'nothing'}",
        cosine=_cosine(values, (1.0, 1.0)),
        mean_cosine=_cosine(values, shares),
    )


def limit_cosine(correlation: float, *, of_means: bool = False) -> float:
    """Cosine between the frames of two tasks as the weight decay vanishes.

    Two tasks of K classes each; with the probability rho the label of the second is
    that of the first, else it is drawn by itself.  In the limit the logits are the
    centred one-hot labels, up to scale, so that W W' is the root of the labels'
    covariance and the Gram matrix of the class means its power 3/2: with p = 1/2, or
    3/2 for the class means,

        cosine = ((1 + rho)^p - (1 - rho)^p) / ((1 + rho)^p + (1 - rho)^p)

    between class k of both tasks, whatever K, and -1/(K - 1) times that between
    different classes.  The approach is slow, like 1/log of the decay: at finite decay
    the cosine of W is larger; see `binary_pair_optimum`.

    Args:
        correlation: correlation rho of the labels, in 0..1, or for K = 2 in -1..1.
        of_means: whether it is that of the centred class means, not of the rows of W.

    Raises:
        ValueError: for a correlation out of range.
    """
    _check_correlation(correlation)
    power = 1.5 if of_means else 0.5
    return _cosine([(1 + correlation) ** power, (1 - correlation) ** power], (1.0, 1.0))


def paired_counts(
    num_classes: int, correlation: float, num_samples: float = 1.0
) -> np.ndarray:
    """Numbers of samples of two tasks with correlated labels [K, K], their sum N.

    With the probability rho both labels are the same class, drawn uniformly; else each
    is drawn uniformly by itself.

    Args:
        num_classes: number K of classes of each task.
        correlation: correlation rho, in 0..1.
        num_samples: number N of samples.

    Raises:
        ValueError: for numbers out of range.
    """
    check_at_least(2, num_classes=num_classes)
    check_positive(num_samples=num_samples)
    if not 0 <= correlation <= 1:
        raise ValueError(f"correlation must be in 0..1, got {correlation}.")
    apart = (1 - correlation) / num_classes**2
    same = correlation / num_classes * np.eye(num_classes)
    return num_samples * (apart + same)


def _check_correlation(correlation: float) -> None:
    if not -1 < correlation < 1:
        raise ValueError(f"correlation must be between -1 and 1, got {correlation}.")


def _cosine(values: Sequence[float], shares: Sequence[float]) -> float:
    """(x - y) / (x + y) of the two products; NaN where both are 0."""
    x, y = (value * share for value, share in zip(values, shares, strict=True))
    return (x - y) / (x + y) if x + y > 0 else math.nan
