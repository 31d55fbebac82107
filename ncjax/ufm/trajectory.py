"""What is recorded on the way of a flow or of descent, when, and where it stops."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.compiling import in_turn
from ncjax.ufm.certify import bounds, why_not
from ncjax.ufm.geometry import geometry
from ncjax.ufm.model import Model, Params, random_like
from ncjax.ufm.precision import double


class Trajectory(NamedTuple):
    """What was recorded on the way; a leading axis B if there are many."""

    times: jax.Array  # [T]; those after a stop repeat its time
    params: Params  # [T, ...] parameters at these times
    objective: jax.Array  # [T]
    gap: jax.Array  # [T] duality gap; NaN where the problem is not known to be convex
    gradient_norm: jax.Array  # [T] root of -df/dt under the flow
    drift: jax.Array  # [T] change of the conserved quantity, relative; NaN: none known
    singular_values: jax.Array  # [T, K] of the logits of the rows of H, without a bias
    nc1: jax.Array  # [T]
    nc2: jax.Array  # [T]
    nc3: jax.Array  # [T]
    steps: jax.Array  # [] steps of the solver, or of descent
    stopped: jax.Array  # [] whether a stopping bound was met


class Plan(NamedTuple):
    """When to record, which classes the rows have, and where to stop."""

    times: np.ndarray  # [T], increasing from 0
    labels: np.ndarray | None  # [n] class of each row of H; None: no NC metrics
    stops: tuple | None  # duality gap and gradient norm at which to stop


def plan(
    problem: Model,
    *,
    t_max: Any = 1e4,
    points: int = 61,
    times: Any = None,
    labels: Any = None,
    stop_gap: Any = None,
    stop_gradient: Any = None,
) -> Plan:
    """What `ncjax.ufm.flow` and `ncjax.ufm.descend` record, and where they stop.

    Args:
        problem: the model that moves.
        t_max: the last time.
        points: number of recorded times: 0, and log-spaced ones from 1e-2 to t_max.
        times: times to record, increasing from 0 [T], in place of these.
        labels: class of each row of H [n], where the rows are samples; by default row k
            is of class k, if n = K.
        stop_gap: duality gap at which to stop.
        stop_gradient: gradient norm at which to stop.

    Raises:
        ValueError: for times that do not increase from 0, or a gap to stop at where the
            model has none.
    """
    if times is None:
        if not 1e-2 < t_max < np.inf or points < 3:
            raise ValueError(
                f"t_max must be finite and > 0.01, points at least 3, got {t_max} "
                f"and {points}."
            )
        times = np.append(0, np.geomspace(1e-2, t_max, points - 1))
    times = np.asarray(times, np.float64)
    rising = times.ndim == 1 and len(times) > 1 and np.all(np.diff(times) > 0)
    if not rising or times[0] != 0:
        raise ValueError(f"times must increase from 0, got {times}.")
    if stop_gap is not None and (reason := why_not(problem)) is not None:
        raise ValueError(
            f"stop_gap = {stop_gap}, but there is no gap to stop at: {reason}. Give "
            "stop_gradient, or t_max alone."
        )
    if labels is None and problem.num_rows == problem.num_classes:
        labels = np.arange(problem.num_classes)
    stops = None
    if (stop_gap, stop_gradient) != (None, None):
        # No gap or norm is ever below -1: a bound that is not given does not stop.
        stops = tuple(-1.0 if x is None else x for x in (stop_gap, stop_gradient))
    return Plan(times, labels, stops)


@double
def small_start(problem: Model, seed: int = 0, scale: Any = 0.1) -> Params:
    """Normal parameters of standard deviation scale d^(-1/2) m^(-1/2); b = 0.

    Args:
        problem: the model whose parameters they are.
        seed: seed of the random numbers.
        scale: their size, in these units.
    """
    shapes, mass = problem.scales(), masses(problem)
    units = jax.tree.map(lambda x, m: np.ones_like(x) / np.sqrt(m), shapes, mass)
    return random_like(jax.random.key(seed), units, scale * problem.feature_dim**-0.5)


def checked_start(problem: Model, start: Any) -> Params:
    """The parameters to start from: as given and checked, or a `small_start`.

    Args:
        problem: the model whose parameters they are.
        start: parameters, or the seed of a `small_start`.

    Raises:
        ValueError: for parameters that are not of this problem.
    """
    if isinstance(start, (int, np.integer)):
        return small_start(problem, int(start))
    problem.check(start)
    return start


def masses(problem: Model) -> Params:
    """Mass of every parameter: m_i for the rows of H, 1 for all else."""
    ones = jax.tree.map(lambda x: np.ones((1,) * np.ndim(x)), problem.scales())
    return ones | {"H": problem.counts[:, None]}


def velocity(problem: Model, params: Params) -> Params:
    """Right-hand side of the flow: minus the gradient over the masses."""
    gradient = jax.grad(problem.objective)(params)
    return jax.tree.map(lambda g, m: -g / m, gradient, masses(problem))


def speed_of(problem: Model, params: Params) -> jax.Array:
    """Root of -df/dt []: the gradient norm in the metric of the masses."""
    gradient = jax.grad(problem.objective)(params)
    squares = jax.tree.map(lambda g, m: jnp.sum(g**2 / m), gradient, masses(problem))
    return jnp.sqrt(sum(jax.tree.leaves(squares)))


def gap_of(problem: Model, params: Params) -> jax.Array:
    """Duality gap []; NaN where the problem is not known to be convex."""
    if problem.not_convex is not None:
        return jnp.full((), jnp.nan)
    found = bounds(problem, params)
    return jnp.where(found.convex, found.gap, jnp.nan)


def met(problem: Model, params: Params, stops: Any) -> jax.Array:
    """Whether the gap or the gradient norm is down to its bound in `Plan.stops` []."""
    slow = speed_of(problem, params) <= stops[1]
    return slow | (gap_of(problem, params) <= stops[0])


@jax.jit
def record(problem, labels, times, path, steps, stopped) -> Trajectory:
    """The numbers of a `Trajectory` from its points [T, ...]."""

    def look(problem, labels, params):
        point = problem.point(params)
        values = jnp.linalg.svd(point["H"] @ point["W"].T, compute_uv=False)
        nc = [jnp.full((), jnp.nan)] * 3
        if labels is not None:
            shape = geometry(problem.class_point(params), labels)
            nc = [shape.nc1, shape.nc2, shape.nc3]
        numbers = (problem.objective(params), gap_of(problem, params))
        return *numbers, speed_of(problem, params), values, *nc

    objective, gap, speed, values, nc1, nc2, nc3 = jax.vmap(
        in_turn(look), (None, None, 0)
    )(problem, labels, path)
    drift = _drift(problem, times, path)
    return Trajectory(
        *(times, path, objective, gap, speed, drift, values, nc1, nc2, nc3),
        *(steps, stopped),
    )


def _drift(problem, times, path):
    """|W'W - H'DH - e^(-2 lW t) (the same at 0)| over |W|^2 + |H|_D^2 [T].

    The law is that of one layer with weight decay, and equal decays.
    """
    if problem.strength is None:
        return jnp.full(times.shape, jnp.nan)
    classifier = jnp.einsum("tki,tkj->tij", path["W"], path["W"])
    features = jnp.einsum("tni,n,tnj->tij", path["H"], problem.counts, path["H"])
    balance = classifier - features
    left = balance - jnp.exp(-2 * problem.lambda_w * times)[:, None, None] * balance[0]
    size = jnp.trace(classifier + features, axis1=1, axis2=2)
    drift = jnp.linalg.norm(left, axis=(1, 2)) / size
    return jnp.where(problem.lambda_w == problem.lambda_h, drift, jnp.nan)


def trim(found: Trajectory) -> Trajectory:
    """The trajectory without the rows that repeat the stop."""
    kept = int(np.argmax(found.times)) + 1
    return jax.tree.map(lambda x: x[:kept] if np.ndim(x) else x, found)
