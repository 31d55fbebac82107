"""Streaming class moments: the sufficient statistics of neural collapse.

`ClassMoments` holds, for every class, how many features were seen, their mean and
their spread, and the pooled within-class scatter.  It is a pytree that can be updated
batch by batch inside `jit`, `scan`, `vmap` and `shard_map`, merged with another, and
summed over a mesh axis; the result does not depend on how the data were split.

Precision.  Late in training the within-class deviations are 1e-3 to 1e-6 of the class
means, and E[hh'] - E[h]E[h]' loses everything in float32.  Here each class has a
*pivot*, the first feature seen of it; all sums are of h - pivot, which is exact where
it matters, and batches are combined by the pairwise update of Chan et al.

Range.  Squares of features of 1e20 are infinite in float32, those of 1e-20 are 0.  So
squares are kept in units of `unit`^2, a power of 2 that follows the features and is 1
for those of ordinary size.  What no scale of the features changes is computed from
`ClassMoments.in_units`.

References:
    T. F. Chan, G. H. Golub, R. J. LeVeque, Algorithms for computing the sample
    variance: analysis and recommendations, The American Statistician 37, 1983.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import os
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax import struct
from ncjax.batches import take_means
from ncjax.blocks import dot, outer, scan_blocks
from ncjax.io import write_whole
from ncjax.labels import class_indices
from ncjax.options import is_traced
from ncjax.struct import Leaf
from ncjax.units import common_unit, inverse_unit

Scatter = Literal["none", "pooled", "classes"]


@struct.dataclass
class ClassMoments:
    """Counts, means and scatters of features by class; K classes, width d.

    Make one with `ClassMoments.empty`, or from arrays with `class_moments`.
    """

    count: Leaf  # [K] number of features (or their total weight)
    pivot: Leaf  # [K, d] first feature of each class; 0 where there is none
    offset: Leaf  # [K, d] class mean minus pivot
    spread: Leaf  # [K] sum of squared distances to the class mean, over unit^2
    scatter: Leaf | None  # [d, d] pooled, [K, d, d] by class, or not kept; over unit^2
    resolution: Leaf  # [] relative spacing of the coarsest feature dtype seen
    # [] power of 2 near the size of the features; 0 before any
    unit: Leaf = struct.field(default=1.0)
    # [] number of rows left out inside `jit`, whose labels were not in 0..K-1
    left_out: Leaf = struct.field(default=0.0)
    # [] largest |h|^2 of a feature, over unit^2, or not kept, as in old files
    largest: Leaf | None = None

    @classmethod
    def empty(
        cls,
        num_classes: int,
        feature_dim: int,
        *,
        scatter: Scatter = "pooled",
        largest_norm: bool = False,
        dtype=jnp.float32,
    ) -> ClassMoments:
        """Moments of nothing.

        Args:
            num_classes: K, at least 1.
            feature_dim: d, at least 1.
            scatter: `"none"` keeps O(K d) numbers (class means, traces, CDNV),
                `"pooled"` adds the d x d within-class scatter, `"classes"` one such
                matrix for each class.
            largest_norm: keep the largest norm of a feature too, for RNC1; up to a
                quarter more time without a scatter, a twentieth with one.
            dtype: type of the numbers kept; float32, or float64 when x64 is on.

        Raises:
            ValueError: for sizes below 1 or another `scatter`.
        """
        if num_classes < 1 or feature_dim < 1:
            raise ValueError(
                f"num_classes and feature_dim must be at least 1, got {num_classes} "
                f"and {feature_dim}."
            )
        shapes = {"none": None, "pooled": (), "classes": (num_classes,)}
        if scatter not in shapes:
            raise ValueError(
                f"Unknown scatter {scatter!r}. Available: {', '.join(shapes)}."
            )
        lead, zeros = shapes[scatter], functools.partial(jnp.zeros, dtype=dtype)
        return cls(
            count=zeros(num_classes),
            pivot=zeros((num_classes, feature_dim)),
            # Not the buffer of the pivot: a state is donated.
            offset=zeros((num_classes, feature_dim)),
            spread=zeros(num_classes),
            scatter=None if lead is None else zeros((*lead, feature_dim, feature_dim)),
            resolution=zeros(()),
            unit=zeros(()),
            left_out=zeros(()),
            largest=zeros(()) if largest_norm else None,
        )

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return self.count.shape[-1]

    @property
    def feature_dim(self) -> int:
        """Width d of the features."""
        return self.pivot.shape[-1]

    @property
    def means(self) -> jax.Array:
        """Class means mu_k [K, d]; rows of classes never seen are 0."""
        return self.pivot + self.offset

    @property
    def total(self) -> jax.Array:
        """N, the number (or total weight) of all features."""
        return jnp.sum(self.count)

    @property
    def within_cov(self) -> jax.Array:
        """Sigma_W [d, d] = (1/N) sum_i (h_i - mu_{y_i})(h_i - mu_{y_i})'."""
        if self.scatter is None:
            raise ValueError(
                "These moments were taken with scatter='none', so there is no "
                "within-class covariance. Use scatter='pooled'."
            )
        pooled = self.scatter.sum(0) if self.scatter.ndim == 3 else self.scatter
        return pooled / self.total * self.unit * self.unit

    @property
    def variances(self) -> jax.Array:
        """Var_k [K] = mean of |h - mu_k|^2 over class k; 0 for classes never seen."""
        mean = self.spread / jnp.where(self.count > 0, self.count, 1)
        return mean * self.unit * self.unit

    def in_units(self) -> ClassMoments:
        """The moments of the features divided by `unit`: their squares are in range."""
        inverse = inverse_unit(self.unit)
        return dataclasses.replace(
            self,
            pivot=self.pivot * inverse,
            offset=self.offset * inverse,
            unit=jnp.ones_like(inverse),
        )

    def update(
        self,
        features: Float[Array, "n d"],
        labels: Integer[Array, "n"],
        weights: Float[Array, "n"] | None = None,
    ) -> ClassMoments:
        """The moments with one more batch of features.

        Args:
            features: features [n, d], bfloat16, float16, float32 or float64.
            labels: classes 0..K-1 [n], integers of any width.  Inside `jit` rows with
                another label are left out, and counted in `left_out`.
            weights: weights of the rows [n], at least 0; 0 masks a row, whose features
                must be finite all the same.

        Returns:
            The moments of all rows so far.

        Raises:
            TypeError: for labels that are no integers.
            ValueError: if `features` is not [n, d] with the d of the state, or for
                labels that are not [n] or, where they are known, out of range.
        """
        if features.ndim != 2 or features.shape[1] != self.feature_dim:
            raise ValueError(
                f"features have shape {features.shape}; these moments take "
                f"[n, {self.feature_dim}]."
            )
        labels = class_indices(labels, self.num_classes, weights=weights)
        if len(labels) != len(features):
            raise ValueError(f"{len(labels):,} labels for {len(features):,} features.")
        # A float64 array of NumPy is float32 to JAX, unless x64 is on.
        batch = jax.tree.map(jnp.asarray, (features, labels, weights))
        return scan_blocks(lambda state, rows: state._take(*rows), self, batch)

    def residual(
        self, features: Float[Array, "n d"], labels: Integer[Array, "n"]
    ) -> Float[Array, "n d"]:
        """Features minus the pivot of their class; labels must be in 0..K-1."""
        return features - self.pivot[labels]

    def _take(self, features, labels, weights) -> ClassMoments:
        """Moments with one more batch, which is to fit the cache."""
        state, rows = take_means(self, features, labels, weights)
        if self.scatter is None:
            return state
        left = rows.mass[:, None] * rows.residual
        residual = rows.residual
        if weights is None:  # then one array fewer has to be made
            left = residual = jnp.where(rows.mass[:, None] > 0, residual, 0)
        if self.scatter.ndim == 2:
            added = dot(left.T, residual)
        else:
            one_hot = jax.nn.one_hot(rows.labels, self.num_classes, dtype=left.dtype)
            added = jnp.einsum(
                "nk,ni,nj->kij", one_hot, left, residual, precision="highest"
            )
        return dataclasses.replace(state, scatter=self.scatter * rows.rescale + added)

    def merge(self, other: ClassMoments) -> ClassMoments:
        """Moments of both sets of features together; exact, associative, commutative.

        With delta = mean_B - mean_A, S = S_A + S_B + n_A n_B / (n_A + n_B) delta delta'
        (Chan et al. 1983).

        Args:
            other: moments of the other set.

        Raises:
            ValueError: if the two differ in K, d or in the scatter that they keep.
        """
        if jax.tree.map(jnp.shape, self) != jax.tree.map(jnp.shape, other):
            raise ValueError(
                "Only moments of the same number of classes, feature width and scatter "
                f"can be merged, got {self.describe()} and {other.describe()}."
            )
        count = self.count + other.count
        safe = jnp.where(count > 0, count, 1)
        seen, other_seen = self.count > 0, other.count > 0
        pivot = jnp.where(seen[:, None], self.pivot, other.pivot)
        # pivot_B - pivot_A is a small exact difference once a class has collapsed.
        shifted = jnp.where(
            other_seen[:, None], other.offset + (other.pivot - pivot), 0
        )
        delta = jnp.where((seen & other_seen)[:, None], shifted - self.offset, 0)
        offset = jnp.where(
            seen[:, None], self.offset + (other.count / safe)[:, None] * delta, shifted
        )
        weight = self.count * (other.count / safe)
        unit, inverse, rescale = common_unit(self.unit, other.unit)
        _, _, other_rescale = common_unit(other.unit, self.unit)
        delta = delta * inverse
        spread = self.spread * rescale + other.spread * other_rescale
        scatter = self.scatter
        if scatter is not None and other.scatter is not None:
            scatter = scatter * rescale + other.scatter * other_rescale
            scatter = scatter + outer(weight, delta, scatter.ndim)
        largest = self.largest
        if largest is not None and other.largest is not None:
            largest = jnp.maximum(largest * rescale, other.largest * other_rescale)
        return ClassMoments(
            count=count,
            pivot=pivot,
            offset=offset,
            spread=spread + weight * jnp.sum(delta**2, -1),
            scatter=scatter,
            resolution=jnp.maximum(self.resolution, other.resolution),
            unit=unit,
            left_out=self.left_out + other.left_out,
            largest=largest,
        )

    def all_reduce(self, axis_name: str) -> ClassMoments:
        """Merges over a mesh axis, inside `shard_map`, `pmap` or a named `vmap`.

        Every device gets the same result.  Each class gets one pivot, that of the first
        device that has seen the class; the rest are sums, so that memory does not grow
        with the number of devices.

        Args:
            axis_name: name of the mesh axis.
        """
        index = jax.lax.axis_index(axis_name)
        far = jnp.iinfo(jnp.int32).max
        owner = jax.lax.pmin(jnp.where(self.count > 0, index, far), axis_name)
        pivot = jnp.where((owner == index)[:, None], self.pivot, 0)
        pivot = jax.lax.psum(pivot, axis_name)
        shifted = self.offset + (self.pivot - pivot)
        shifted = jnp.where(self.count[:, None] > 0, shifted, 0)
        count = jax.lax.psum(self.count, axis_name)
        safe = jnp.where(count > 0, count, 1)[:, None]
        offset = jax.lax.psum(self.count[:, None] * shifted, axis_name) / safe
        delta = jnp.where(self.count[:, None] > 0, shifted - offset, 0)
        unit = jax.lax.pmax(self.unit, axis_name)
        unit, inverse, rescale = common_unit(self.unit, unit)
        delta = delta * inverse
        spread = self.spread * rescale + self.count * jnp.sum(delta**2, -1)
        scatter = self.scatter
        if scatter is not None:
            means = outer(self.count, delta, scatter.ndim)
            scatter = jax.lax.psum(scatter * rescale + means, axis_name)
        largest = self.largest
        if largest is not None:
            largest = jax.lax.pmax(largest * rescale, axis_name)
        return ClassMoments(
            count=count,
            pivot=pivot,
            offset=offset,
            spread=jax.lax.psum(spread, axis_name),
            scatter=scatter,
            resolution=jax.lax.pmax(self.resolution, axis_name),
            unit=unit,
            left_out=jax.lax.psum(self.left_out, axis_name),
            largest=largest,
        )

    def describe(self) -> str:
        """One line: sizes, what is kept, how many rows were left out."""
        kinds = {None: "none", 2: "pooled", 3: "classes"}
        kind = kinds[None if self.scatter is None else self.scatter.ndim]
        text = f"K={self.num_classes}, d={self.feature_dim}, scatter={kind!r}"
        if not is_traced(self.left_out) and np.any(self.left_out):
            text += f", {np.sum(self.left_out):.0f} rows left out"
        return text

    def save(self, path: str | os.PathLike) -> None:
        """Writes an .npz file into an existing folder, whole or not at all."""
        arrays: dict[str, Any] = {
            k: np.asarray(v) for k, v in vars(self).items() if v is not None
        }
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> ClassMoments:
        """The moments in a file that `save` wrote.

        Args:
            path: the file.
        """
        with np.load(path) as file:
            arrays: dict[str, Any] = dict.fromkeys(["scatter"])
            arrays |= {name: jnp.asarray(file[name]) for name in file.files}
        return cls(**arrays)


