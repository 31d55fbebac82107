"""The second pass over features, which needs the final class means.

`ClassMoments` are the first pass; NC4, the accuracy of the nearest class mean and the
within-class variance along the directions of the means compare each feature with the
final means.  `SecondPass` sums them batch by batch, like the moments: inside `jit`,
`scan`, `vmap` and `shard_map`, merged with another, and summed over a mesh axis.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax import struct
from ncjax.averages import Averages
from ncjax.collapse.decisions import nearest_row
from ncjax.collapse.means import Centred, Span, centre
from ncjax.collapse.superclasses import Level, superclass_levels
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments, dot


@struct.dataclass
class SecondPass:
    """Sums over features that need the class means of the training set.

    Make a state with `SecondPass.empty` from the moments of the training features.
    The features that it takes in may be those of the training set again or of another
    set.  Rows of weight 0, and rows of classes that the training set lacks, are left
    out.
    """

    about: Span | Centred  # where the class means are; the same in all that is merged
    levels: tuple[Level, ...]  # the superclasses of a class tree; () without one
    averages: Averages  # over the features seen so far

    @classmethod
    def empty(
        cls,
        moments: ClassMoments,
        *,
        within_variance: bool = True,
        directions: Float[Array, "r d"] | None = None,
        decisions: bool = True,
        hierarchy: Hierarchy | None = None,
    ) -> SecondPass:
        """A second pass that has seen no features.

        Args:
            moments: moments of the training features, of K classes of width d, with
                any scatter.
            within_variance: also sum the within-class variance along the directions of
                the class means.  Without it features are compared with the means in
                all d dimensions, which costs less.
            directions: directions v_j [r, d] of the within-class variance; by default
                those of `between_basis(moments)`.
            decisions: whether `update` is told the decisions of a network.
            hierarchy: class tree over the K classes, to measure its superclasses too;
                this takes `within_variance`.

        Raises:
            ValueError: for a tree without `within_variance`.
        """
        names = ["ncc_accuracy", *(["nc4", "accuracy"] if decisions else [])]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(names, ())
        dtype, levels = moments.count.dtype, []
        if not within_variance:
            if hierarchy is not None:
                raise ValueError(
                    "Superclasses of a tree are measured along the directions of the "
                    "class means: leave within_variance=True."
                )
            about: Span | Centred = centre(moments)
        else:
            about = Span.of(moments, directions)
            shapes["within_variance"] = (len(about.directions),)
            if hierarchy is not None:
                levels = superclass_levels(moments, hierarchy, about)
        for level in levels:
            shapes[f"{level.name}/within_variance"] = (len(level.directions),)
            if decisions:
                shapes[f"{level.name}/nc4"] = ()
        return cls(about, tuple(levels), Averages.empty(shapes, dtype))

    def update(
        self,
        features: Float[Array, "n d"],
        labels: Int[Array, "n"],
        decisions: Int[Array, "n"] | None = None,
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
        if isinstance(self.about, Span):
            deviations = self.about.deviations(features, labels)
            return self.update_deviations(deviations, labels, decisions, weights)
        return self._add({}, self.about.points(features), labels, decisions, weights)

    def update_deviations(
        self,
        deviations: Float[Array, "n r"],
        labels: Int[Array, "n"],
        decisions: Int[Array, "n"] | None = None,
        weights: Float[Array, "n"] | None = None,
    ) -> SecondPass:
        """Takes in features whose `Span.deviations` [n, r] are known; see `update`."""
        span = self.span
        points = span.coordinates(deviations, labels)
        values = {"within_variance": deviations**2}
        for level in self.levels:
            along = dot(deviations, level.directions.T)
            values[f"{level.name}/within_variance"] = along**2
            if decisions is not None:
                nearest = nearest_row(points, level.means, level.present)
                wrong = nearest != level.groups[decisions]
                values[f"{level.name}/nc4"] = wrong
        return self._add(values, points, labels, decisions, weights)

    @property
    def span(self) -> Span:
        """The span of the class means.

        Raises:
            ValueError: if the state was made with `within_variance=False`.
        """
        if not isinstance(self.about, Span):
            raise ValueError(
                "This second pass was made with within_variance=False, so it has no "
                "directions of the class means."
            )
        return self.about

    def merge(self, other: SecondPass) -> SecondPass:
        """Both sets of features together; the class means must be the same."""
        return self._with(self.averages.merge(other.averages))

    def all_reduce(self, axis_name: str) -> SecondPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        return self._with(self.averages.all_reduce(axis_name))

    def compute(self) -> dict[str, jax.Array]:
        """The results.

        Returns:
            `ncc_accuracy`: accuracy of the nearest class mean [];
            with decisions `nc4`, the fraction of features for which network and nearest
            class mean disagree [], and `accuracy`, that of the network [];
            `within_variance`: (1/N) sum_i (v_j . (h_i - mu_{y_i}))^2 [r], in squared
            units of the features; and `NAME/nc4` and `NAME/within_variance` for each
            level NAME of the tree.  NaN if no feature was seen.
        """
        return self.averages.compute()

    def _with(self, averages: Averages) -> SecondPass:
        return SecondPass(self.about, self.levels, averages)

    def _add(self, values, points, labels, decisions, weights) -> SecondPass:
        """Takes in values of features, and whether they are nearest to their means."""
        if (decisions is not None) != ("nc4" in self.averages.sums):
            raise ValueError(
                "This second pass was made "
                + ("with" if decisions is None else "without")
                + " decisions of a network: give `update` the decisions [n] if and only"
                " if SecondPass.empty(..., decisions=True)."
            )
        present = self.about.present
        nearest = nearest_row(points, self.about.means, present)
        values = values | {"ncc_accuracy": nearest == labels}
        if decisions is not None:
            values |= {"nc4": nearest != decisions, "accuracy": decisions == labels}
        known = (labels >= 0) & (labels < len(present)) & present[labels]
        weights = jnp.where(known, 1 if weights is None else weights, 0)
        weights = weights.astype(self.averages.total.dtype)
        return self._with(self.averages.update(values, weights))
