"""Is this point a global optimum?  Certificates for unconstrained-features models.

W and H are never jointly convex, but with logits Z = H W' and mu = sqrt(lW lH)

    min f(W, H, b) = min_{Z, b} F(Z + 1b') + mu |D^(1/2) Z|_* + (lb/2) |b|^2,

D = diag(m), is convex if the loss is (and d >= rank Z), so a dual point bounds the
optimum from below.  At ANY (W, H, b), with Theta_i = -omega_i grad l_i(z_i) and
sigma = |D^(-1/2) Theta|_2, t Theta is dual feasible for t <= mu/sigma, and

    gap = f(W, H, b) - [D(t) - t^2 |Theta' 1|^2 / (2 lb)]  >=  f - min f.

(Fenchel-Rockafellar duality); D(t), the bound of each loss, is in `ncjax.ufm.fits`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from ncjax.ufm.hessian import hessian_product, least_curvature
from ncjax.ufm.model import Model, Params
from ncjax.ufm.newton import minimise
from ncjax.ufm.precision import double


class Bounds(NamedTuple):
    """The numbers that a point proves; all are scalars []."""

    objective: jax.Array  # f
    lower: jax.Array  # bound of min f from below; -inf where no bound is known, as
    # where the loss is not known to be convex
    gap: jax.Array  # f - lower
    sigma: jax.Array  # |D^(-1/2) Theta|_2; at most mu at a global optimum
    gradient_norm: jax.Array  # in the units of `Model.scales`
    identity_error: jax.Array  # |f + (lb/2) |b|^2 - D(1)|, 0 if critical
    balance_error: jax.Array  # |lW W'W - lH H'DH| relative, 0 if critical
    bias_residual: jax.Array  # |Theta' 1| where the bias is free, else 0
    convex: jax.Array  # whether the loss is known to be convex


class Certificate(NamedTuple):
    """The verdict on a point and what it rests on."""

    verdict: str
    bounds: Bounds
    curvature: float | None = None  # d'(Hessian)d of `direction`, if it was looked for
    direction: Params | None = None  # a direction along which the objective falls


@double
def certify(
    problem: Model,
    params: Params,
    *,
    tol: float = 1e-9,
    tol_gradient: float = 1e-8,
) -> Certificate:
    """Says what a point is, and proves it.

    Verdicts: `global optimum (gap 3e-12)`; `critical, saddle (curvature -0.013)`;
    `critical, no descent found (gap 0.47)`, which a model with d < rank Z* can have;
    `not critical`; `not certifiable: the loss is not known to be convex`, or another
    reason that applies.

    Args:
        problem: a model of any kind.
        params: any point of the problem.
        tol: largest duality gap of a global optimum.
        tol_gradient: largest gradient norm, in units of `Model.scales`, of a critical
            point.

    Raises:
        ValueError: for parameters that are not of this problem.

    Example:
        >>> from ncjax.ufm import Problem, certify, solve
        >>> problem = Problem.create(num_classes=4, lambda_w=1e-2, lambda_h=1e-2)
        >>> certify(problem, solve(problem, 0).params).verdict
        'global optimum (gap ...)'
    """
    problem.check(params)
    found = bounds(problem, params)
    if (reason := why_not(problem)) is not None:
        return Certificate(f"not certifiable: {reason}", found)
    if found.gap <= tol and found.bias_residual <= 0.01 * tol:
        verdict = f"global optimum (gap {max(float(found.gap), 0.0):.0e})"
        return Certificate(verdict, found)
    if not found.gradient_norm <= tol_gradient:
        return Certificate("not critical", found)
    direction = saddle_direction(problem, params)
    curvature = _curvature(problem, params, direction)
    if not curvature < 0:
        direction = least_curvature(problem, params, tol=1e-6).direction
        curvature = _curvature(problem, params, direction)
    if curvature < -1e-10:
        verdict = f"critical, saddle (curvature {curvature:.2g})"
        return Certificate(verdict, found, curvature, direction)
    verdict = f"critical, no descent found (gap {found.gap:.2g})"
    return Certificate(verdict, found, curvature)


def why_not(problem: Model) -> str | None:
    """Why no point of this problem can be certified; None if one can."""
    if problem.not_convex is None and not problem.fit.is_convex():
        return "the loss is not known to be convex"
    return problem.not_convex


def _curvature(problem, params, direction):
    """d'(Hessian)d of a direction d; infinite where there is no direction."""
    if direction is None:
        return float("inf")
    image = hessian_product(problem, params, direction)
    return float(sum(jax.tree.leaves(jax.tree.map(jnp.vdot, direction, image))))


