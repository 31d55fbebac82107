"""Adam, for models with kinks, where Newton's method stops short of a minimum."""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax


def descend(
    function: Callable, start: jax.Array, steps: int, rate: float = 1e-2
) -> jax.Array:
    """Point [p] after so many steps, the rate falling to 0 by a cosine.

    Args:
        function: [p] -> [].
        start: [p].
        steps: how many; 0 gives the start.
        rate: the first learning rate, in units of the variables.
    """
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, max(steps, 1)))

    def step(state, _):
        point, memory = state
        gradient = jax.grad(function)(point)
        update, memory = optimizer.update(gradient, memory, point)
        return (optax.apply_updates(point, update), memory), None

    state = (start, optimizer.init(start))
    return jax.lax.scan(step, state, None, length=steps)[0][0]
