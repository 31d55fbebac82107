"""Sums over all pairs of classes tile by tile, and quotients that are safe at 0.

With K = 100,000 classes a K x K matrix of float32 is 40 GB.  Everything here that is
a sum over pairs goes through `fold_pairs`, which holds one tile of it at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.moments import dot
from ncjax.units import inverse_unit, unit_near

# Rows of a tile: 2048 x 2048 float32 are 16 MiB, and up to 2048 classes are one tile.
BLOCK = 2048
# Up to this many numbers, distances are taken of differences, which is exact for
# near rows; beyond it, of inner products.
DIFFERENCES = 2**24

Blocks = tuple[jax.Array, ...]


def safe_sqrt(x: jax.Array) -> jax.Array:
    """Square root with gradient 0, not infinity, at 0; 0 of negative numbers."""
    # NaN goes through, so that "undefined" is not reported as 0.
    return jnp.where(x <= 0, 0, jnp.sqrt(jnp.where(x <= 0, 1, x)))


def safe_divide(a: jax.Array, b: jax.Array) -> jax.Array:
    """Quotient a / b, and 0 where b is 0."""
    return jnp.where(b == 0, 0, a / jnp.where(b == 0, 1, b))


def ratio(a: jax.Array, b: jax.Array) -> jax.Array:
    """Quotient a / b, and NaN where b is 0: what is undefined is no number."""
    return jnp.where(b == 0, jnp.nan, safe_divide(a, b))


def in_range(rows: jax.Array) -> jax.Array:
    """Rows divided by a power of 2 near their largest entry, so that squares exist."""
    return rows * inverse_unit(unit_near(jnp.max(jnp.abs(rows))))


def norm(x: jax.Array, axis: int | None = None) -> jax.Array:
    """Euclidean (Frobenius) norm, with gradient 0 at 0."""
    return safe_sqrt(jnp.sum(x * x, axis=axis))


def square_distances(a: jax.Array, b: jax.Array) -> jax.Array:
    """|a_i - b_j|^2 [m, n], at least 0.

    Of differences while m n d <= 2^24; else |a|^2 + |b|^2 - 2 a.b, whose absolute error
    is a few eps (|a|^2 + |b|^2), and which is 0 where it is no more: center the rows
    first.
    """
    if a.shape[0] * b.shape[0] * a.shape[1] <= DIFFERENCES:
        return jnp.sum((a[:, None] - b[None]) ** 2, axis=-1)
    squares = jnp.sum(a * a, axis=1)[:, None] + jnp.sum(b * b, axis=1)[None]
    distances = squares - 2 * dot(a, b.T)
    return jnp.where(distances <= 4 * jnp.finfo(a.dtype).eps * squares, 0, distances)


def sum_pairs(
    function: Callable,
    present: jax.Array,
    left: Blocks,
    right: Blocks | None = None,
    *,
    diagonal: bool = False,
):
    """Sum of function(left_i, right_j) over ordered pairs of present classes.

    Args:
        function: takes a tuple of blocks [m, ...] of `left`, one of blocks [n, ...] of
            `right` and two booleans [m, n], `same` (i = j) and `mask` (the pair
            counts); gives [m, n] or a pytree of such.  Where a pair does not count its
            value is dropped, but must be finite for gradients to be.
        present: [K] boolean, the classes that count.
        left: arrays [K, ...].
        right: arrays [K, ...]; None means `left`, and that the function is symmetric,
            so that half of the tiles are enough.
        diagonal: whether pairs i = j count.

    Returns:
        The sum, or the pytree of sums.
    """

    def tile(left, right, same, mask, weight):
        # Row sums first: two short sums round less than one long one.
        def total(value):
            rows = jnp.sum(jnp.where(mask, value, 0), axis=1)
            return jnp.asarray(weight, value.dtype) * jnp.sum(rows)

        return jax.tree.map(total, function(left, right, same, mask))

    def add(a, b):
        return jax.tree.map(jnp.add, a, b)

    return fold_pairs(tile, add, 0.0, present, left, right, diagonal=diagonal)


def mean_pairs(function: Callable, present: jax.Array, left: Blocks):
    """Mean of function(left_i, left_j) over pairs i != j of present classes.

    For the arguments see `sum_pairs`; the function is symmetric.  NaN without a pair.
    """
    number = jnp.sum(present).astype(left[0].dtype)
    pairs = number * (number - 1)
    total = sum_pairs(function, present, left)
    return jax.tree.map(lambda x: x / jnp.where(pairs > 0, pairs, jnp.nan), total)


def pair_mask(present: jax.Array) -> jax.Array:
    """True for each ordered pair of different classes that are present [K, K]."""
    return present[:, None] & present[None] & ~jnp.eye(len(present), dtype=bool)


def log_sum_exp_pairs(
    function: Callable, present: jax.Array, left: Blocks
) -> jax.Array:
    """Log of the sum of exp(function) over ordered pairs i != j of present classes.

    For the arguments see `sum_pairs`.
    """

    def tile(left, right, same, mask, weight):
        values = function(left, right, same, mask)
        values = values + jnp.log(jnp.asarray(weight, values.dtype))
        return jax.nn.logsumexp(values, where=mask)

    return fold_pairs(tile, jnp.logaddexp, -jnp.inf, present, left, None)


def fold_pairs(
    tile: Callable,
    combine: Callable,
    zero: float,
    present: jax.Array,
    left: Blocks,
    right: Blocks | None,
    *,
    diagonal: bool = False,
):
    """Combines a function of each tile of pairs, one tile at a time.

    Args:
        tile: takes blocks of `left` and of `right`, the booleans [m, n] `same` (i = j)
            and `mask` (the pair counts), and how often the tile counts, 1 or 2.
        combine: takes two results and gives one; associative.
        zero: the neutral element of `combine`.
        present: [K] boolean, the classes that count.
        left: arrays [K, ...].
        right: arrays [K, ...]; None means `left`, see `sum_pairs`.
        diagonal: whether pairs i = j count.
    """
    number, symmetric = present.shape[0], right is None
    right = left if right is None else right
    index = jnp.arange(number)

    def visit(here, there, weight):
        (left, i, seen_i), (right, j, seen_j) = here, there
        same = i[:, None] == j[None]
        mask = seen_i[:, None] & seen_j[None]
        mask = mask if diagonal else mask & ~same
        return tile(left, right, same, mask, weight)

    here, there = (left, index, present), (right, index, present)
    if number <= BLOCK:
        return visit(here, there, 1)

    tiles = -(-number // BLOCK)
    if symmetric:
        rows, columns = np.triu_indices(tiles)
        weights = np.where(rows == columns, 1, 2)
    else:
        rows, columns = (x.ravel() for x in np.indices((tiles, tiles)))
        weights = np.ones_like(rows)

    def split(x):
        padded = jnp.pad(x, [(0, tiles * BLOCK - number)] + [(0, 0)] * (x.ndim - 1))
        return padded.reshape(tiles, BLOCK, *x.shape[1:])

    here, there = jax.tree.map(split, (here, there))

    def at(row, column, weight):
        first = jax.tree.map(lambda x: x[row], here)
        second = jax.tree.map(lambda x: x[column], there)
        return visit(first, second, weight)

    start = jax.tree.map(
        lambda x: jnp.full(x.shape, zero, x.dtype), jax.eval_shape(at, 0, 0, 1)
    )
    steps = tuple(jnp.asarray(x, jnp.int32) for x in (rows, columns, weights))
    total, _ = jax.lax.scan(lambda t, step: (combine(t, at(*step)), None), start, steps)
    return total
