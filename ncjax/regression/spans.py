"""The two spans that collapsed features lie in: principal directions and rows of W."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.blocks import dot
from ncjax.regression.moments import RegressionMoments

# Of subspace iteration: directions besides those asked for, and steps at most.
_BESIDE, _STEPS = 8, 12
_ROUNDINGS = 8  # of the largest eigenvalue, that an eigenvector may be off


def second_moment(moments: RegressionMoments, *, centred: bool) -> Float[Array, "d d"]:
    """Covariance of the features, or (1/N) sum h h', over the unit of features^2."""
    if centred:
        return moments.feature_cov
    mean = moments.mean * moments.scale(0)
    return moments.feature_cov + mean[:, None] * mean[None]


def principal_axes(
    moments: RegressionMoments, *, centred: bool = True
) -> Float[Array, "r d"]:
    """The first r = min(t, d) principal directions of the features, orthonormal.

    Args:
        moments: moments of the training features and targets.
        centred: whether of the covariance, or of (1/N) sum h h'.
    """
    return leading_axes(second_moment(moments, centred=centred), moments.outputs)


def leading_axes(matrix: Float[Array, "d d"], count: int) -> Float[Array, "r d"]:
    """The first r = min(count, d) eigenvectors of a covariance, orthonormal rows.

    Of a large matrix they are found by a few steps of subspace iteration, some thirty
    times as fast as all d, and taken if they are eigenvectors to rounding; else, where
    eigenvalues are too close for that, by the whole decomposition.
    """
    width = count + _BESIDE

    def whole() -> jax.Array:
        return jnp.linalg.eigh(matrix)[1][:, ::-1][:, :count]

    if 4 * width > matrix.shape[0]:
        return whole().T
    start = jax.random.normal(jax.random.key(0), (len(matrix), width), matrix.dtype)

    least = _ROUNDINGS * jnp.finfo(matrix.dtype).eps

    def step(state: tuple) -> tuple:
        number, _, image = state
        basis = jnp.linalg.qr(image)[0]
        image = dot(matrix, basis)
        # The first columns span an invariant space long before the others do.
        inner = dot(basis[:, :count].T, image[:, :count])
        left = image[:, :count] - dot(basis[:, :count], inner)
        done = jnp.sum(left**2) <= (least * jnp.max(jnp.abs(inner))) ** 2
        return jnp.where(done, _STEPS, number + 1), basis, image

    state = 0, start, start
    _, basis, _ = jax.lax.while_loop(lambda s: s[0] < _STEPS, step, state)
    _, turn = jnp.linalg.eigh(dot(basis.T, dot(matrix, basis)))
    axes = dot(basis, turn)[:, ::-1][:, :count]
    image = dot(matrix, axes)
    values = jnp.sum(axes * image, 0)
    left = jnp.max(jnp.linalg.norm(image - axes * values[None], axis=0))
    exact = left <= least * values[0]
    return jax.lax.cond(exact, lambda: axes, whole).T


def row_axes(classifier: Float[Array, "t d"]) -> Float[Array, "r d"]:
    """An orthonormal basis of the rows of W; 0 in the place of those that lack.

    A direction counts if its singular value is more than 10 eps of the largest.
    """
    largest = jnp.max(jnp.abs(classifier))
    scaled = classifier / jnp.where(largest > 0, largest, 1)
    _, values, axes = jnp.linalg.svd(scaled, full_matrices=False)
    least = 10 * jnp.finfo(scaled.dtype).eps * values[0]
    return jnp.where((values > least)[:, None], axes, 0)


def outside(
    vector: Float[Array, "*n d"],
    axes: Float[Array, "r d"],
    along: Float[Array, "*n r"] | None = None,
) -> jax.Array:
    """What is left of vectors [..., d] when their part along some axes is taken off.

    Args:
        vector: vectors [..., d].
        axes: orthonormal rows [r, d], or rows of 0.
        along: their products with the vectors [..., r], where these are known.
    """
    along = dot(vector, axes.T) if along is None else along
    # A product with one row is slow on a CPU.
    return vector - (along * axes if axes.shape[0] == 1 else dot(along, axes))


def covers(axes: Float[Array, "r d"]) -> bool:
    """Whether the axes may span all of feature space, so that nothing is outside."""
    return axes.shape[0] >= axes.shape[1]