def class_moments(
    features: Float[Array | np.ndarray, "n d"],
    labels: Integer[Array | np.ndarray, "n"],
    num_classes: int,
    weights: Float[Array, "n"] | None = None,
    *,
    scatter: Scatter = "pooled",
    largest_norm: bool = False,
) -> ClassMoments:
    """Moments of arrays that are all in memory.

    Args:
        features: features [n, d].
        labels: classes 0..K-1 [n], integers of any width; inside `jit` rows with
            another label are left out.
        num_classes: number of classes K.
        weights: weights of the rows [n]; see `ClassMoments.update`.
        scatter: what is kept of the scatter; see `ClassMoments.empty`.
        largest_norm: keep the largest norm of a feature too, for RNC1.

    Raises:
        TypeError: for labels that are no integers.
        ValueError: for labels that are not [n] or, where they are known, out of range.

    Example:
        >>> import jax.numpy as jnp, ncjax
        >>> ncjax.class_moments(jnp.eye(2), jnp.array([0, 1]), 2).means.tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    features = jnp.asarray(features)
    labels = class_indices(labels, num_classes, weights=weights)
    width, dtype = features.shape[1], jnp.promote_types(features.dtype, jnp.float32)
    kept: Any = {"scatter": scatter, "largest_norm": largest_norm, "dtype": dtype}
    state = ClassMoments.empty(num_classes, width, **kept)
    return state.update(features, labels, weights)
