"""Newton's method in a trust region, for smooth functions of a vector.

Each step minimises the quadratic model in a ball by conjugate gradients (Steihaug),
which needs Hessian-vector products only, follows negative curvature out of saddles, and
converges superlinearly: gradient norms of 1e-13 are usual, where a quasi-Newton method
is slow at 1e-7.  All is one `lax.while_loop`, for `jit` and `vmap`.

References:
    Steihaug, The conjugate gradient method and trust regions in large scale
    optimization, SIAM J. Numer. Anal. 20, 1983.
    Conn, Gould & Toint, Trust-Region Methods, 2000 (17.4.2 on rounding).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

_EPS = float(np.finfo(np.float64).eps)


class Minimum(NamedTuple):
    """State and result of `minimise`."""

    point: jax.Array  # [p] where the iteration stands
    value: jax.Array  # [] value of the function at the point, once done
    gradient_norm: jax.Array  # [] norm of the gradient at the point, once done
    before: jax.Array  # [p] the point before the last step
    value_before: jax.Array  # [] value of the function there
    blind: jax.Array  # [] whether values could not judge the last step
    radius: jax.Array  # [] radius of the trust region
    iterations: jax.Array  # [] steps taken or refused
    done: jax.Array  # [] whether the iteration has ended


def minimise(
    function: Callable, start: jax.Array, tol: Any, max_steps: int, inner: int = 500
) -> Minimum:
    """Local minimum of a smooth function of a vector [p]; see the module.

    Args:
        function: the function to minimise, [p] -> [].
        start: the first point [p], float64.
        tol: bound on the gradient norm.
        max_steps: largest number of steps of Newton's method.
        inner: largest number of conjugate-gradient steps in each of them.
    """
    infinite = jnp.asarray(jnp.inf)
    state = Minimum(
        point=start,
        value=infinite,
        gradient_norm=infinite,
        before=start,
        value_before=infinite,
        blind=jnp.zeros((), bool),
        radius=0.5 * (1 + jnp.linalg.norm(start)),
        iterations=jnp.zeros((), jnp.int32),
        done=jnp.zeros((), bool),
    )
    return jax.lax.while_loop(
        lambda state: ~state.done,
        lambda state: _advance(function, state, tol, max_steps, inner),
        state,
    )


def _advance(function, state: Minimum, tol, max_steps, inner) -> Minimum:
    """One step of Newton's method, taken or refused."""
    (value, gradient), tangent = jax.linearize(
        jax.value_and_grad(function), state.point
    )
    norm = jnp.linalg.norm(gradient)
    # The last step was so short that only the gradient could judge it, and it did
    # not shorten the gradient: rounding is all that is left.  The step is undone.
    worse = state.blind & ~(norm < state.gradient_norm)
    done = worse | (norm <= tol) | (state.iterations >= max_steps)
    done |= ~jnp.isfinite(value)

    # Solving the model to sqrt(|g|) |g| keeps superlinear convergence (Dembo,
    # Eisenstat & Steihaug, 1982) and wastes no steps far from the minimum.
    enough = jnp.maximum(jnp.minimum(0.25, jnp.sqrt(norm)) * norm, 0.1 * tol)
    step, residual, edge = _steihaug(
        lambda v: tangent(v)[1], gradient, state.radius, enough, inner
    )
    # Model: g'p + p'Hp/2 with Hp = residual - g.
    predicted = -0.5 * step @ (gradient + residual)
    # Both reductions plus the noise of the values: their ratio tends to 1 where
    # rounding hides the reduction, and good steps are not refused (Conn et al.).
    noise = 10 * _EPS * jnp.maximum(1, jnp.abs(value))
    trial = function(state.point + step)
    ratio = (value - trial + noise) / (predicted + noise)
    ratio = jnp.where(jnp.isfinite(trial), ratio, -1)
    blind = predicted <= noise
    taken = ~done & (blind | (ratio > 0.1))
    short = 0.25 * jnp.linalg.norm(step)
    radius = jnp.where(ratio < 0.25, short, state.radius)
    radius = jnp.where((ratio > 0.75) & edge, 2 * state.radius, radius)
    point = jnp.where(worse, state.before, state.point)
    return Minimum(
        point=jnp.where(taken, state.point + step, point),
        value=jnp.where(worse, state.value_before, value),
        gradient_norm=jnp.where(worse, state.gradient_norm, norm),
        before=state.point,
        value_before=value,
        blind=blind & taken,
        radius=radius,
        iterations=state.iterations + ~done,
        done=done,
    )


class _Inner(NamedTuple):
    """Where the conjugate gradients stand."""

    step: jax.Array  # [p]
    residual: jax.Array  # [p] gradient of the model at the step
    direction: jax.Array  # [p] the next direction
    square: jax.Array  # [] |residual|^2
    count: jax.Array  # [] directions used
    edge: jax.Array  # [] whether the boundary was met


def _steihaug(product, gradient, radius, enough, most):
    """Approximate minimiser of g'p + p'Hp/2 over |p| <= radius.

    Returns:
        p, the residual g + Hp, and whether |p| = radius.
    """

    def unfinished(s: _Inner):
        return ~s.edge & (s.square > enough**2) & (s.count < most)

    def advance(s: _Inner):
        image = product(s.direction)
        curvature = s.direction @ image
        # Where the model curves downwards it has no minimum along the direction: the
        # step goes to the boundary, which is how saddles are left.
        flat = curvature <= 0
        alpha = s.square / jnp.where(flat, 1, curvature)
        far = jnp.sum((s.step + alpha * s.direction) ** 2) >= radius**2
        edge = flat | far
        # The root tau > 0 of |step + tau direction| = radius, in the form without
        # cancellation.
        a, b = s.direction @ s.direction, s.step @ s.direction
        rest = jnp.maximum(radius**2 - s.step @ s.step, 0)
        tau = rest / (b + jnp.sqrt(b**2 + a * rest))
        alpha = jnp.where(edge, tau, alpha)
        residual = s.residual + alpha * image
        square = residual @ residual
        return _Inner(
            s.step + alpha * s.direction,
            residual,
            -residual + square / s.square * s.direction,
            square,
            s.count + 1,
            edge,
        )

    start = _Inner(
        jnp.zeros_like(gradient),
        gradient,
        -gradient,
        gradient @ gradient,
        jnp.zeros((), jnp.int32),
        jnp.zeros((), bool),
    )
    end = jax.lax.while_loop(unfinished, advance, start)
    return end.step, end.residual, end.edge


def adam(function: Callable, start: jax.Array, steps: int) -> jax.Array:
    """The point [p] after a number of steps of Adam, whose rate falls by a cosine.

    For models with kinks, where Newton's method stops short of a minimum.

    Args:
        function: the function to minimise, [p] -> [].
        start: the first point [p].
        steps: number of steps, more than 0.
    """
    import optax  # loaded when used: only deep models need it

    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))

    def step(state, _):
        point, memory = state
        gradient = jax.grad(function)(point)
        update, memory = optimizer.update(gradient, memory, point)
        return (optax.apply_updates(point, update), memory), None

    state = (start, optimizer.init(start))
    return jax.lax.scan(step, state, None, length=steps)[0][0]
