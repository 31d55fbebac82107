"""Critical points of unconstrained-features models, one or thousands at a time.

By `ncjax.ufm.newton`, in variables in which the penalties are equal
(`Model.scales`), always in float64.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ncjax.ufm.model import M, Model, Params
from ncjax.ufm.newton import adam, minimise
from ncjax.ufm.precision import double, is_key


class Solution(NamedTuple):
    """What `solve` found; `solve_many` adds a leading axis B to every array."""

    params: Params
    objective: jax.Array  # [] f at the parameters
    gradient_norm: jax.Array  # [] norm of its gradient, in the units of `Model.scales`
    iterations: jax.Array  # [] Newton steps, taken or refused
    converged: jax.Array  # [] whether gradient_norm <= tol


@double
def solve(
    problem: Model,
    start: Any = 0,
    *,
    tol: float = 1e-12,
    max_steps: int = 500,
) -> Solution:
    """A critical point of the problem, from any start; in float64.

    With d >= K (or d >= rank of the optimum) and a convex loss every local minimum is
    global, so from a random start this is the global optimum; `certify` proves it.

    A model with ReLUs can have its minima at kinks: it gets steps of Adam first, and
    need not converge to `tol`.  Compare the objectives of several starts.

    Args:
        problem: the model to solve, of any kind.
        start: parameters, or the seed or key of random ones.
        tol: bound on the gradient norm, in the units of `Model.scales`.
        max_steps: largest number of steps of Newton's method; it ends earlier where
            rounding allows no progress.

    Returns:
        A `Solution`.

    Raises:
        ValueError: for parameters that are not of this problem.
        TypeError: under a transformation that was started in float32.

    Example:
        >>> from ncjax.ufm import Problem, geometry, solve
        >>> problem = Problem.create(num_classes=4, lambda_w=1e-2, lambda_h=1e-2)
        >>> solution = solve(problem, 0)
        >>> round(float(geometry(solution.params).nc2), 6)  # a simplex
        0.0
    """
    if isinstance(start, int):
        start = jax.random.key(start)
    elif not is_key(start):
        problem.check(start)
    return _solve(problem, start, tol, max_steps)


@double
def solve_many(
    problems: Model | Sequence[Model],
    starts: Any = None,
    *,
    tol: float = 1e-12,
    max_steps: int = 500,
) -> Solution:
    """Many problems of one structure in one call, or one problem from many starts.

    Args:
        problems: B problems that differ in numbers only, in a list or as one by
            `stack`; or one problem, for all starts.
        starts: seeds [B] such as `range(20)`, keys [B], or parameters with a leading
            axis B.  By default the seeds 0..B-1 for B problems.
        tol: bound on the gradient norm, as for `solve`.
        max_steps: largest number of steps of Newton's method, as for `solve`.

    Returns:
        A `Solution` with a leading axis B.

    Raises:
        ValueError: for problems that differ in more than numbers, or another number of
            starts than of problems.
    """
    problem = problems if isinstance(problems, Model) else stack(problems)
    one = problem.counts.ndim == 1
    if starts is None:
        starts = range(1 if one else len(problem.counts))
    if not isinstance(starts, dict) and not is_key(starts):
        starts = jax.vmap(jax.random.key)(jnp.asarray(starts))
    number = len(jax.tree.leaves(starts)[0])
    if one:
        problem = repeat(problem, number)
    elif number != len(problem.counts):
        raise ValueError(
            f"{len(problem.counts)} problems need as many starts, got {number}."
        )
    return _solve_many(problem, starts, tol, max_steps, _batch_size(number))


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


def repeat(problem: M, number: int) -> M:
    """The same problem `number` times, as `stack` gives it."""
    return jax.tree.map(lambda x: jnp.broadcast_to(x, (number, *x.shape)), problem)


def _solution(problem, start, tol, max_steps):
    params = problem.init(start) if is_key(start) else start
    scales, unravel = ravel_pytree(problem.scales())
    point = ravel_pytree(params)[0] / scales

    def objective(x):
        return problem.objective(unravel(scales * x))

    if problem.descent_steps:
        point = adam(objective, point, problem.descent_steps)
    found = minimise(objective, point, tol, max_steps)
    return Solution(
        params=unravel(scales * found.point),
        objective=found.value,
        gradient_norm=found.gradient_norm,
        iterations=found.iterations,
        converged=found.gradient_norm <= tol,
    )


_solve = jax.jit(_solution, static_argnums=3)


@functools.partial(jax.jit, static_argnums=(3, 4))
def _solve_many(problems, starts, tol, max_steps, batch):
    def solution(pair):
        return _solution(pair[0], pair[1], tol, max_steps)

    return jax.lax.map(solution, (problems, starts), batch_size=batch)


def _batch_size(number: int) -> int | None:
    """Problems solved side by side: all on an accelerator, one by one on a CPU.

    There batched products of small matrices are slow (measured, 1,000 problems: K = 10
    0.9 s one by one, 1.3 s all together; K = 30 5.6 s one by one, 18 s by 16).
    """
    return None if jax.default_backend() == "cpu" else number
