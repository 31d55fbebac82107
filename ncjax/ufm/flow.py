"""Gradient flow of unconstrained-features models, recorded.

    dW/dt = -grad_W f,   m_i dh_i/dt = -grad_{h_i} f,   db/dt = -grad_b f

A row of H that stands for m_i samples has that mass: class means then move exactly as m
equal samples would.  Without decay W'W - H'DH is conserved, D = diag(m); with equal
decays lW = lH it shrinks like exp(-2 lW t); `Trajectory.drift` tells how well.

Flow is integrated in s = log(1 + t): late times, where all moves like log t, cost
little.  In s an explicit solver is fast even at t = 1e6; implicit ones pay for dense
Jacobians.  Models with ReLUs slide along kinks, where no flow with small steps gets
ahead: use `descend` for these.

References:
    Kidger, On Neural Differential Equations, 2021 (diffrax); Arora, Cohen & Hazan, On
    the Optimization of Deep Networks, ICML 2018 (the conserved quantity).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.model import Model
from ncjax.ufm.precision import double
from ncjax.ufm.solve import repeat, stack
from ncjax.ufm.trajectory import (
    Trajectory,
    checked_start,
    met,
    plan,
    record,
    small_start,
    trim,
    velocity,
)


@double
def flow(
    problem: Model,
    start: Any = 0,
    *,
    rtol: Any = 1e-9,
    atol: Any = 1e-12,
    max_steps: int = 500_000,
    **recording: Any,
) -> Trajectory:
    """Gradient flow from a start to a time, or to a bound.

    Args:
        problem: a model of any kind; see `Model.without_decay`.
        start: parameters, or the seed of a `small_start`.
        rtol: relative tolerance of a step; it bounds the gap that can be met.
        atol: absolute tolerance of a step.
        max_steps: largest number of steps of the solver.
        **recording: what to record and where to stop, the options of
            `ncjax.ufm.trajectory.plan`.

    Raises:
        ValueError: for bad options or parameters.
        FloatingPointError: where max_steps do not reach the end.
    """
    import diffrax  # noqa: F401  # here, when used, and not while a function is traced

    given = plan(problem, **recording)
    start = checked_start(problem, start)
    how = (given.times, given.stops, (rtol, atol), max_steps)
    seen, done = _flow(problem, start, *how)
    _check_end(done, given.times[-1], max_steps)
    return trim(record(problem, given.labels, *seen))


@double
def flow_many(
    problems: Model | Sequence[Model],
    starts: Any,
    *,
    rtol: Any = 1e-9,
    atol: Any = 1e-12,
    max_steps: int = 500_000,
    **recording: Any,
) -> Trajectory:
    """Many flows in one call; B problems that differ in numbers only, or one for all.

    On a CPU one after another: side by side all would wait for the slowest at every
    step, and batched products of small matrices are slow there.

    Args:
        problems: one model for all starts, or a list of B.
        starts: parameters with a leading axis B, or seeds [B].
        rtol: relative tolerance of a step; this and all that follow as for `flow`.
        atol: absolute tolerance of a step.
        max_steps: largest number of steps of the solver.
        **recording: what to record and where each flow stops.

    Returns:
        A `Trajectory` with a leading axis B.

    Raises:
        ValueError: as `flow`, or for problems that differ in more than numbers.
        FloatingPointError: where max_steps do not reach the end.
    """
    import diffrax  # noqa: F401  # here, when used, and not while a function is traced

    each = [problems] if isinstance(problems, Model) else problems
    plans = [plan(problem, **recording) for problem in each]
    first, given = each[0], plans[0]
    if not isinstance(starts, dict):
        starts = stack([small_start(first, int(seed)) for seed in starts])
    number = len(starts["H"])
    problem = (
        repeat(problems, number) if isinstance(problems, Model) else stack(problems)
    )
    how = (given.times, given.stops, (rtol, atol), max_steps)
    together = jax.default_backend() != "cpu"
    seen, done = _flow_many(problem, starts, *how, together)
    _check_end(done, given.times[-1], max_steps)
    return jax.vmap(record, (0, None, 0, 0, 0, 0))(problem, given.labels, *seen)


def _check_end(done: Any, last: Any, max_steps: int) -> None:
    if not np.all(done):
        raise FloatingPointError(
            f"The flow did not reach t = {last:g} in {max_steps} "
            "steps: give a stopping bound, a looser rtol, or more max_steps."
        )


def _path(problem, start, times, stops, tolerances, max_steps):
    import diffrax

    ends = jnp.log1p(times)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(
            lambda s, x, args: jax.tree.map(
                lambda v: jnp.exp(s) * v, velocity(problem, x)
            )
        ),
        diffrax.Tsit5(),
        ends[0],
        ends[-1],
        None,
        start,
        saveat=diffrax.SaveAt(
            subs=[diffrax.SubSaveAt(ts=ends), diffrax.SubSaveAt(t1=True)]
        ),
        stepsize_controller=diffrax.PIDController(*tolerances),
        event=None
        if stops is None
        else diffrax.Event(lambda t, y, args, **_: met(problem, y, stops)),
        max_steps=max_steps,
        throw=False,
    )
    # Times after a stop are not reached and come back as infinity: the stop fills them.
    reached = jnp.isfinite(solution.ts[0])
    seen = jnp.expm1(jnp.where(reached, solution.ts[0], solution.ts[1]))

    def fill(path, last):
        mask = reached.reshape((-1,) + (1,) * (path.ndim - 1))
        return jnp.where(mask, path, last)

    path = jax.tree.map(fill, *solution.ys)
    stopped = solution.result == diffrax.RESULTS.event_occurred
    steps = solution.stats["num_steps"]
    done = stopped | (solution.result == diffrax.RESULTS.successful)
    return (seen, path, steps, stopped), done


_flow = jax.jit(_path, static_argnums=5)


@functools.partial(jax.jit, static_argnums=(5, 6))
def _flow_many(problems, starts, times, stops, tolerances, steps, together):
    def single(pair):
        return _path(pair[0], pair[1], times, stops, tolerances, steps)

    batch = problems, starts
    return jax.vmap(single)(batch) if together else jax.lax.map(single, batch)
