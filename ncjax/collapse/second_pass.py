"""The second pass over features, which needs the final class means.

`ClassMoments` are the first pass; NC4, the accuracy of the nearest class mean and the
within-class variance along the directions of the means compare each feature with the
final means.  `SecondPass` sums them batch by batch, like the moments: inside `jit`,
`scan`, `vmap` and `shard_map`, merged with another, and summed over a mesh axis.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax import struct
from ncjax.averages import Averages
from ncjax.collapse.decisions import nearest_row, where_apart
from ncjax.collapse.generalized import normalise
from ncjax.collapse.means import Span
from ncjax.collapse.superclasses import Level, superclass_levels
from ncjax.hierarchy import Hierarchy
from ncjax.labels import widened
from ncjax.moments import ClassMoments, dot
from ncjax.units import inverse_unit


@struct.dataclass
class SecondPass:
    """Sums over features that need the class means of the training set.

    Make a state with `SecondPass.empty` from the moments of the training features.
    The features that it takes in may be those of the training set again or of another
    set.  Rows of weight 0, and rows of classes that the training set lacks, are left
    out.
    """

    span: Span  # where the class means are; the same in all that is merged
    levels: tuple[Level, ...]  # the superclasses of a class tree; () without one
    averages: Averages  # over the features seen so far
    # Moments of the normalised features, along the directions of the span; or None.
    normalised: ClassMoments | None = None

    @classmethod
    def empty(
        cls,
        moments: ClassMoments,
        *,
        directions: Float[Array, "r d"] | None = None,
        decisions: bool = True,
        hierarchy: Hierarchy | None = None,
        normalised: bool = False,
    ) -> SecondPass:
        """A second pass that has seen no features.

        Args:
            moments: moments of the training features, of K classes of width d, with
                any scatter.
            directions: directions v_j [r, d] of the within-class variance; by default
                those of `between_basis(moments)`.
            decisions: whether `update` is told the decisions of a network.
            hierarchy: class tree over the K classes, to measure its superclasses too.
            normalised: take the moments of the normalised features h/|h| too, for
                GNC1 and GNC3; d must be at most K - 1, so that the directions span all
                of feature space.

        Raises:
            ValueError: if `normalised` is asked for with d >= K.
        """
        span = Span.of(moments, directions)
        levels = superclass_levels(moments, hierarchy, span) if hierarchy else []
        names = ["ncc_accuracy", *(["nc4", "accuracy"] if decisions else [])]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
        shapes["within_variance"] = (len(span.directions),)
        for level in levels:
            shapes[f"{level.name}/within_variance"] = (len(level.directions),)
            if decisions:
                shapes[f"{level.name}/nc4"] = ()
        averages = Averages.empty(shapes, moments.count.dtype)
        state = cls(span, tuple(levels), averages)
        if not normalised:
            return state
        classes, width = moments.num_classes, moments.feature_dim
        if len(span.directions) < width:
            raise ValueError(
                f"With {classes} classes the {width} coordinates of a feature are not "
                "all known: take `class_moments` of `normalise(features)` instead."
            )
        dtype = moments.count.dtype
        empty = ClassMoments.empty(classes, width, dtype=dtype)
        return dataclasses.replace(state, normalised=empty)

    def update(
        self,
        features: Float[Array, "n d"],
        labels: Integer[Array, "n"],
        decisions: Integer[Array, "n"] | None = None,
        weights: Float[Array, "n"] | None = None,
    ) -> SecondPass:
        """Takes in a batch.

        Args:
            features: features [n, d].
            labels: class of each feature [n], in 0..K-1.  Rows with another label are
                left out.
            decisions: class that the network decides for [n]; None only if the state
                was made with `decisions=False`.
            weights: weight of each row [n], not negative; by default 1.  0 leaves a row
                out, but its features must still be finite.

        Returns:
            The state with these rows added.
        """
        labels = widened(labels)
        deviations = self.span.deviations(features, labels)
        return self.update_deviations(deviations, labels, decisions, weights)

    def residual_deviations(
        self,
        residuals: Float[Array, "... d"],
        labels: Integer[Array, "..."],
        moments: ClassMoments,
    ) -> Float[Array, "... r"]:
        """`Span.deviations` of features from which `moments.residual` took a pivot."""
        span = self.span.with_pivot(moments.pivot)
        return span.residual_deviations(residuals, labels)

    def update_deviations(
        self,
        deviations: Float[Array, "n r"],
        labels: Integer[Array, "n"],
        decisions: Integer[Array, "n"] | None = None,
        weights: Float[Array, "n"] | None = None,
    ) -> SecondPass:
        """Takes in features whose `Span.deviations` [n, r] are known; see `update`."""
        if (decisions is not None) != ("nc4" in self.averages.sums):
            raise ValueError(
                "This second pass was made "
                + ("with" if decisions is None else "without")
                + " decisions of a network: give `update` the decisions [n] if and only"
                " if SecondPass.empty(..., decisions=True)."
            )
        span, labels = self.span, widened(labels)
        points = span.coordinates(deviations, labels)
        nearest = nearest_row(points, span.means, span.present)
        deviations = deviations * inverse_unit(span.unit)
        values = {
            "within_variance": deviations**2,
            "ncc_accuracy": where_apart(span.means, nearest == labels),
        }
        if decisions is not None:
            values["nc4"] = where_apart(span.means, nearest != decisions)
            values["accuracy"] = decisions == labels
        for level in self.levels:
            along = dot(deviations, level.directions.T)
            values[f"{level.name}/within_variance"] = along**2
            if decisions is not None:
                nearest = nearest_row(points, level.means, level.present)
                wrong = nearest != level.groups[decisions]
                values[f"{level.name}/nc4"] = where_apart(level.means, wrong)
        inside = (labels >= 0) & (labels < len(span.present))
        known = inside & span.present[labels]
        weights = jnp.where(known, 1 if weights is None else weights, 0)
        weights = weights.astype(self.averages.total.dtype)
        normalised = self.normalised
        if normalised is not None:
            labels = jnp.where(known, labels, 0)
            normalised = normalised.update(self._normalise(points), labels, weights)
        return self._with(self.averages.update(values, weights), normalised)

    def merge(self, other: SecondPass) -> SecondPass:
        """Both sets of features together; the class means must be the same."""
        normalised = self.normalised
        if normalised is not None and other.normalised is not None:
            normalised = normalised.merge(other.normalised)
        return self._with(self.averages.merge(other.averages), normalised)

    def all_reduce(self, axis_name: str) -> SecondPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        normalised = self.normalised
        if normalised is not None:
            normalised = normalised.all_reduce(axis_name)
        return self._with(self.averages.all_reduce(axis_name), normalised)

    def compute(self) -> dict[str, jax.Array]:
        """The results.

        Returns:
            `ncc_accuracy`: accuracy of the nearest class mean [];
            with decisions `nc4`, the fraction of features for which network and nearest
            class mean disagree [], and `accuracy`, that of the network [];
            `within_variance`: (1/N) sum_i (v_j . (h_i - mu_{y_i}))^2 [r] over
            `ClassMoments.unit`^2, which is 1 for features of ordinary size; and
            `NAME/nc4` and `NAME/within_variance` for each level NAME of the tree.  NaN
            if no feature was seen, or none is nearest: all class means are equal.
        """
        return self.averages.compute()

    def normalised_moments(self) -> ClassMoments | None:
        """Class moments of the normalised features h/|h|; None if not asked for."""
        found = self.normalised
        if found is None or found.scatter is None:
            return None
        turn = self.span.directions  # orthogonal [d, d]
        return dataclasses.replace(
            found,
            pivot=dot(found.pivot, turn),
            offset=dot(found.offset, turn),
            scatter=dot(turn.T, dot(found.scatter, turn)),
        )

    def _normalise(self, points: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Features divided by their length, from `Span.coordinates`; 0 stays 0."""
        inverse = inverse_unit(self.span.unit)
        points, origin = points * inverse, self.span.origin[None] * inverse
        whole = points + origin
        # What a feature of 0, such as that of dead units, leaves is rounding.
        terms = jnp.sum(points**2, axis=1) + jnp.sum(origin**2)
        rounding = (32 * jnp.finfo(whole.dtype).eps) ** 2 * terms
        gone = jnp.sum(whole**2, axis=1) <= rounding
        return normalise(jnp.where(gone[:, None], 0, whole))

    def _with(self, averages: Averages, normalised: ClassMoments | None) -> SecondPass:
        return SecondPass(self.span, self.levels, averages, normalised)
