"""The two spans that collapsed features lie in: principal directions and rows of W."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.blocks import dot
from ncjax.regression.moments import RegressionMoments


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
    _, vectors = jnp.linalg.eigh(second_moment(moments, centred=centred))
    return vectors[:, ::-1][:, : moments.outputs].T


def row_axes(classifier: Float[Array, "t d"]) -> Float[Array, "r d"]:
    """An orthonormal basis of the rows of W; 0 in the place of those that lack.

    A direction counts if its singular value is more than 10 eps of the largest.
    """
    largest = jnp.max(jnp.abs(classifier))
    scaled = classifier / jnp.where(largest > 0, largest, 1)
    _, values, axes = jnp.linalg.svd(scaled, full_matrices=False)
    least = 10 * jnp.finfo(scaled.dtype).eps * values[0]
    return jnp.where((values > least)[:, None], axes, 0)


def outside(vector: Float[Array, "*n d"], axes: Float[Array, "r d"]) -> jax.Array:
    """What is left of vectors [..., d] when their part along some axes is taken off."""
    return vector - dot(dot(vector, axes.T), axes)


def covers(axes: Float[Array, "r d"]) -> bool:
    """Whether the axes may span all of feature space, so that nothing is outside."""
    return axes.shape[0] >= axes.shape[1]
