"""What is seen on the way of a flow or of descent."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.certify import bounds
from ncjax.ufm.deep import Deep
from ncjax.ufm.geometry import geometry
from ncjax.ufm.problem import Params, Problem


class Trajectory(NamedTuple):
    """What was seen on the way; a leading axis B if there are many."""

    times: jax.Array  # [T]; those after a stop repeat it
    params: Params  # [T, ...]
    objective: jax.Array  # [T]
    gap: jax.Array  # [T] duality gap; NaN where the model is not convex
    gradient_norm: jax.Array  # [T] root of -df/dt under the flow
    drift: jax.Array  # [T] of the conserved quantity, relative; NaN where there is none
    singular_values: jax.Array  # [T, K] of the logits of the rows of H, without a bias
    nc1: jax.Array  # [T]
    nc2: jax.Array  # [T]
    nc3: jax.Array  # [T]
    steps: jax.Array  # [] of the solver, or of descent
    stopped: jax.Array  # [] whether a stopping bound was met


def masses(problem: Problem) -> Params:
    """m_i for the rows of H, 1 for all else."""
    with np.errstate(divide="ignore", invalid="ignore"):  # without decay; shapes only
        ones = jax.tree.map(lambda x: np.ones((1,) * np.ndim(x)), problem.scales())
    return ones | {"H": problem.counts[:, None]}


def velocity(problem: Problem, params: Params) -> Params:
    """Right-hand side of the flow."""
    gradient = jax.grad(problem.objective)(params)
    return jax.tree.map(lambda g, m: -g / m, gradient, masses(problem))


def speed_of(problem: Problem, params: Params) -> jax.Array:
    """Root of -df/dt."""
    gradient = jax.grad(problem.objective)(params)
    squares = jax.tree.map(lambda g, m: jnp.sum(g**2 / m), gradient, masses(problem))
    return jnp.sqrt(sum(jax.tree.leaves(squares)))


def gap_of(problem: Problem, params: Params) -> jax.Array:
    """Duality gap; NaN where the model is not convex."""
    if problem.not_convex is not None:
        return jnp.full((), jnp.nan)
    found = bounds(problem, params)
    return jnp.where(found.convex, found.gap, jnp.nan)


def met(problem: Problem, params: Params, stops: Any) -> jax.Array:
    """Whether the gap or the gradient norm is down to its bound."""
    slow = speed_of(problem, params) <= stops[1]
    return slow | (gap_of(problem, params) <= stops[0])


@jax.jit
def record(problem, labels, times, path, steps, stopped) -> Trajectory:
    """The numbers of a `Trajectory` from its points [T, ...]."""

    def look(params):
        point = _last_layer(problem, params)
        values = jnp.linalg.svd(point["H"] @ point["W"].T, compute_uv=False)
        nc = [jnp.full((), jnp.nan)] * 3
        if labels is not None:
            shape = geometry(point, labels)
            nc = [shape.nc1, shape.nc2, shape.nc3]
        numbers = (problem.objective(params), gap_of(problem, params))
        return *numbers, speed_of(problem, params), values, *nc

    objective, gap, speed, values, nc1, nc2, nc3 = jax.vmap(look)(path)
    drift = _drift(problem, times, path)
    return Trajectory(
        *(times, path, objective, gap, speed, drift, values, nc1, nc2, nc3),
        *(steps, stopped),
    )


@functools.partial(jax.jit, static_argnames="axis")
def record_many(problem, labels, times, path, steps, stopped, *, axis) -> Trajectory:
    """The same with a leading axis B; `axis` is that of the problem, or None."""
    axes = (axis, None, 0, 0, 0, 0)
    return jax.vmap(record, axes)(problem, labels, times, path, steps, stopped)


def _last_layer(problem: Problem, params: Params) -> Params:
    """Classifier and the features that it sees."""
    if isinstance(problem, Deep):
        return {"W": params["W"], "H": problem.last_features(params)}
    return problem.point(params)


def _drift(problem, times, path):
    """|W'W - H'DH - e^(-2 lW t) (the same at 0)| over |W|^2 + |H|_D^2."""
    if type(problem) is not Problem:
        return jnp.full(times.shape, jnp.nan)
    classifier = jnp.einsum("tki,tkj->tij", path["W"], path["W"])
    features = jnp.einsum("tni,n,tnj->tij", path["H"], problem.counts, path["H"])
    balance = classifier - features
    left = balance - jnp.exp(-2 * problem.lambda_w * times)[:, None, None] * balance[0]
    size = jnp.trace(classifier + features, axis1=1, axis2=2)
    drift = jnp.linalg.norm(left, axis=(1, 2)) / size
    return jnp.where(problem.lambda_w == problem.lambda_h, drift, jnp.nan)


def trim(found: Trajectory) -> Trajectory:
    """Without the rows that repeat the stop."""
    times = np.asarray(found.times)
    kept = int(np.argmax(times)) + 1
    return Trajectory(
        *jax.tree.map(lambda x: x[:kept], found[:-2]), found.steps, found.stopped
    )
