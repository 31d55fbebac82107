"""Streaming moments of features whose examples have sets of labels.

Two `ClassMoments` side by side: by label for the examples with one label; for the
others by set where they have two labels, else by their number of labels.  So they are
updated, merged and summed over a mesh axis like these, and do not depend on how the
data were split.  Those of all examples by their number of labels follow from the two.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ncjax import struct
from ncjax.blocks import dot
from ncjax.collapse.superclasses import group_moments
from ncjax.moments import ClassMoments, Scatter
from ncjax.multilabel.labels import check_sets, pair_numbers
from ncjax.options import is_traced
from ncjax.struct import Leaf
from ncjax.units import common_unit


@struct.dataclass
class SetMoments:
    """Moments of features by their sets of labels; K labels, width d.

    Make one with `SetMoments.empty`, or from arrays with `set_moments`.
    """

    single: ClassMoments  # examples with one label, by label: K classes
    # the other examples: K(K-1)/2 classes, the sets of two labels; then K+1, by the
    # number of labels, for those with more than two
    others: ClassMoments
    # [K+1, K] number (or total weight) of the examples with so many labels that have
    # this label
    together: Leaf

    @classmethod
    def empty(
        cls,
        num_classes: int,
        feature_dim: int,
        *,
        scatter: Scatter = "none",
        largest_norm: bool = False,
        dtype=jnp.float32,
    ) -> SetMoments:
        """Moments of nothing.

        Args:
            num_classes: number K of labels, at least 2.
            feature_dim: width d of the features, at least 1.
            scatter: scatter kept of the examples with one label; see `ClassMoments`.
            largest_norm: keep their largest norm too, for RNC1.
            dtype: type of the numbers kept; float32, or float64 when x64 is on.

        Raises:
            ValueError: for smaller sizes, or another `scatter`.
        """
        if num_classes < 2:
            raise ValueError(f"Sets need at least 2 labels, got {num_classes}.")
        kept: Any = {"scatter": scatter, "largest_norm": largest_norm, "dtype": dtype}
        light: Any = {"scatter": "none", "dtype": dtype}
        pairs = num_classes * (num_classes - 1) // 2
        return cls(
            single=ClassMoments.empty(num_classes, feature_dim, **kept),
            others=ClassMoments.empty(pairs + num_classes + 1, feature_dim, **light),
            together=jnp.zeros((num_classes + 1, num_classes), dtype),
        )

    @property
    def num_classes(self) -> int:
        """Number K of labels."""
        return self.single.num_classes

    @property
    def feature_dim(self) -> int:
        """Width d of the features."""
        return self.single.feature_dim

    @property
    def total(self) -> jax.Array:
        """N, the number (or total weight) of all examples."""
        return self.single.total + self.others.total

    @property
    def pairs(self) -> ClassMoments:
        """Moments of the examples with two labels, by set: K(K-1)/2 classes."""
        number = self.num_classes * (self.num_classes - 1) // 2
        of = ("count", "pivot", "offset", "spread")
        first = {name: getattr(self.others, name)[:number] for name in of}
        return dataclasses.replace(self.others, **first)

    @property
    def sizes(self) -> ClassMoments:
        """Moments of all examples, by their number of labels: K+1 classes."""
        k = self.num_classes
        labels = np.repeat([1, 2], [k, k * (k - 1) // 2])
        labels = np.concatenate([labels, np.arange(k + 1)])  # of each kind
        unit, _, own = common_unit(self.single.unit, self.others.unit)
        _, _, theirs = common_unit(self.others.unit, self.single.unit)
        spread = self.single.spread * own, self.others.spread * theirs
        every = dataclasses.replace(
            self.others,
            count=jnp.concatenate([self.single.count, self.others.count]),
            pivot=self._pivots,
            offset=jnp.concatenate([self.single.offset, self.others.offset]),
            spread=jnp.concatenate(spread),
            resolution=jnp.maximum(self.single.resolution, self.others.resolution),
            unit=unit,
            left_out=self.single.left_out + self.others.left_out,
        )
        grouped = group_moments(every, jnp.asarray(labels), k + 1)
        there = grouped.count[:, None] > 0
        return dataclasses.replace(grouped, pivot=jnp.where(there, grouped.pivot, 0))

    @property
    def _pivots(self) -> jax.Array:
        """The first example of each kind."""
        return jnp.concatenate([self.single.pivot, self.others.pivot])

    def update(
        self,
        features: Float[Array | np.ndarray, "n d"],
        labels: Bool[Array | np.ndarray, "n K"],
        weights: Float[Array | np.ndarray, "n"] | None = None,
    ) -> SetMoments:
        """The moments with one more batch.

        Args:
            features: features h [n, d], bfloat16, float16, float32 or float64.
            labels: sets of labels, True for each label of an example [n, K].
            weights: weights of the rows [n], at least 0; 0 masks a row, whose features
                must be finite all the same.

        Raises:
            ValueError: for shapes that are not those of the state.
        """
        if labels.shape != (len(features), self.num_classes):
            raise ValueError(
                f"labels have shape {labels.shape}; these moments take "
                f"[{len(features)}, {self.num_classes}] for {len(features):,} features."
            )
        labels = jnp.asarray(labels)
        dtype = self.together.dtype
        size = jnp.sum(labels, 1)
        mass = jnp.ones(len(labels), dtype)
        mass = mass if weights is None else jnp.asarray(weights).astype(dtype)
        features = jnp.asarray(features)
        of_size = jax.nn.one_hot(size, self.num_classes + 1, dtype=dtype)
        kind, alone = self._kinds(labels), size == 1
        place = jnp.where(alone, 0, kind - self.num_classes)
        kind = jnp.where(alone, kind, 0)
        return SetMoments(
            single=self.single.update(features, kind, mass * alone),
            others=self.others.update(features, place, mass * ~alone),
            together=self.together + dot((mass[:, None] * of_size).T, labels + 0.0),
        )

    def residual(
        self,
        features: Float[Array | np.ndarray, "n d"],
        labels: Bool[Array | np.ndarray, "n K"],
    ) -> Float[Array, "n d"]:
        """Features minus the first one of the same kind; see `pivots`."""
        return jnp.asarray(features) - self.pivots(jnp.asarray(labels))

    def pivots(self, labels: Bool[Array, "... K"]) -> Float[Array, "... d"]:
        """The first feature of the same one label, set of two, or number of labels."""
        return self._pivots[self._kinds(labels)]

    def _kinds(self, labels: Bool[Array, "... K"]) -> Int[Array, "..."]:
        """Which kind an example is: its place in `single`, then in `others`."""
        k, size = self.num_classes, jnp.sum(labels, -1)
        pairs = k * (k - 1) // 2
        several = jnp.where(size == 2, k + pair_numbers(labels), k + pairs + size)
        return jnp.where(size == 1, jnp.argmax(labels, -1), several)

    def merge(self, other: SetMoments) -> SetMoments:
        """Moments of both sets of examples together; exact, associative, commutative.

        Raises:
            ValueError: if the two differ in K, d or in the scatter that they keep.
        """
        return SetMoments(
            single=self.single.merge(other.single),
            others=self.others.merge(other.others),
            together=self.together + other.together,
        )

    def all_reduce(self, axis_name: str) -> SetMoments:
        """Merges over a mesh axis, inside `shard_map`; every device gets the same.

        Args:
            axis_name: name of the mesh axis.
        """
        return SetMoments(
            single=self.single.all_reduce(axis_name),
            others=self.others.all_reduce(axis_name),
            together=jax.lax.psum(self.together, axis_name),
        )

    def describe(self) -> str:
        """One line: sizes, and how many examples have how many labels."""
        text = f"d={self.feature_dim}, K={self.num_classes}"
        if is_traced(self.together):
            return text
        counts = np.asarray(self.sizes.count)
        parts = [
            f"{count:,.0f} of {size} label{'s' if size > 1 else ''}"
            for size, count in enumerate(counts)
            if count
        ]
        return ", ".join([text, *parts])


def set_moments(
    features: Float[Array | np.ndarray, "n d"],
    labels: Bool[np.ndarray, "n K"],
    *,
    scatter: Scatter = "none",
) -> SetMoments:
    """Moments of arrays that are all in memory.

    Args:
        features: features h [n, d].
        labels: sets of labels, True for each label of an example [n, K].
        scatter: scatter kept of the examples with one label; see `ClassMoments.empty`.

    Raises:
        TypeError: for labels that are not bool.
        ValueError: for empty sets, or shapes that do not fit.

    Example:
        >>> import numpy as np
        >>> from ncjax import multilabel
        >>> sets = np.array([[True, False], [False, True], [True, True]])
        >>> multilabel.set_moments(np.eye(3), sets).describe()
        'd=3, K=2, 2 of 1 label, 1 of 2 labels'
    """
    check_sets(labels, labels.shape[-1])
    features = jnp.asarray(features)
    dtype = jnp.promote_types(features.dtype, jnp.float32)
    kept: Any = {"scatter": scatter, "largest_norm": True, "dtype": dtype}
    state = SetMoments.empty(labels.shape[1], features.shape[1], **kept)
    return jax.jit(SetMoments.update)(state, features, labels)
