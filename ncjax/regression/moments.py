"""Streaming moments of features and targets: the statistics of regression collapse.

`RegressionMoments` holds how many examples were seen, the means of features h [d] and
targets y [t], and the scatters S_hh, S_hy and S_yy about them.  Like `ClassMoments` it
is a pytree that is updated batch by batch inside `jit`, `scan`, `vmap` and `shard_map`,
merged with another, and summed over a mesh axis, and does not depend on the split.

Precision and range.  All sums are of differences to a *pivot*, the first example, and
batches are combined by the pairwise update of Chan et al. 1983; squares are kept over
powers of 2, one unit for features and one for targets (`ncjax.units`).
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax import struct
from ncjax.blocks import dot, scan_blocks
from ncjax.options import is_traced
from ncjax.struct import Leaf
from ncjax.units import common_unit, inverse_unit, unit_near

# As of class moments: sizes up to 2^32, or down to 2^-33, have the unit 1.
_STEP = 64
_SAMPLED = 32


@struct.dataclass
class RegressionMoments:
    """Count, means and scatter of z = (h, y): features of width d, t targets.

    Make one with `RegressionMoments.empty`, or from arrays with `regression_moments`.
    """

    count: Leaf  # [] number (or total weight) of the examples
    pivot: Leaf  # [d + t] first example; 0 before any
    offset: Leaf  # [d + t] mean minus pivot
    scatter: Leaf  # [d + t, d + t] sum of (z - mean)(z - mean)', over the units
    # [2] powers of 2 near the sizes of features and of targets; 0 before any
    unit: Leaf
    outputs: int = struct.field(pytree_node=False)  # t

    @classmethod
    def empty(
        cls, outputs: int, feature_dim: int, *, dtype=jnp.float32
    ) -> RegressionMoments:
        """Moments of nothing.

        Args:
            outputs: t, number of targets of an example, at least 1.
            feature_dim: d, at least 1.
            dtype: type of the numbers kept; float32, or float64 when x64 is on.

        Raises:
            ValueError: for sizes below 1.
        """
        if outputs < 1 or feature_dim < 1:
            raise ValueError(
                f"outputs and feature_dim must be at least 1, got {outputs} and "
                f"{feature_dim}."
            )
        width = outputs + feature_dim
        return cls(
            count=jnp.zeros((), dtype),
            pivot=jnp.zeros(width, dtype),
            offset=jnp.zeros(width, dtype),
            scatter=jnp.zeros((width, width), dtype),
            unit=jnp.zeros(2, dtype),
            outputs=outputs,
        )

    @property
    def feature_dim(self) -> int:
        """Width d of the features."""
        return self.pivot.shape[-1] - self.outputs

    @property
    def total(self) -> jax.Array:
        """N, the number (or total weight) of all examples."""
        return self.count

    @property
    def mean(self) -> jax.Array:
        """Mean feature [d]."""
        return (self.pivot + self.offset)[: self.feature_dim]

    @property
    def target_mean(self) -> jax.Array:
        """Mean target [t]."""
        return (self.pivot + self.offset)[self.feature_dim :]

    @property
    def feature_cov(self) -> jax.Array:
        """(1/N) sum_i (h_i - mean)(h_i - mean)' [d, d], over the unit of features^2."""
        return self._block(slice(None, self.feature_dim), slice(None, self.feature_dim))

    @property
    def cross_cov(self) -> jax.Array:
        """(1/N) sum_i (h_i - mean)(y_i - mean)' [d, t], over both units."""
        return self._block(slice(None, self.feature_dim), slice(self.feature_dim, None))

    @property
    def target_cov(self) -> jax.Array:
        """Sigma [t, t] = (1/N) sum_i (y_i - mean)(y_i - mean)', over their unit^2."""
        return self._block(slice(self.feature_dim, None), slice(self.feature_dim, None))

    def _block(self, rows: slice, columns: slice) -> jax.Array:
        safe = jnp.where(self.count > 0, self.count, 1)
        return self.scatter[rows, columns] / safe

    def residual(
        self,
        features: Float[Array | np.ndarray, "n d"],
        labels: Float[Array | np.ndarray, "n t"],
    ) -> Float[Array, "n d"]:
        """Features minus the pivot."""
        del labels
        return jnp.asarray(features) - self.pivot[None, : self.feature_dim]

    def update(
        self,
        features: Float[Array | np.ndarray, "n d"],
        targets: Float[Array | np.ndarray, "m t"],
        weights: Float[Array | np.ndarray, "n"] | None = None,
    ) -> RegressionMoments:
        """The moments with one more batch.

        Args:
            features: features h [n, d], bfloat16, float16, float32 or float64.
            targets: targets y [n, t], of the same kinds.
            weights: weights of the rows [n], at least 0; 0 masks a row, whose numbers
                must be finite all the same.

        Raises:
            ValueError: for shapes that are not those of the state.
        """
        shapes = (self.feature_dim,), (self.outputs,)
        if (features.shape[1:], targets.shape[1:]) != shapes:
            raise ValueError(
                f"features and targets have shapes {features.shape} and "
                f"{targets.shape}; these moments take [n, {self.feature_dim}] and "
                f"[n, {self.outputs}]."
            )
        if len(targets) != len(features):
            raise ValueError(f"{len(targets):,} targets of {len(features):,} features.")
        batch = jax.tree.map(jnp.asarray, (features, targets, weights))
        return scan_blocks(lambda state, rows: state._take(*rows), self, batch)

    def _take(self, features, targets, weights) -> RegressionMoments:
        """Moments with one more batch, which is to fit the cache."""
        dtype = self.count.dtype
        features, targets = features.astype(dtype), targets.astype(dtype)
        z = jnp.concatenate([features, targets], 1)
        n = len(z)
        mass = jnp.ones(n, dtype) if weights is None else weights.astype(dtype)
        first = z[0] if weights is None else z[jnp.argmax(mass > 0)]
        added = jnp.sum(mass)
        seen, both = self.count > 0, (self.count > 0) & (added > 0)
        pivot = jnp.where(seen, self.pivot, jnp.where(added > 0, first, 0))
        residual = z - pivot[None]
        mean = dot(mass[None], residual)[0] / jnp.where(added > 0, added, 1)
        count = self.count + added
        delta = jnp.where(both, mean - self.offset, 0)
        gain = added / jnp.where(both, count, 1)
        # About this centre one product gives the scatter of the batch and the
        # correction for the means; see `ncjax.batches.take_means`.
        share = jnp.where(both, self.count / jnp.where(both, count, 1), 1)
        centre = mean - jnp.sqrt(share) * delta
        few = slice(None, None, max(1, n // _SAMPLED))
        sizes = [jnp.max(jnp.abs(x[few]), initial=0) for x in (features, targets)]
        near = jnp.stack([unit_near(size, _STEP) for size in sizes])
        unit, scale, rescale = self._units(near)
        residual = (residual - centre[None]) * scale[None]
        left = residual if weights is None else mass[:, None] * residual
        return dataclasses.replace(
            self,
            count=count,
            pivot=pivot,
            offset=jnp.where(seen, self.offset + gain * delta, mean),
            scatter=self.scatter * rescale + dot(left.T, residual),
            unit=unit,
        )

    def _units(self, other: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Common units [2], inverse of each entry [d + t], factors of the scatter."""
        pairs = [common_unit(self.unit[i], other[i]) for i in (0, 1)]
        unit = jnp.stack([pair[0] for pair in pairs])
        # Units are powers of 2, and so are their ratios and the roots of these.
        factor = self._spread([jnp.sqrt(pair[2]) for pair in pairs])
        scale = self._spread([pair[1] for pair in pairs])
        return unit, scale, factor[:, None] * factor[None]

    def _spread(self, pair: list[jax.Array]) -> jax.Array:
        """One number for each feature and one for each target [d + t]."""
        sizes = self.feature_dim, self.outputs
        return jnp.concatenate([jnp.full(k, x) for x, k in zip(pair, sizes)])

    def merge(self, other: RegressionMoments) -> RegressionMoments:
        """Moments of both sets of examples together; exact, associative, commutative.

        With delta = mean_B - mean_A, S = S_A + S_B + n_A n_B / (n_A + n_B) delta delta'
        (Chan et al. 1983).

        Raises:
            ValueError: if the two differ in d or t.
        """
        if (self.outputs, self.pivot.shape) != (other.outputs, other.pivot.shape):
            raise ValueError(
                "Only moments of the same feature width and number of targets can be "
                f"merged, got {self.describe()} and {other.describe()}."
            )
        count = self.count + other.count
        safe = jnp.where(count > 0, count, 1)
        pivot = jnp.where(self.count > 0, self.pivot, other.pivot)
        shifted = other.offset + (other.pivot - pivot)
        shifted = jnp.where(other.count > 0, shifted, 0)
        both = (self.count > 0) & (other.count > 0)
        delta = jnp.where(both, shifted - self.offset, 0)
        gain = other.count / safe
        unit, scale, rescale = self._units(other.unit)
        other_rescale = other._units(self.unit)[2]
        step = delta * scale
        between = (self.count * gain) * step[:, None] * step[None]
        return dataclasses.replace(
            self,
            count=count,
            pivot=pivot,
            offset=jnp.where(self.count > 0, self.offset + gain * delta, shifted),
            scatter=self.scatter * rescale + other.scatter * other_rescale + between,
            unit=unit,
        )

    def all_reduce(self, axis_name: str) -> RegressionMoments:
        """Merges over a mesh axis, inside `shard_map`; every device gets the same.

        Args:
            axis_name: name of the mesh axis.
        """
        index, far = jax.lax.axis_index(axis_name), jnp.iinfo(jnp.int32).max
        owner = jax.lax.pmin(jnp.where(self.count > 0, index, far), axis_name)
        pivot = jax.lax.psum(jnp.where(owner == index, self.pivot, 0), axis_name)
        shifted = jnp.where(self.count > 0, self.offset + (self.pivot - pivot), 0)
        count = jax.lax.psum(self.count, axis_name)
        safe = jnp.where(count > 0, count, 1)
        offset = jax.lax.psum(self.count * shifted, axis_name) / safe
        unit, scale, rescale = self._units(jax.lax.pmax(self.unit, axis_name))
        step = jnp.where(self.count > 0, shifted - offset, 0) * scale
        between = self.count * step[:, None] * step[None]
        scatter = jax.lax.psum(self.scatter * rescale + between, axis_name)
        return dataclasses.replace(
            self, count=count, pivot=pivot, offset=offset, scatter=scatter, unit=unit
        )

    def scale(self, which: int) -> jax.Array:
        """Inverse of the unit of features (0) or targets (1); 1 before any."""
        return inverse_unit(self.unit[which])

    def describe(self) -> str:
        """One line: sizes, and how many examples."""
        seen = "" if is_traced(self.count) else f", {np.sum(self.count):,.0f} examples"
        return f"d={self.feature_dim}, t={self.outputs}{seen}"


def regression_moments(
    features: Float[Array | np.ndarray, "n d"],
    targets: Float[Array | np.ndarray, "n t"],
    weights: Float[Array, "n"] | None = None,
) -> RegressionMoments:
    """Moments of arrays that are all in memory.

    Args:
        features: features h [n, d].
        targets: targets y [n, t].
        weights: weights of the rows [n]; see `RegressionMoments.update`.

    Example:
        >>> import jax.numpy as jnp
        >>> from ncjax.regression import regression_moments
        >>> moments = regression_moments(jnp.eye(2), jnp.array([[0.0], [2.0]]))
        >>> moments.target_mean.tolist(), moments.target_cov.tolist()
        ([1.0], [[1.0]])
    """
    features, targets = jnp.asarray(features), jnp.asarray(targets)
    dtype = jnp.promote_types(features.dtype, jnp.float32)
    sizes = targets.shape[1], features.shape[1]
    return RegressionMoments.empty(*sizes, dtype=dtype).update(
        features, targets, weights
    )
