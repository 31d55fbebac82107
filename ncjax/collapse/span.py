"""Features in the span of the class means, which has K-1 dimensions.

NC1 and the nearest class mean depend on a feature only through its coordinates in the
span of the centred class means.  One product with the directions of the span, taken of
the features minus their class mean, serves both: it is all that a second pass over the
features has to compute.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax.collapse.means import (
    between_basis,
    centred_means,
    global_mean,
    present_classes,
)
from ncjax.moments import ClassMoments, dot


class Span(NamedTuple):
    """The span of the class means, with r = min(K-1, d) orthonormal directions.

    Make it with `Span.of`, once per measurement, from the moments of the training set.
    """

    pivot: jax.Array  # [K, d] a point near each class mean, to subtract first
    offset: jax.Array  # [K, r] class mean minus pivot, along the directions
    directions: jax.Array  # [r, d] of `between_basis`
    means: jax.Array  # [K, r] centred class means, along the directions
    present: jax.Array  # [K] True for classes that have samples

    @classmethod
    def of(
        cls, moments: ClassMoments, directions: Float[Array, "r d"] | None = None
    ) -> Span:
        """The span of the class means of these moments.

        Args:
            moments: moments of the training features, with any scatter.
            directions: other orthonormal directions [r, d] of the same span, such as
                those of another convention; by default those of `between_basis`.
        """
        if directions is None:
            _, directions = between_basis(moments)
        means = dot(centred_means(moments), directions.T)
        present = present_classes(moments)
        # A class without samples stands at the global mean: its centred mean is 0.
        pivot = jnp.where(present[:, None], moments.pivot, global_mean(moments)[None])
        offset = dot(moments.offset, directions.T)
        return cls(pivot, offset, directions, means, present)

    def with_pivot(self, pivot: Float[Array, "K d"]) -> Span:
        """The same span for features minus another pivot, also near the class means."""
        moved = dot(self.pivot - pivot, self.directions.T)
        return self._replace(pivot=pivot, offset=self.offset + moved)

    def deviations(
        self, features: Float[Array, "n d"], labels: Int[Array, "n"]
    ) -> Float[Array, "n r"]:
        """v_j . (h_i - mu_{y_i}): each feature minus its class mean, along v_1 .. v_r.

        For the features of the training set the mean of the squares is the
        `within_variance`.

        Args:
            features: h_i [n, d], of the training set or another set.
            labels: y_i [n], in 0..K-1.
        """
        # Differences first: projections of the features themselves would cancel.
        residuals = features.astype(self.pivot.dtype) - self.pivot[labels]
        return self.residual_deviations(residuals, labels)

    def residual_deviations(
        self, residuals: Float[Array, "... d"], labels: Int[Array, "..."]
    ) -> Float[Array, "... r"]:
        """The `deviations` of features from which the pivot of their class is taken."""
        return dot(residuals, self.directions.T) - self.offset[labels]

    def coordinates(
        self, deviations: Float[Array, "n r"], labels: Int[Array, "n"]
    ) -> Float[Array, "n r"]:
        """Features minus the global mean, along the directions, from `deviations`."""
        return deviations + self.means[labels]
