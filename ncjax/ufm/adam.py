"""Adam, for models with kinks, where Newton's method stops short of a minimum."""

from __future__ import annotations

from collections.abc import Callable

import jax


def adam(
    function: Callable, start: jax.Array, steps: int, rate: float = 1e-2
) -> jax.Array:
    """The point [p] after a number of steps; the rate falls to 0 by a cosine.

    Args:
        function: the function to minimise, [p] -> [].
        start: the first point [p].
        steps: number of steps; 0 gives the start.
        rate: the first learning rate, in units of the variables.
    """
    import optax  # loaded when used: only deep models need it

    optimizer = optax.adam(optax.cosine_decay_schedule(rate, max(steps, 1)))

    def step(state, _):
        point, memory = state
        gradient = jax.grad(function)(point)
        update, memory = optimizer.update(gradient, memory, point)
        return (optax.apply_updates(point, update), memory), None

    state = (start, optimizer.init(start))
    return jax.lax.scan(step, state, None, length=steps)[0][0]
