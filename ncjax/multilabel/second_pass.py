"""The second pass over features with sets of labels, which needs their final moments.

The examples with one label go through the second pass of classes.  Of those with more,
it is summed how far a feature is a multiple of the sum of the means of its labels.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer

from ncjax import collapse, struct
from ncjax.averages import Averages
from ncjax.blocks import dot
from ncjax.collapse import SecondPass
from ncjax.collapse.registry import crowded
from ncjax.collapse.tiles import safe_divide
from ncjax.multilabel.conventions import DEFAULT, Convention
from ncjax.multilabel.moments import SetMoments
from ncjax.struct import Leaf
from ncjax.units import inverse_unit


@struct.dataclass
class SetPass:
    """Sums over features that need the moments of the training set.

    Make one with `SetPass.empty`.  The examples that it takes in may be those of the
    training set again or of another set.
    """

    single: SecondPass  # of the examples with one label
    pivots: Leaf  # [2K+1, d] by label, then by number of labels
    offsets: Leaf  # [2K+1, d] the means minus these pivots
    means: Leaf  # [K, d] centred means of the labels alone, over the unit
    shares: Leaf  # [K+1, K] mean of the sets, by number of labels
    known: Leaf  # [K] whether a label occurs alone
    inverse: Leaf  # [] one over the unit of lengths
    averages: Averages  # over the examples with more than one label, by their number

    @classmethod
    def empty(
        cls,
        moments: SetMoments,
        convention: Convention = DEFAULT,
        *,
        training: bool = False,
    ) -> SetPass:
        """A second pass that has seen no examples.

        Args:
            moments: moments of the training features.
            convention: the convention of the examples with one label.
            training: whether the examples are those of the training set: then the
                normalised features are measured too, where K > d + 1.
        """
        single, sizes, about = moments.single, moments.sizes, convention.classes
        directions = collapse.between_basis(
            single, global_mean=about.global_mean, between=about.between
        )[1]
        inverse = inverse_unit(sizes.unit)
        means = collapse.centred_means(single) * inverse
        dtype = moments.together.dtype
        number = moments.num_classes + 1
        return cls(
            single=SecondPass.empty(
                single,
                directions=directions,
                normalised=training and crowded(number - 1, moments.feature_dim),
            ),
            pivots=jnp.concatenate([single.pivot, sizes.pivot]),
            offsets=jnp.concatenate([single.offset, sizes.offset]),
            means=means,
            shares=safe_divide(moments.together, sizes.count[:, None]),
            known=single.count > 0,
            inverse=inverse,
            averages=Averages.empty(
                dict.fromkeys(("squares", "products", "sums"), (number,)), dtype
            ),
        )

    def update(
        self,
        features: Float[Array | np.ndarray, "n d"],
        labels: Bool[Array | np.ndarray, "n K"],
        decisions: Integer[Array | np.ndarray, "n"],
        weights: Float[Array, "n"] | None = None,
    ) -> SetPass:
        """Takes in a batch.

        Args:
            features: features h [n, d].
            labels: sets of labels, True for each label of an example [n, K].
            decisions: label of the largest score [n].
            weights: weights of the rows [n], not negative; by default 1.  0 leaves a
                row out, but its numbers must still be finite.
        """
        labels = jnp.asarray(labels)
        kind = _kinds(labels)
        features = jnp.asarray(features).astype(self.pivots.dtype)
        deviations = (features - self.pivots[kind]) - self.offsets[kind]
        return self.update_deviations(deviations, labels, decisions, weights)

    def residual_deviations(
        self,
        residuals: Float[Array, "... d"],
        labels: Bool[Array | np.ndarray, "... K"],
        moments: SetMoments,
    ) -> Float[Array, "... d"]:
        """Features minus the mean of their kind, of features minus a pivot of it.

        The kind of an example is its label, or where it has several their number.
        """
        labels = jnp.asarray(labels)
        kind = _kinds(labels)
        moved = self.pivots[kind] - moments.pivots(labels)
        return residuals - (self.offsets[kind] + moved)

    def update_deviations(
        self,
        deviations: Float[Array, "n d"],
        labels: Bool[Array | np.ndarray, "n K"],
        decisions: Integer[Array | np.ndarray, "n"],
        weights: Float[Array, "n"] | None = None,
    ) -> SetPass:
        """Takes in features minus the mean of their kind [n, d]; see `update`."""
        labels = jnp.asarray(labels)
        dtype, size = self.means.dtype, jnp.sum(labels, 1)
        mass = jnp.ones(len(labels), dtype) if weights is None else weights
        mass = mass.astype(dtype)
        directions = self.single.span.directions
        along = dot(deviations, jnp.concatenate([directions, self.means]).T)
        along, products = along[:, : len(directions)], along[:, len(directions) :]
        single = self.single.update_deviations(
            along, jnp.argmax(labels, 1), jnp.asarray(decisions), mass * (size == 1)
        )
        # A label that never occurs alone has no mean, and its sets no sum.
        measured = (size > 1) & ~jnp.any(labels & ~self.known[None], 1)
        # s_S - s_m is a combination of the means: it is never made for an example.
        parts = labels.astype(dtype) - self.shares[size]
        of_size = jax.nn.one_hot(size, self.means.shape[0] + 1, dtype=dtype)
        values = {
            "squares": jnp.sum((deviations * self.inverse) ** 2, 1),
            "products": jnp.sum(parts * products, 1) * self.inverse,
            "sums": jnp.sum(parts * dot(parts, dot(self.means, self.means.T)), 1),
        }
        values = {key: x[:, None] * of_size for key, x in values.items()}
        averages = self.averages.update(values, mass * measured)
        return dataclasses.replace(self, single=single, averages=averages)

    def merge(self, other: SetPass) -> SetPass:
        """Both sets of examples together; the moments must be the same."""
        return dataclasses.replace(
            self,
            single=self.single.merge(other.single),
            averages=self.averages.merge(other.averages),
        )

    def all_reduce(self, axis_name: str) -> SetPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        return dataclasses.replace(
            self,
            single=self.single.all_reduce(axis_name),
            averages=self.averages.all_reduce(axis_name),
        )

    def sum_unexplained(self) -> Float[Array, ""]:
        """Share of the variance of features of several labels beside their sums.

        min over a_m of sum |h - h_m - a_m (s_S - s_m)|^2 / sum |h - h_m|^2 over the
        examples with more than one label, where s_S is the sum of the means of the
        labels of S alone, and h_m and s_m are the means of h and s_S over the training
        examples with as many labels.  There is one multiple a_m for each number of
        labels.  At least what rounding gives; NaN without such examples.
        """
        sums = self.averages.sums
        along = safe_divide(sums["products"] ** 2, sums["sums"])
        total = jnp.sum(sums["squares"])
        share = 1 - jnp.sum(along) / jnp.where(total > 0, total, jnp.nan)
        return jnp.maximum(share, 8 * jnp.finfo(share.dtype).eps)


def _kinds(labels: Bool[Array, "... K"]) -> Int[Array, "..."]:
    """The label of an example with one, else K plus the number of its labels."""
    size = jnp.sum(labels, -1)
    return jnp.where(size == 1, jnp.argmax(labels, -1), labels.shape[-1] + size)
