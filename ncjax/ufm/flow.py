"""Gradient flow and gradient descent of unconstrained-features models, recorded.

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
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.precision import double, to_double
from ncjax.ufm.problem import Params, Problem, random_like
from ncjax.ufm.solve import stack
from ncjax.ufm.trajectory import (
    Trajectory,
    masses,
    met,
    record,
    record_many,
    trim,
    velocity,
)

# Explicit ones are fast; the implicit one is for stiff problems of few parameters.
SOLVERS: dict[str, Any] = {
    "tsit5": diffrax.Tsit5,
    "dopri8": diffrax.Dopri8,
    "kvaerno5": diffrax.Kvaerno5,
}


@double
def flow(problem: Problem, start: Any = 0, **options: Any) -> Trajectory:
    """Gradient flow from a start to t_max, or to a bound.

    Args:
        problem: any model; see `without_decay`.
        start: parameters, or the seed of a `small_start`.
        options: t_max: the last time, 1e4 by default.
            points: recorded: 0, and log-spaced times from 1e-2 to t_max; 61.
            times: increasing from 0 [T], in place of these.
            labels: classes of the rows of H [n], where these are samples.
            stop_gap: duality gap at which to stop.
            stop_gradient: gradient norm at which to stop.
            rtol, atol: tolerances of a step, which bound the gap that can be met; 1e-9
                and 1e-12.
            solver: of `SOLVERS`; tsit5.
            max_steps: 500,000.

    Raises:
        ValueError: for bad options or parameters.
        FloatingPointError: where max_steps do not reach the end.
    """
    given = _Options.create(problem, **options)
    problem, start = to_double((problem, _start(problem, start)))
    seen = given.reached(*_flow(problem, start, *given.run()))
    return trim(record(problem, given.labels, *seen))


@double
def flow_many(
    problems: Problem | Sequence[Problem], starts: Any, **options: Any
) -> Trajectory:
    """Many flows in one call; B problems that differ in numbers only, or one for all.

    On a CPU one after another: side by side all would wait for the slowest at every
    step, and batched products of small matrices are slow there.

    Args:
        problems: as for `solve_many`.
        starts: parameters with a leading axis B, or seeds [B].
        options: as for `flow`.

    Returns:
        A `Trajectory` with a leading axis B.
    """
    one = isinstance(problems, Problem)
    first = problems if one else problems[0]
    if not isinstance(starts, dict):
        starts = stack([small_start(first, int(seed)) for seed in starts])
    given = _Options.create(first, **options)
    together = jax.default_backend() != "cpu"
    shared, batch = to_double(
        (problems, (None, starts)) if one else (None, (stack(problems), starts))
    )
    seen = given.reached(*_flow_many(shared, batch, *given.run(), together))
    problem, axis = (shared, None) if one else (batch[0], 0)
    return record_many(problem, given.labels, *seen, axis=axis)


@double
def descend(
    problem: Problem,
    start: Any = 0,
    *,
    learning_rate: Any,
    momentum: Any = 0.0,
    **options: Any,
) -> Trajectory:
    """Gradient descent with heavy-ball momentum, recorded like a flow.

        v <- momentum v - learning_rate grad f / m,   x <- x + v

    Step k is recorded at time k learning_rate / (1 - momentum), to compare with flow.

    Args:
        problem: as for `flow`.
        start: as for `flow`.
        learning_rate: > 0.
        momentum: in [0, 1).
        options: t_max, points, times, labels, stop_gap, stop_gradient as for `flow`;
            bounds are looked at where the path is recorded.

    Raises:
        ValueError: for bad options or parameters.
        FloatingPointError: where descent diverges.
    """
    if not 0 < learning_rate < np.inf or not 0 <= momentum < 1:
        raise ValueError(
            "learning_rate must be > 0 and momentum in [0, 1), got "
            f"{learning_rate} and {momentum}."
        )
    given = _Options.create(problem, **options)
    speed = learning_rate / (1 - momentum)
    counts = np.unique(np.round(given.times / speed).astype(np.int64))
    problem, start = to_double((problem, _start(problem, start)))
    seen = _descend(problem, start, counts, learning_rate, momentum, given.stops)
    found = record(problem, given.labels, *seen)
    if not np.isfinite(found.objective[-1]):
        raise FloatingPointError(
            f"Descent diverged before t = {found.times[-1]:g}; learning_rate = "
            f"{learning_rate:g} is too large."
        )
    return trim(found)


@double
def small_start(problem: Problem, seed: int = 0, scale: float = 0.1) -> Params:
    """Normal parameters of standard deviation scale d^(-1/2) m^(-1/2); b = 0."""
    with np.errstate(divide="ignore", invalid="ignore"):  # without decay; shapes only
        ones = jax.tree.map(np.ones_like, problem.scales())
    units = jax.tree.map(lambda one, m: one / np.sqrt(m), ones, masses(problem))
    return random_like(jax.random.key(seed), units, scale * problem.feature_dim**-0.5)


def without_decay(problem: Problem) -> Problem:
    """The same loss with all decays 0: flow then grows for ever, like log t."""
    changed: dict[str, Any] = {"lambda_w": np.zeros(()), "lambda_h": np.zeros(())}
    if np.ndim(problem.lambda_w):
        changed["lambda_w"] = np.zeros(np.shape(problem.lambda_w))
    if problem.lambda_b is not None:
        changed["lambda_b"] = np.zeros(())
    return problem.replace(**changed)  # type: ignore[attr-defined]


class _Options(NamedTuple):
    times: np.ndarray
    labels: np.ndarray | None
    stops: tuple[float, float] | None  # gap and gradient norm
    tolerances: tuple[float, float]
    solver: str
    max_steps: int

    @classmethod
    def create(
        cls,
        problem: Problem,
        *,
        t_max: Any = 1e4,
        points: int = 61,
        times: Any = None,
        labels: Any = None,
        stop_gap: Any = None,
        stop_gradient: Any = None,
        rtol: Any = 1e-9,
        atol: Any = 1e-12,
        solver: str = "tsit5",
        max_steps: int = 500_000,
    ) -> _Options:
        if solver not in SOLVERS:
            raise ValueError(
                f"Unknown solver {solver!r}. Available: {', '.join(SOLVERS)}."
            )
        if times is None:
            if not 1e-2 < t_max < np.inf or points < 3:
                raise ValueError(
                    f"t_max must be finite and > 0.01, points at least 3, got {t_max} "
                    f"and {points}."
                )
            times = np.append(0, np.geomspace(1e-2, t_max, points - 1))
        times = np.asarray(times, np.float64)
        if (
            times.ndim != 1
            or len(times) < 2
            or times[0] != 0
            or any(np.diff(times) <= 0)
        ):
            raise ValueError(f"times must increase from 0, got {times}.")
        stops = None
        if stop_gap is not None or stop_gradient is not None:
            stops = (
                -1.0 if stop_gap is None else stop_gap,
                -1.0 if stop_gradient is None else stop_gradient,
            )
        if stop_gap is not None and problem.not_convex is not None:
            raise ValueError(f"There is no gap to stop at: {problem.not_convex}.")
        if labels is None and problem.num_rows == problem.num_classes:
            labels = np.arange(problem.num_classes)
        return cls(times, labels, stops, (rtol, atol), solver, max_steps)

    def run(self) -> tuple:
        """What `_flow` takes, after a problem and a start."""
        return self.times, self.stops, self.tolerances, self.solver, self.max_steps

    def reached(self, seen: tuple, done: Any) -> tuple:
        """What was seen, if the end was reached."""
        if not np.all(done):
            raise FloatingPointError(
                f"The flow did not reach t = {self.times[-1]:g} in {self.max_steps} "
                "steps: give a stopping bound, a looser rtol, or more max_steps."
            )
        return seen


def _start(problem: Problem, start: Any) -> Params:
    if isinstance(start, (int, np.integer)):
        return small_start(problem, int(start))
    with np.errstate(divide="ignore", invalid="ignore"):
        problem.check(start)
    return start


def _path(problem, start, times, stops, tolerances, solver, max_steps):
    ends = jnp.log1p(times)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(
            lambda s, x, args: jax.tree.map(
                lambda v: jnp.exp(s) * v, velocity(problem, x)
            )
        ),
        SOLVERS[solver](),
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


_flow = jax.jit(_path, static_argnums=(5, 6))


@functools.partial(jax.jit, static_argnums=(5, 6, 7))
def _flow_many(shared, batch, times, stops, tolerances, solver, max_steps, together):
    def single(pair):
        problem = shared if shared is not None else pair[0]
        return _path(problem, pair[1], times, stops, tolerances, solver, max_steps)

    return jax.vmap(single)(batch) if together else jax.lax.map(single, batch)


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
