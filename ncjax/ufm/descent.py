"""Gradient descent of unconstrained-features models, recorded like a flow."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.model import Model
from ncjax.ufm.precision import double
from ncjax.ufm.trajectory import (
    Trajectory,
    checked_start,
    met,
    plan,
    record,
    trim,
    velocity,
)


@double
def descend(
    problem: Model,
    start: Any = 0,
    *,
    learning_rate: Any,
    momentum: Any = 0.0,
    **recording: Any,
) -> Trajectory:
    """Gradient descent with heavy-ball momentum.

        v <- momentum v - learning_rate grad f / m,   x <- x + v

    Step k is recorded at time k learning_rate / (1 - momentum), to compare with flow.

    Args:
        problem: a model of any kind.
        start: parameters, or the seed of a `small_start`.
        learning_rate: the learning rate, more than 0.
        momentum: the momentum, in [0, 1).
        **recording: what to record and where to stop, the options of
            `ncjax.ufm.trajectory.plan`; bounds are looked at when a time is recorded.

    Raises:
        ValueError: for bad options or parameters.
        FloatingPointError: where descent diverges.
    """
    if not 0 < learning_rate < np.inf or not 0 <= momentum < 1:
        raise ValueError(
            "learning_rate must be > 0 and momentum in [0, 1), got "
            f"{learning_rate} and {momentum}."
        )
    given = plan(problem, **recording)
    speed = learning_rate / (1 - momentum)
    counts = np.unique(np.round(given.times / speed).astype(np.int64))
    start = checked_start(problem, start)
    seen = _descend(problem, start, counts, learning_rate, momentum, given.stops)
    found = record(problem, given.labels, *seen)
    if not np.isfinite(found.objective[-1]):
        raise FloatingPointError(
            f"Descent diverged before t = {found.times[-1]:g}; learning_rate = "
            f"{learning_rate:g} is too large."
        )
    return trim(found)


@jax.jit
def _descend(problem, start, counts, learning_rate, momentum, stops):
    def step(_, state):
        point, speed = state
        push = velocity(problem, point)
        speed = jax.tree.map(lambda v, p: momentum * v + learning_rate * p, speed, push)
        return jax.tree.map(jnp.add, point, speed), speed

    def stretch(carry, count):
        state, before, done = carry
        end = jnp.where(done, before, count)
        state = jax.lax.fori_loop(before, end, step, state)
        if stops is not None:
            done |= met(problem, state[0], stops)
        return (state, end, done), (state[0], end)

    state = (start, jax.tree.map(jnp.zeros_like, start))
    carry = state, jnp.zeros_like(counts[0]), jnp.zeros((), bool)
    (_, last, stopped), (path, seen) = jax.lax.scan(stretch, carry, counts)
    times = seen * learning_rate / (1 - momentum)
    return times, path, last, stopped
