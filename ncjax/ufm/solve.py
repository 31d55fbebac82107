"""Minimises an unconstrained-features model: Newton's method in a trust region.

Each step minimises the quadratic model in a ball by conjugate gradients (Steihaug),
which needs Hessian-vector products only, follows negative curvature out of saddles, and
converges quadratically: gradient norms of 1e-13 are usual, where a quasi-Newton method
is slow at 1e-7.  Variables are in units in which the penalties are equal
(`Problem.scales`).  All is one `lax.while_loop`, for `jit` and `vmap`.

References:
    Steihaug, The conjugate gradient method and trust regions in large scale
    optimization, SIAM J. Numer. Anal. 20, 1983.
    Conn, Gould & Toint, Trust-Region Methods, 2000 (17.4.2 on rounding).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ncjax.ufm.precision import double, to_double
from ncjax.ufm.problem import Params, Problem

_EPS = float(np.finfo(np.float64).eps)


class Solution(NamedTuple):
    """What `solve` found."""

    params: Params
    objective: jax.Array  # []
    gradient_norm: jax.Array  # [] in the units of `Problem.scales`
    iterations: jax.Array  # [] Newton steps, taken or refused
    converged: jax.Array  # [] gradient_norm <= tol


@double
def solve(
    problem: Problem,
    start: Any = 0,
    *,
    tol: float = 1e-12,
    max_steps: int = 500,
) -> Solution:
    """A critical point of the problem, from any start; in float64.

    With d >= K (or d >= rank of the optimum) and a convex loss every local minimum is
    global, so from a random start this is the global optimum; `certify` proves it.

    Args:
        problem: to solve.
        start: parameters, or the seed or key of random ones.
        tol: bound on the gradient norm, in the units of `Problem.scales`.
        max_steps: of Newton's method.

    Returns:
        A `Solution`.  Ends before `max_steps` too where rounding allows no progress.

    Raises:
        ValueError: for parameters that are not of this problem.
        TypeError: under a transformation that was started in float32.
    """
    return _solve(*_ready(problem, start), tol, max_steps)


@double
def solve_many(
    problems: Problem | Sequence[Problem],
    starts: Any,
    *,
    tol: float = 1e-12,
    max_steps: int = 500,
) -> Solution:
    """Many problems of one structure in one call, or one problem from many starts.

    Args:
        problems: B problems that differ in numbers only; or one, for all starts.
        starts: parameters with a leading axis B, keys [B], or the number B of random
            starts (with B problems, the seed that each starts from).
        tol: as for `solve`.
        max_steps: as for `solve`.

    Returns:
        A `Solution` with a leading axis B.

    Raises:
        ValueError: for problems that differ in more than numbers.
    """
    one = isinstance(problems, Problem)
    problem = problems if one else stack(problems)
    if isinstance(starts, int):
        key = jax.random.key(0 if one else starts)
        starts = jax.random.split(key, starts if one else len(problems))
    problem, starts = to_double((problem, starts))
    number = len(jax.tree.leaves(starts)[0])
    batch = _batch_size(problem, number)
    return _solve_many(problem, starts, tol, max_steps, one, batch)


def stack(problems: Sequence[Any]) -> Any:
    """Problems (or parameters) of one structure as one, with a leading axis [B].

    Raises:
        ValueError: where they differ in more than numbers.
    """
    structures = {jax.tree.structure(problem) for problem in problems}
    if len(structures) != 1:
        raise ValueError(
            f"The problems must differ in numbers only, got {len(structures)} "
            "structures (loss, K, d, tree and which options are given)."
        )
    return jax.tree.map(lambda *leaves: np.stack(leaves), *problems)


def _ready(problem: Problem, start: Any) -> tuple[Problem, Any]:
    """Float64 problem, and a key or checked float64 parameters."""
    if isinstance(start, int):
        start = jax.random.key(start)
    problem, start = to_double((problem, start))
    if not _is_key(start):
        problem.check(start)
    return problem, start


def _is_key(start: Any) -> bool:
    return isinstance(start, jax.Array) and jax.dtypes.issubdtype(
        start.dtype, jax.dtypes.prng_key
    )


def _solution(problem, start, tol, max_steps):
    params = problem.init(start) if _is_key(start) else start
    scales, unravel = ravel_pytree(problem.scales())
    point = ravel_pytree(params)[0] / scales
    found = minimise(
        lambda x: problem.objective(unravel(scales * x)), point, tol, max_steps
    )
    return Solution(
        params=unravel(scales * found.point),
        objective=found.value,
        gradient_norm=found.gradient_norm,
        iterations=found.iterations,
        converged=found.gradient_norm <= tol,
    )


_solve = jax.jit(_solution, static_argnums=3)


@functools.partial(jax.jit, static_argnums=(3, 4, 5))
def _solve_many(problem, starts, tol, max_steps, one, batch):
    def solution(pair):
        return _solution(problem if one else pair[0], pair[1], tol, max_steps)

    pairs = (None if one else problem, starts)
    return jax.lax.map(solution, pairs, batch_size=batch)


def _batch_size(problem: Problem, number: int) -> int | None:
    """Problems solved side by side: all on an accelerator.

    On a CPU batched products of small matrices are slower than one after the other
    (measured, 1,000 problems: K = 10 0.9 s alone, 0.55 s by 32, 1.3 s all together; K =
    30 5.6 s alone, 18 s by 16).
    """
    if jax.default_backend() != "cpu":
        return number
    return 32 if problem.num_classes * problem.feature_dim <= 256 else None


class Minimum(NamedTuple):
    """State and result of `minimise`."""

    point: jax.Array  # [p]
    value: jax.Array  # []
    gradient: jax.Array  # [p]
    gradient_norm: jax.Array  # []
    radius: jax.Array  # [] of the trust region
    iterations: jax.Array  # []
    stalled: jax.Array  # [] steps in a row that rounding made useless


def minimise(
    function: Callable, start: jax.Array, tol: Any, max_steps: int, inner: int = 500
) -> Minimum:
    """Local minimum of a smooth function of a vector [p]; see the module.

    Args:
        function: [p] -> [].
        start: [p], float64.
        tol: bound on the gradient norm.
        max_steps: of Newton's method.
        inner: most conjugate-gradient steps in each.
    """
    both = jax.value_and_grad(function)

    def unfinished(state: Minimum):
        return (
            (state.gradient_norm > tol)
            & (state.iterations < max_steps)
            & (state.stalled < 4)
            & jnp.isfinite(state.value)
        )

    def advance(state: Minimum):
        _, product = jax.linearize(jax.grad(function), state.point)
        size = state.gradient_norm
        enough = jnp.maximum(jnp.minimum(0.25, jnp.sqrt(size)) * size, 0.1 * tol)
        step, residual, edge = _steihaug(
            product, state.gradient, state.radius, enough, inner
        )
        # Model: g'p + p'Hp/2 with Hp = residual - g.
        predicted = -0.5 * step @ (state.gradient + residual)
        value, gradient = both(state.point + step)
        noise = 10 * _EPS * jnp.maximum(1, jnp.abs(state.value))
        ratio = (state.value - value + noise) / (predicted + noise)
        ratio = jnp.where(jnp.isfinite(value), ratio, -1)
        length, norm = jnp.linalg.norm(step), jnp.linalg.norm(gradient)
        radius = jnp.where(ratio < 0.25, 0.25 * length, state.radius)
        radius = jnp.where((ratio > 0.75) & edge, 2 * state.radius, radius)
        # Where the values cannot tell, the gradient must.
        blind = predicted <= noise
        taken = jnp.where(blind, norm < state.gradient_norm, ratio > 0.1)
        useless = blind & (norm > 0.5 * state.gradient_norm)

        def choose(new, old):
            return jnp.where(taken, new, old)

        return Minimum(
            choose(state.point + step, state.point),
            choose(value, state.value),
            choose(gradient, state.gradient),
            choose(norm, state.gradient_norm),
            radius,
            state.iterations + 1,
            jnp.where(useless, state.stalled + 1, 0),
        )

    value, gradient = both(start)
    zero = jnp.zeros((), jnp.int32)
    state = Minimum(
        start,
        value,
        gradient,
        jnp.linalg.norm(gradient),
        0.5 * (1 + jnp.linalg.norm(start)),
        zero,
        zero,
    )
    return jax.lax.while_loop(unfinished, advance, state)


class _Inner(NamedTuple):
    step: jax.Array
    residual: jax.Array
    direction: jax.Array
    square: jax.Array  # |residual|^2
    count: jax.Array
    edge: jax.Array  # whether the boundary was met


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
        flat = curvature <= 0
        alpha = s.square / jnp.where(flat, 1, curvature)
        far = jnp.sum((s.step + alpha * s.direction) ** 2) >= radius**2
        edge = flat | far
        # The root tau > 0 of |step + tau direction| = radius.
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