@double
@jax.jit
def bounds(problem: Model, params: Params) -> Bounds:
    """The numbers of a certificate; works under `jax.vmap` over many points too.

    A free bias needs Theta' 1 = 0, so that the dual point is taken at the best bias for
    these W and H (Newton's method).  `bias_residual` is the norm of Theta' 1 that is
    left there; the bound can be wrong by that times the norm of the optimal bias.

    Args:
        problem: a model of any kind.
        params: any point of the problem.
    """
    objective, gradient = jax.value_and_grad(problem.objective)(params)
    scaled = jax.tree.map(jnp.multiply, gradient, problem.scales())
    norm = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(scaled)))
    logits = problem.logits(params)
    identity = problem.fit.dual(logits, problem.weights, jnp.ones(()), (0.0, 0.0))[1]

    best, residual = _best_bias(problem, params, logits)
    theta = _theta(problem, best)
    sigma, limit, cost = problem.dual_ball(theta)
    price = jnp.zeros(())
    if problem.lambda_b is not None:
        free = problem.lambda_b == 0
        square = jnp.sum(jnp.sum(theta, axis=0) ** 2)
        price = jnp.where(free, 0, square / jnp.where(free, 1, problem.lambda_b))
        identity -= problem.lambda_b / 2 * jnp.sum(params["b"] ** 2)
        residual = jnp.where(free, residual, 0)
    convex = problem.fit.is_convex()
    lower = problem.fit.dual(best, problem.weights, limit, (cost, price))[1]
    lower = jnp.where(convex, lower, -jnp.inf)  # duality needs a convex loss
    return Bounds(
        objective=objective,
        lower=lower,
        gap=objective - lower,
        sigma=sigma,
        gradient_norm=norm,
        identity_error=jnp.abs(objective - identity),
        balance_error=problem.balance_error(params),
        bias_residual=residual,
        convex=convex,
    )


def _theta(problem, logits):
    """Theta [n, K] = -omega_i grad l_i(z_i)."""
    return -jax.grad(lambda z: problem.weights @ problem.fit.losses(z))(logits)


def _best_bias(problem, params, logits):
    """Logits [n, K] at the best bias for W and H, and |sum_i Theta_i| there []."""
    if problem.lambda_b is None:
        return logits, jnp.zeros(())
    bare = logits - params["b"]

    def value(bias):
        fit = problem.weights @ problem.fit.losses(bare + bias)
        return fit + problem.lambda_b / 2 * jnp.sum(bias**2)

    bias = minimise(value, params["b"], 1e-15, 50).point
    best = bare + bias
    return best, jnp.linalg.norm(jnp.sum(_theta(problem, best), axis=0))


@double
def saddle_direction(problem: Model, params: Params) -> Params | None:
    """A direction d at a critical point, of curvature 2 (mu - sigma) < 0 along it.

    With a in the null space of W and H, and u, v the leading singular vectors of the
    negative gradient in Z:  dW = (lH/lW)^(1/4) u a',  dH = (lW/lH)^(1/4) D^(-1/2) v a'.

    Args:
        problem: the model.
        params: a critical point of it.

    Returns:
        The direction; None where W and H have no common null vector, where sigma <= mu,
        or for a model other than `Problem`.
    """
    if problem.strength is None:
        return None  # the formula is that of weight decay on one layer
    scales = problem.scales()
    stacked = jnp.concatenate([params[k] / scales[k] for k in ("W", "H")])
    _, values, rows = jnp.linalg.svd(stacked, full_matrices=True)
    if len(values) == len(rows) and values[-1] > 1e-6 * values[0] > 0:
        return None
    null = rows[-1]
    theta = _theta(problem, problem.logits(params))
    root = jnp.sqrt(problem.counts)
    u, s, vt = jnp.linalg.svd((theta / root[:, None]).T, full_matrices=False)
    if s[0] <= problem.strength:
        return None
    direction = {
        "W": scales["W"] * jnp.outer(u[:, 0], null),
        "H": scales["H"] * jnp.outer(vt[0], null),
    }
    if "b" in params:
        direction["b"] = jnp.zeros_like(params["b"])
    return direction
