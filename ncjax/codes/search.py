"""Good codes from random starts, many at once on the device.

The largest value v_c of `ncjax.codes.polish` is smoothed to log(sum exp(beta v))/beta,
which is descended while beta grows by equal factors, with steps that shrink as 1/beta.
From a small beta codes of many vectors come out best, but small ones end where the
energy of a soft force is least, not the largest cosine: each start has a beta of its
own, to begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.compiling import quick_jit

_SOFT, _HARD, _LAST = 3.0, 100.0, 1e3  # the betas of the first step, and the last one
_ENTRIES = 2**24  # of v that are held at a time
_MOST = 16  # starts at once: progress is then seen


class Found(NamedTuple):
    """Where some of the starts ended."""

    points: np.ndarray  # [n, R, d] unit vectors: w, and h below them for the margin
    values: np.ndarray  # [n] largest v_c of each


def search(
    num_classes: int,
    feature_dim: int,
    margin: bool,
    starts: int,
    steps: int,
    seed: int,
) -> Iterator[Found]:
    """Descends from random starts; gives them back some at a time.

    Args:
        num_classes: number K of classes.
        feature_dim: dimension d.
        margin: whether v is h_k.w_j - h_k.w_k, of w and h, or the cosine of w.
        starts: number of random starts.
        steps: number of steps of each.
        seed: seed of the random starts; start i is the same whatever their number.
    """
    shape = (num_classes * (2 if margin else 1), feature_dim)
    size = min(starts, max(1, min(_MOST, _ENTRIES // num_classes**2)))
    key = jax.random.key(seed)
    for first in range(0, starts, size):
        places = np.minimum(first + np.arange(size), starts - 1)
        points, values = _descend(key, jnp.asarray(places), shape, margin, steps)
        kept = min(size, starts - first)
        yield Found(np.asarray(points)[:kept], np.asarray(values)[:kept])


@partial(quick_jit, level=1, static_argnums=(2, 3, 4))
def _descend(key, places, shape, margin, steps):
    """The starts `places` [n]: points [n, R, d] and values [n]."""
    return jax.vmap(lambda i: _one(key, i, shape, margin, steps))(places)


def _one(key, place, shape, margin, steps):
    key = jax.random.fold_in(key, place)
    begin, points = jax.random.split(key)
    low, high = jnp.log(_SOFT), jnp.log(_HARD)
    soft = jnp.exp(jax.random.uniform(begin, minval=low, maxval=high))
    points = _unit(jax.random.normal(points, shape))

    def step(carry, time):
        points, mean, square = carry
        beta = soft * (_LAST / soft) ** (time / steps)
        slope = jax.grad(lambda x: _smooth(x, beta, margin))(points)
        # Adam, with one length of step for all coordinates of a point: turning the
        # code turns the step.
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * jnp.sum(slope**2, axis=1)
        mend = (1 - 0.9 ** (time + 1)) / jnp.sqrt(1 - 0.99 ** (time + 1))
        length = 1 / (beta * mend * (jnp.sqrt(square) + 1e-12))
        return (_unit(points - length[:, None] * mean), mean, square), None

    carry = points, jnp.zeros(shape), jnp.zeros(shape[0])
    (points, _, _), _ = jax.lax.scan(step, carry, jnp.arange(steps))
    return points, jnp.max(_values(points, margin))


def _unit(points):
    return points / jnp.linalg.norm(points, axis=1, keepdims=True)


def _values(points, margin):
    """V [K, K]; -inf on the diagonal, which is no pair."""
    highest = jax.lax.Precision.HIGHEST
    if margin:
        vectors, directions = jnp.split(points, 2)
        values = jnp.matmul(directions, vectors.T, precision=highest)
        values = values - jnp.diagonal(values)[:, None]
    else:
        values = jnp.matmul(points, points.T, precision=highest)
    return jnp.where(jnp.eye(len(values), dtype=bool), -jnp.inf, values)


def _smooth(points, beta, margin):
    return jax.nn.logsumexp(beta * _values(_unit(points), margin)) / beta
