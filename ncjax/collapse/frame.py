"""Single features beside the class means, in the K-1 directions that the means span.

Both NC1 and the nearest class mean depend on a feature only through its coordinates
along these directions.  One product with them, of features minus their class mean,
therefore serves both: that is all a second look at the features has to compute.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax.collapse.decisions import nearest_row
from ncjax.collapse.means import (
    between_basis,
    centred_means,
    global_mean,
    present_classes,
)
from ncjax.collapse.tiles import dot
from ncjax.moments import ClassMoments


class Frame(NamedTuple):
    """Class means and their directions; make it with `frame`, once per measurement."""

    pivot: jax.Array  # [K, d] points near the class means, to subtract first
    offset: jax.Array  # [K, r] class mean minus pivot along the directions
    directions: jax.Array  # [r, d] of `between_basis`
    means: jax.Array  # [K, r] centred class means along them
    present: jax.Array  # [K] classes with samples


def frame(moments: ClassMoments) -> Frame:
    """What `deviations` and `nearest_class` need of the moments of the training set."""
    _, directions = between_basis(moments)
    means = dot(centred_means(moments), directions.T)
    present = present_classes(moments)
    # A class without samples stands at the global mean, as its centred mean of 0 says.
    pivot = jnp.where(present[:, None], moments.pivot, global_mean(moments))
    offset = dot(moments.offset, directions.T)
    return Frame(pivot, offset, directions, means, present)


def with_pivot(frame: Frame, pivot: Float[Array, "K d"]) -> Frame:
    """The same frame for features minus another pivot, also near the class means."""
    moved = dot(frame.pivot - pivot, frame.directions.T)
    return frame._replace(pivot=pivot, offset=frame.offset + moved)


def deviations(
    features: Float[Array, "n d"], labels: Int[Array, "n"], frame: Frame
) -> Float[Array, "n r"]:
    """v_j . (h_i - mu_{y_i}): each feature about its class mean; labels in 0..K-1.

    With the features of the training set, the mean of the squares is
    `directional_variance`.
    """
    # Differences first: projections of the features themselves would cancel.
    residual = features.astype(frame.pivot.dtype) - frame.pivot[labels]
    return residual_deviations(residual, labels, frame)


def residual_deviations(
    residual: Float[Array, "... d"], labels: Int[Array, "..."], frame: Frame
) -> Float[Array, "... r"]:
    """`deviations` of features minus the pivot of their class."""
    return dot(residual, frame.directions.T) - frame.offset[labels]


def coordinates(
    deviations: Float[Array, "n r"], labels: Int[Array, "n"], frame: Frame
) -> Float[Array, "n r"]:
    """The features about the global mean along the directions."""
    return deviations + frame.means[labels]


def nearest_class(
    deviations: Float[Array, "n r"], labels: Int[Array, "n"], frame: Frame
) -> Int[Array, "n"]:
    """`nearest_mean` of the features that have these deviations and labels."""
    points = coordinates(deviations, labels, frame)
    return nearest_row(points, frame.means, frame.present)
