"""The convex problem behind a model, solved by itself: an independent check.

    min_{Z, b} F(Z + 1b') + mu |D^(1/2) Z|_* + (lb/2) |b|^2,   mu = sqrt(lW lH)

by accelerated proximal gradient steps with backtracking and restarts.  The prox of the
nuclear norm thresholds singular values, so that the rank is exact: no tolerance.

References:
    Beck & Teboulle, A fast iterative shrinkage-thresholding algorithm, SIAM J. Imaging
    Sci. 2, 2009; O'Donoghue & Candes, Adaptive restart for accelerated gradient
    schemes, Found. Comput. Math. 15, 2015.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.model import Model, Params
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Problem

_EPS = float(np.finfo(np.float64).eps)


class ConvexSolution(NamedTuple):
    """What `solve_convex` found."""

    logits: jax.Array  # Z [n, M], without the bias; M = K as a rule
    bias: jax.Array | None  # b [M]; None where the problem has no bias
    objective: jax.Array  # [] value of the convex problem
    rank: jax.Array  # [] rank of Z, exact
    iterations: jax.Array  # [] steps taken
    converged: jax.Array  # [] whether the last step is at most `tol` long


@double
def solve_convex(
    problem: Model, *, tol: float = 1e-11, max_steps: int = 50_000
) -> ConvexSolution:
    """The optimal logits of a problem with a convex loss.

    Args:
        problem: a model whose penalties amount to mu |D^(1/2) Z|_*: a `Problem`.
        tol: bound on the length of the last step, in units of D^(1/2) Z.
        max_steps: largest number of proximal gradient steps; about 10 / sqrt(c) are
            usual.

    Raises:
        ValueError: for another kind of model, or a loss not known to be convex.
    """
    if problem.strength is None:
        raise ValueError(
            f"Only `Problem` has this convex form, got {type(problem).__name__}."
        )
    if not problem.fit.is_convex():
        raise ValueError("The loss is not known to be convex; use `solve`.")
    return _solve(problem, tol, max_steps)


@double
def factorise(problem: Problem, logits: Any, bias: Any = None) -> Params:
    """Balanced W and H with H W' = Z, of the least penalty, mu |D^(1/2) Z|_*.

    With D^(1/2) Z = V S U':  W = (lH/lW)^(1/4) U S^(1/2),
    H = (lW/lH)^(1/4) D^(-1/2) V S^(1/2).

    Args:
        problem: the problem that Z belongs to.
        logits: Z [n, M], without the bias.
        bias: the bias b [M], used where the problem has one; None stands for 0.

    Returns:
        The parameters "W" [M, d], "H" [n, d], and "b" where there is a bias.

    Raises:
        ValueError: where the rank of Z is more than d.
    """
    root = jnp.sqrt(problem.counts)[:, None]
    left, values, right = jnp.linalg.svd(root * logits, full_matrices=False)
    width = problem.feature_dim
    rank = int(jnp.sum(values > 1e-9 * values[0]))
    if rank > width:
        raise ValueError(
            f"Logits of rank {rank} do not fit into feature_dim {width}; take at least "
            f"{rank}."
        )
    scales = problem.scales()
    pad = ((0, 0), (0, max(0, width - len(values))))
    half = jnp.sqrt(values)
    params = {
        "W": scales["W"] * jnp.pad(right.T * half, pad)[:, :width],
        "H": scales["H"] * jnp.pad(left * half, pad)[:, :width],
    }
    if problem.lambda_b is not None:
        params["b"] = jnp.zeros(problem.num_outputs) if bias is None else bias
    return params


class _State(NamedTuple):
    """Where the iteration stands; X = D^(1/2) Z, beta the bias in its units."""

    point: tuple  # (X, beta)
    ahead: tuple  # (X, beta) extrapolated by the momentum, where the gradient is taken
    momentum: jax.Array  # [] t of FISTA
    bound: jax.Array  # [] L, estimate of the curvature from above
    length: jax.Array  # [] length of the last step from `ahead`
    rank: jax.Array  # [] rank of X
    count: jax.Array  # [] steps taken


@jax.jit
def _solve(problem, tol, max_steps):
    root = jnp.sqrt(problem.counts)[:, None]
    # In X = D^(1/2) Z the nuclear norm has one weight for all rows, whatever their
    # sizes; b = beta / total gives the bias about the same curvature as X.
    total = jnp.sqrt(problem.counts.sum())
    strength = problem.strength
    biased = problem.lambda_b is not None

    def smooth(point):
        x, beta = point
        bias = beta / total
        value = problem.weights @ problem.fit.losses(x / root + bias)
        if biased:
            value += problem.lambda_b / 2 * jnp.sum(bias**2)
        return value

    def step(ahead, gradient, bound):
        x, rank = _prox(ahead[0] - gradient[0] / bound, strength / bound)
        beta = ahead[1] - gradient[1] / bound if biased else ahead[1]
        return (x, beta), rank

    shape = (len(root), problem.num_outputs)
    start = (jnp.zeros(shape), jnp.zeros(problem.num_outputs))
    state = _State(
        point=start,
        ahead=start,
        momentum=jnp.ones(()),
        bound=1 / problem.counts.sum(),
        length=jnp.asarray(jnp.inf),
        rank=jnp.zeros((), int),
        count=jnp.zeros((), jnp.int32),
    )
    state = jax.lax.while_loop(
        lambda s: (s.length > tol) & (s.count < max_steps),
        lambda s: _advance(smooth, step, s),
        state,
    )
    x, beta = state.point
    nuclear = jnp.sum(jnp.linalg.svd(x, compute_uv=False))
    return ConvexSolution(
        logits=x / root,
        bias=beta / total if biased else None,
        objective=smooth(state.point) + strength * nuclear,
        rank=state.rank,
        iterations=state.count,
        converged=state.length <= tol,
    )


def _prox(x, threshold):
    """argmin_Y |Y - X|^2/2 + threshold |Y|_*, and its exact rank: no tolerance."""
    left, values, right = jnp.linalg.svd(x, full_matrices=False)
    kept = jnp.maximum(values - threshold, 0)
    return (left * kept) @ right, jnp.sum(kept > 0)


def _advance(smooth, step, state: _State) -> _State:
    """One step of FISTA with backtracking and restarts."""
    value, gradient = jax.value_and_grad(smooth)(state.ahead)

    def too_far(trial):
        # L is too small where the loss lies above its quadratic model (Beck & Teboulle,
        # eq. 2.5).  Differences below rounding say nothing: they are forgiven.
        bound, (new, _), tries = trial
        move = jax.tree.map(jnp.subtract, new, state.ahead)
        model = value + _dot(gradient, move) + bound / 2 * _dot(move, move)
        noise = 10 * _EPS * jnp.maximum(1, jnp.abs(value))
        return (smooth(new) > model + noise) & (tries < 60)

    def closer(trial):
        bound = 2 * trial[0]
        return bound, step(state.ahead, gradient, bound), trial[2] + 1

    # L falls by 5 % a step, so that early, high curvature is forgotten: softmax
    # flattens as classes separate.  Short steps cannot tell curvature from rounding:
    # from there on L stays.
    bound = jnp.where(state.length > 1e-5, 0.95, 1.0) * state.bound
    trial = (bound, step(state.ahead, gradient, bound), jnp.zeros((), jnp.int32))
    bound, (new, rank), _ = jax.lax.while_loop(too_far, closer, trial)
    move = jax.tree.map(jnp.subtract, new, state.ahead)
    along = jax.tree.map(jnp.subtract, new, state.point)
    # Momentum that points uphill is dropped (O'Donoghue & Candes, gradient scheme):
    # this keeps the linear rate near the optimum without knowing its curvature.
    uphill = _dot(move, along) < 0
    momentum = jnp.where(uphill, 1.0, (1 + jnp.sqrt(1 + 4 * state.momentum**2)) / 2)
    factor = jnp.where(uphill, 0.0, (state.momentum - 1) / momentum)
    ahead = jax.tree.map(lambda a, b: a + factor * b, new, along)
    length = jnp.sqrt(_dot(move, move))
    return _State(new, ahead, momentum, bound, length, rank, state.count + 1)


def _dot(a, b):
    return sum(jnp.vdot(x, y) for x, y in zip(a, b, strict=True))
