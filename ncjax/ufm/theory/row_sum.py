"""The row sum of the classifier, r = W'1 [d]: what weight decay alone does to it.

For any loss whose gradients of the logits sum to 0 over the classes (cross-entropy with
one-hot, smoothed or soft labels, HXE: all that are blind to a constant added to the
logits), the gradient G [K, d] of W has 1'G = 0 for every network and batch.  With
learning rates eta_t, decay lambda, of which the share s is decoupled, and momentum
beta, r then follows a linear recursion that knows nothing of the data:

    v <- beta v + (1 - s) lambda r,     r <- r - eta_t (v + s lambda r),     v = 0 first

(Nesterov's: beta v + (1 - s) lambda r in the place of the new v).  SAM takes such
gradients at other parameters.  Muon's step is a polynomial of odd degree in a matrix M
with 1'M = 0, and keeps that; with its decoupled decay (s = 1) r shrinks by exactly
prod(1 - eta_t lambda).  The sign of a gradient, and Adam's step, do not keep it.

References:
    Zhao, Cheng, Masarczyk & Lucchi, ICLR 2026, arXiv 2602.16642, which has the
    exponential rates and the limit of signed descent.  The exact recursion, the decay
    time and the statement on Muon were derived for this project.
"""

from __future__ import annotations

import numpy as np

from ncjax.ufm.theory.ranges import check_at_least, check_positive


def decay_time(
    rates: np.ndarray,
    weight_decay: float | np.ndarray,
    *,
    momentum: float | np.ndarray = 0.0,
    decoupled: float | np.ndarray = 0.0,
) -> np.ndarray:
    """Decay time x after each step [..., T+1]; the row sum is near exp(-x) of r_0.

    x = sum of lambda eta / (1 - beta) for coupled decay, sum of lambda eta for
    decoupled decay.  exp(-x) is the limit of many small steps; `row_sum_factors` is
    exact.

    Args:
        rates: learning rates eta_t [..., T].
        weight_decay: decay lambda, at least 0 [...].
        momentum: momentum beta, in [0, 1) [...].
        decoupled: share of the decay that is decoupled, in [0, 1] [...].

    Raises:
        ValueError: for a decay, momentum or share out of its range.
    """
    rates, *given = _checked(rates, weight_decay, momentum, decoupled)
    decay, beta, share = (x[..., None] for x in given)
    x = np.cumsum(rates * decay * ((1 - share) / (1 - beta) + share), axis=-1)
    return np.concatenate([np.zeros_like(x[..., :1]), x], axis=-1)


def row_sum_factors(
    rates: np.ndarray,
    weight_decay: float | np.ndarray,
    *,
    momentum: float | np.ndarray = 0.0,
    decoupled: float | np.ndarray = 0.0,
    nesterov: bool = False,
) -> np.ndarray:
    """The row sum after each step over the first one, r_t / r_0 [..., T+1].

    The recursion above in float64.  The factors may change their sign.

    Args:
        rates: learning rates eta_t [..., T].
        weight_decay: decay lambda, at least 0 [...].
        momentum: momentum beta, in [0, 1) [...].
        decoupled: share of the decay that is decoupled, in [0, 1] [...].
        nesterov: whether the velocity is Nesterov's.

    Raises:
        ValueError: for a decay, momentum or share out of its range.
    """
    rates, decay, beta, share = _checked(rates, weight_decay, momentum, decoupled)
    shape = np.broadcast_shapes(rates.shape[:-1], decay.shape, beta.shape, share.shape)
    out = np.ones((rates.shape[-1] + 1, *shape))
    factor, velocity = out[0], np.zeros(shape)
    coupled, direct = (1 - share) * decay, share * decay
    with np.errstate(over="ignore", invalid="ignore"):  # rates at which W diverges
        for t, rate in enumerate(np.moveaxis(rates, -1, 0), 1):
            velocity = beta * velocity + coupled * factor
            ahead = beta * velocity + coupled * factor if nesterov else velocity
            factor = factor - rate * (ahead + direct * factor)
            out[t] = factor
    return np.moveaxis(out, 0, -1)


def signed_row_sum(
    steps: int | np.ndarray,
    learning_rate: float,
    weight_decay: float,
    num_classes: int,
    start: float | np.ndarray = 0.0,
) -> float | np.ndarray:
    """Entries of r after t steps of signed descent with decoupled decay.

    With one-hot labels and a feature direction that belongs to one class k, its column
    of the gradient of cross-entropy is below 0 in row k and above 0 in the K - 1
    others, so r <- (1 - eta lambda) r - eta (K - 2) along it.

    Args:
        steps: number t of steps.
        learning_rate: learning rate eta > 0.
        weight_decay: decoupled decay lambda > 0.
        num_classes: number K of classes.
        start: entry at the start.

    Raises:
        ValueError: for K < 2, or a learning rate or decay that is not positive.
    """
    limit = -np.sqrt(signed_limit(num_classes, weight_decay) / num_classes)
    check_positive(learning_rate=learning_rate)
    left = (1 - learning_rate * weight_decay) ** np.asarray(steps)
    return limit + (start - limit) * left


def signed_limit(num_classes: int, weight_decay: float) -> float:
    """Limit K (K-2)^2 / lambda^2 of |W'1|^2 under the descent of `signed_row_sum`.

    There are K such directions, each with (K-2)^2 / lambda^2.  Theorem 3.3 of Zhao et
    al. says (K-2)^2 / lambda^2, which is right for (1/K)|W'1|^2.

    Args:
        num_classes: number K of classes.
        weight_decay: decoupled decay lambda > 0.

    Raises:
        ValueError: for K < 2, or a decay that is not positive.
    """
    check_at_least(2, num_classes=num_classes)
    check_positive(weight_decay=weight_decay)
    return num_classes * ((num_classes - 2) / weight_decay) ** 2


def _checked(
    rates: np.ndarray,
    weight_decay: float | np.ndarray,
    momentum: float | np.ndarray,
    decoupled: float | np.ndarray,
) -> list[np.ndarray]:
    """The arguments in float64, if they are in range."""
    arrays = [
        np.asarray(x, np.float64) for x in (rates, weight_decay, momentum, decoupled)
    ]
    _, decay, beta, share = arrays
    for name, value, fits, must_be in (
        ("weight_decay", decay, (decay >= 0) & np.isfinite(decay), "at least 0"),
        ("momentum", beta, (beta >= 0) & (beta < 1), "in [0, 1)"),
        ("decoupled", share, (share >= 0) & (share <= 1), "in [0, 1]"),
    ):
        if not np.all(fits):
            raise ValueError(f"{name} must be {must_be}, got {value}.")
    return arrays
