"""One-vs-rest distance, the margin that takes the place of NC2 for many classes.

Beyond K = d + 1 no simplex exists.  Unit features and unit classifiers with least
cross-entropy then tend to the directions with the greatest
rho = min_k dist(u_k, conv{u_j, j != k}).  Each distance is a quadratic program over the
weights of a convex combination.  It is solved here by accelerated projected gradients,
for a block of classes at once, until lower bounds prove that no class can be nearer to
the others than the nearest class found.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.codes.known import known_code, known_margin
from ncjax.collapse.means import Present, Rows, Scalar, select_rows
from ncjax.collapse.registry import COLLAPSE, crowded, of_both
from ncjax.collapse.tiles import norm, safe_divide
from ncjax.moments import dot

# Weights of at most this many pairs of classes are held at a time.
_PAIRS = 2**22
# Up to so many classes it is computed without being asked for, in seconds.
_UNASKED = 1000
# Gradient steps between two computations of the bounds.
_STEPS = 8


class Margin(NamedTuple):
    """rho lies between `bound` and `distance`, up to rounding."""

    distance: jax.Array  # [] from u_k to a point of the others' hull, least over k
    bound: jax.Array  # [] no class is nearer to the hull of the others


def one_vs_rest(
    rows: Rows,
    present: Present = None,
    *,
    tolerance: float = 1e-6,
    max_steps: int = 4000,
) -> Margin:
    """Least distance of a direction to the convex hull of the others, certified.

    rho = min_k dist(u_k, conv{u_j, j != k}), u_k = m_k/|m_k|.  For the point x nearest
    to u_k and h = (u_k - x)/|u_k - x|, the distance is |u_k - x| = min_j (u_k - u_j).h;
    at any other x of the hull the first is too large, and for any other unit h the
    second too small.  rho is K/(K-1) at a simplex ETF, the greatest there is, and 1 at
    a cross-polytope (K = 2d).

    Args:
        rows: moments (their centred class means) or [K, d].
        present: [K], the classes that count.
        tolerance: stops once `distance` - `bound` is at most this, or what rounding
            allows where rho is small.
        max_steps: gradient steps for a block of classes, after which it stops anyway;
            `distance` - `bound` says how far from the optimum that can be.

    Returns:
        `distance`, which has a gradient, and `bound`; both NaN with fewer than two
        classes present.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024 (their GNC2).  Restarts: O'Donoghue & Candes, Adaptive Restart for
        Accelerated Gradient Schemes, 2015.
    """
    units, present = select_rows(rows, present, row_normalise=True)
    # Distances do not see a common shift, but the condition of the problem does.
    points = jax.lax.stop_gradient(units)
    points, _ = select_rows(points, present, center=True, scaled=False)
    number = len(points)
    size = min(number, max(1, _PAIRS // number))
    blocks = -(-number // size)
    small = points if number < points.shape[1] else points.T
    smoothness = jnp.linalg.eigvalsh(dot(small, small.T))[-1]

    def visit(best, index):
        distance, bound, _, _ = best
        found = _block(points, present, index, smoothness, distance, tolerance, steps)
        nearer = found[0] < distance
        kept = [jnp.where(nearer, a, b) for a, b in zip(found, best, strict=True)]
        return (kept[0], jnp.minimum(bound, found[1]), *kept[2:]), None

    steps = -(-max_steps // _STEPS)
    far = jnp.asarray(jnp.inf, points.dtype)
    start = far, far, jnp.int32(0), jnp.zeros(number, points.dtype)
    # The last block is filled up with the last class.
    index = jnp.minimum(jnp.arange(blocks * size, dtype=jnp.int32), number - 1)
    index = index.reshape(blocks, size)
    (_, bound, nearest, weights), _ = jax.lax.scan(visit, start, index)
    # By the envelope theorem the gradient is the one at fixed weights.
    distance = norm(units[nearest] - dot(weights, units))
    defined = jnp.sum(present) > 1
    return Margin(
        jnp.where(defined, distance, jnp.nan),
        jnp.where(defined, jnp.minimum(bound, distance), jnp.nan),
    )


def certified_margin(rows: Rows, present: Present = None) -> Scalar:
    """`one_vs_rest` as one number; NaN where its bounds differ by more than 1e-4."""
    distance, bound = one_vs_rest(rows, present)
    return jnp.where(distance - bound <= 1e-4, distance, jnp.nan)


def _block(points, present, index, smoothness, best, tolerance, steps):
    """Least distance of the classes `index` [m] from the hull of the others.

    Distances above `best`, that of the blocks before, need not be exact.  Gives a lower
    bound too, the nearest class, and the others' weights [K] at its nearest point.
    """
    number, eps = len(points), jnp.finfo(points.dtype).eps
    own, counts = points[index], present[index]
    others = present[None] & (jnp.arange(number)[None] != index[:, None])  # [m, K]

    def step(_, state):
        weights, ahead, speed = state
        slope = dot(dot(ahead, points) - own, points.T)
        new = simplex_projection(ahead - safe_divide(slope, smoothness), others)
        # Where momentum points uphill, it starts anew.
        uphill = jnp.sum((ahead - new) * (new - weights), axis=1) > 0
        next_speed = (1 + jnp.sqrt(1 + 4 * speed**2)) / 2
        momentum = jnp.where(uphill, 0, (speed - 1) / next_speed)
        next_speed = jnp.where(uphill, 1, next_speed)
        return new, new + momentum[:, None] * (new - weights), next_speed

    def bounds(weights):
        gap = own - dot(weights, points)
        distance = norm(gap, axis=1)
        along = dot(gap, points.T)
        rest = jnp.max(jnp.where(others, along, -jnp.inf), axis=1)
        mine = jnp.take_along_axis(along, index[:, None], axis=1)[:, 0]
        lower = jnp.maximum(safe_divide(mine - rest, distance), 0)
        return jnp.where(counts, distance, jnp.inf), jnp.where(counts, lower, jnp.inf)

    def unproven(carry):
        round_, _, distance, lower = carry
        nearest = jnp.minimum(best, jnp.min(distance))
        # Rounding turns the direction of a short gap, and so lowers the bound.
        rounding = jnp.minimum(4 * eps / nearest, 1e-3 * nearest)
        slack = jnp.maximum(rounding, tolerance)
        return (round_ < steps) & (jnp.min(lower) < nearest - slack)

    def improve(carry):
        round_, state, _, lower = carry
        state = jax.lax.fori_loop(0, _STEPS, step, state)
        distance, new = bounds(state[0])
        return round_ + 1, state, distance, jnp.maximum(lower, new)

    # The middle of the others: at a simplex this is the solution.
    start = safe_divide(others.astype(points.dtype), jnp.sum(others, 1)[:, None])
    state = start, start, jnp.ones(len(index), points.dtype)
    carry = jnp.int32(0), state, *bounds(start)
    _, state, distance, lower = jax.lax.while_loop(unproven, improve, carry)
    row = jnp.argmin(distance)
    return distance[row], jnp.min(lower), index[row], state[0][row]


def simplex_projection(
    values: Float[Array, "m K"], allowed: Bool[Array, "m K"]
) -> Float[Array, "m K"]:
    """Nearest point of the probability simplex on the allowed entries, row by row.

    It is max(v - t, 0) with the threshold t for which the sum is 1.  t is found without
    sorting: entries below the last t are left out of the next, until none drops out.

    Args:
        values: v [m, K].
        allowed: the entries that may be positive [m, K].

    References:
        Michelot, A Finite Algorithm for Finding the Projection of a Point onto the
        Canonical Simplex of R^n, 1986.
    """

    def threshold(active):
        total = jnp.sum(jnp.where(active, values, 0), axis=1)
        return safe_divide(total - 1, jnp.sum(active, axis=1).astype(values.dtype))

    def shrink(carry):
        active, _ = carry
        kept = active & (values > threshold(active)[:, None])
        return kept, jnp.any(kept != active)

    active, _ = jax.lax.while_loop(lambda c: c[1], shrink, (allowed, jnp.bool_(True)))
    return jnp.where(allowed, jnp.maximum(values - threshold(active)[:, None], 0), 0)


def _greatest(num_classes: int, feature_dim: int) -> float | None:
    """The greatest one-vs-rest distance that is known, or None where none is listed."""
    if num_classes < 2 or (feature_dim == 1 and num_classes > 2):
        return None
    listed = known_code(num_classes, feature_dim) is not None
    return known_margin(num_classes, feature_dim) if listed else None


_MEANS, _ROWS = of_both(
    "one_vs_rest",
    "one-vs-rest distance",
    "least distance of one of the centred class means to the others' hull",
    lambda x: certified_margin(*x.means),
    lambda x: certified_margin(*x.rows),
    limit=_greatest,
    unasked=lambda k, d: crowded(k, d) and k <= _UNASKED,
    smaller_is_better=False,
)
METRICS = (
    _MEANS,
    dataclasses.replace(
        _ROWS,
        title="GNC2",
        headline=True,
        part=COLLAPSE,
        compared=("nc",),
        curve="linear",
        panel="GNC2  one-vs-rest distance of W",
    ),
)
