"""The second pass over features and targets, which needs their final moments.

How far features lie from the span of their first t principal directions, and from that
of the rows of W, is summed of each feature minus its projection: 1 minus an explained
share would lose all that is below the rounding of float32.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax import struct
from ncjax.averages import Averages
from ncjax.blocks import dot
from ncjax.regression.conventions import Convention
from ncjax.regression.moments import RegressionMoments
from ncjax.regression.spans import covers, outside, principal_axes, row_axes
from ncjax.struct import Leaf

DEFAULT = Convention()
_ROWS = 256  # rows of a block


@struct.dataclass
class RegressionPass:
    """Sums over features and targets that need the moments of the training set.

    Make one with `RegressionPass.empty`.  The examples that it takes in may be those of
    the training set again or of another set.
    """

    pivot: Leaf  # [d + t] of the moments
    offset: Leaf  # [d + t] mean of the training set minus pivot
    scale: Leaf  # [2] inverse units of features and targets
    axes: dict[str, Leaf]  # "nrc1": principal directions, "nrc2": rows of W [r, d]
    averages: Averages  # over the examples seen so far

    @classmethod
    def empty(
        cls,
        moments: RegressionMoments,
        classifier: Float[Array, "t d"] | None = None,
        convention: Convention = DEFAULT,
    ) -> RegressionPass:
        """A second pass that has seen no examples.

        Args:
            moments: moments of the training features and targets.
            classifier: W, or None: then nothing is known of its rows.
            convention: whether principal directions are those of centred features.
        """
        axes = {"nrc1": principal_axes(moments, centred=convention.centre_pca)}
        if classifier is not None:
            axes["nrc2"] = row_axes(classifier.astype(moments.pivot.dtype))
        each = ("residual", "centred", "squared")
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(each, (moments.outputs,))
        shapes |= dict.fromkeys(("variance", "alive", "norm"), ())
        for name in axes:
            ends = ("", "_raw", "_unit", "_unit_centred")
            shapes |= dict.fromkeys((f"{name}{end}" for end in ends), ())
        return cls(
            pivot=moments.pivot,
            offset=moments.offset,
            scale=jnp.stack([moments.scale(0), moments.scale(1)]),
            axes=axes,
            averages=Averages.empty(shapes, moments.pivot.dtype),
        )

    @property
    def _width(self) -> int:
        return self.axes["nrc1"].shape[-1]

    def update(
        self,
        features: Float[Array | np.ndarray, "n d"],
        targets: Float[Array | np.ndarray, "n t"],
        predictions: Float[Array | np.ndarray, "n t"],
        weights: Float[Array, "n"] | None = None,
    ) -> RegressionPass:
        """Takes in a batch.

        Args:
            features: features h [n, d].
            targets: targets y [n, t].
            predictions: outputs of the network [n, t].
            weights: weights of the rows [n], not negative; by default 1.  0 leaves a
                row out, but its numbers must still be finite.
        """
        pivot, offset = self.pivot[: self._width], self.offset[: self._width]
        features = jnp.asarray(features)
        deviations = (features.astype(pivot.dtype) - pivot[None]) - offset[None]
        return self.update_deviations(deviations, targets, predictions, weights)

    def residual_deviations(
        self,
        residuals: Float[Array, "... d"],
        targets: Float[Array | np.ndarray, "... t"],
        moments: RegressionMoments,
    ) -> Float[Array, "... d"]:
        """Features minus their mean, of features minus the pivot of some moments."""
        del targets
        moved = self.offset + (self.pivot - moments.pivot)
        moved = moved[: self._width].reshape((1,) * (residuals.ndim - 1) + (-1,))
        return residuals - moved

    def update_deviations(
        self,
        deviations: Float[Array, "n d"],
        targets: Float[Array | np.ndarray, "n t"],
        predictions: Float[Array | np.ndarray, "n t"],
        weights: Float[Array, "n"] | None = None,
    ) -> RegressionPass:
        """Takes in features minus their mean [n, d]; see `update`."""
        targets, predictions = map(jnp.asarray, (targets, predictions))
        if weights is None:
            weights = jnp.ones(len(deviations), self.pivot.dtype)
        # What is made of a few rows stays in the cache.
        whole = len(deviations) // _ROWS * _ROWS
        rows = deviations, targets, predictions, weights
        blocks = jax.tree.map(
            lambda x: x[:whole].reshape(-1, _ROWS, *x.shape[1:]), rows
        )
        averages, _ = jax.lax.scan(
            lambda sums, block: (sums.update(*self._values(*block)), None),
            self.averages,
            blocks,
        )
        if whole < len(deviations):
            averages = averages.update(*self._values(*(x[whole:] for x in rows)))
        return self._with(averages)

    def _values(self, deviations, targets, predictions, weights):
        """What is averaged of some rows, and their weights."""
        dtype = self.pivot.dtype
        x = deviations * self.scale[0]
        mean = (self.pivot + self.offset)[: self._width] * self.scale[0]
        squares = jnp.sum(x**2, 1)
        apart = {name: outside(mean[None], axes) for name, axes in self.axes.items()}
        # One product with all rows: each alone takes almost as long.
        rows = [mean[None], *apart.values(), *self.axes.values()]
        ends = np.cumsum([len(x) for x in rows])
        along, *parts = jnp.split(
            dot(x, jnp.concatenate(rows).T), ends[len(apart) : -1], axis=1
        )
        # |h|^2 from what is known; of a feature of 0, such as one of dead units, only
        # rounding is left, and it has no direction.
        terms = squares + jnp.sum(mean**2)
        norms = terms + 2 * along[:, 0]
        rounding = 32 * jnp.finfo(dtype).eps
        alive, moves = norms > rounding * terms, squares > 0
        values = {"variance": squares, "alive": alive, "norm": jnp.maximum(norms, 0)}
        safe = jnp.where(alive, norms, 1)
        for number, (name, axes) in enumerate(self.axes.items(), 1):
            own = jnp.sum(outside(x, axes, parts[number - 1]) ** 2, 1)
            raw = own + 2 * along[:, number] + jnp.sum(apart[name] ** 2)
            raw = jnp.maximum(raw, 0)
            values[name], values[f"{name}_raw"] = own, raw
            values[f"{name}_unit"] = jnp.where(alive, raw / safe, 0)
            share = own / jnp.where(moves, squares, 1)
            values[f"{name}_unit_centred"] = jnp.where(moves, share, 0)
        pivot, offset = self.pivot[self._width :], self.offset[self._width :]
        centred = ((targets.astype(dtype) - pivot[None]) - offset[None]) * self.scale[1]
        residual = (targets.astype(dtype) - predictions.astype(dtype)) * self.scale[1]
        values |= {"residual": residual**2, "centred": centred, "squared": centred**2}
        return values, weights

    def merge(self, other: RegressionPass) -> RegressionPass:
        """Both sets of examples together; the moments must be the same."""
        return self._with(self.averages.merge(other.averages))

    def all_reduce(self, axis_name: str) -> RegressionPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        return self._with(self.averages.all_reduce(axis_name))

    def compute(self) -> dict[str, jax.Array]:
        """The results; NaN where there is nothing to compare with.

        Returns:
            Of NAME in `nrc1` and, with a classifier, `nrc2`: NAME, the share of the
            features' variance outside of the span; NAME_raw, the mean squared distance
            of features to it; NAME_unit, that of features over their length; and
            NAME_unit_centred, the same of features minus the training mean.  All are
            NaN where the span is all of feature space.  `r2`: 1 minus the squared
            errors over the squares of y minus the mean of the set, both summed over
            examples and targets; `r2_worst`, the least of the targets; `mse`, mean over
            examples of the squared error, a sum over targets.
        """
        means = self.averages.compute()
        found, unit = {}, jnp.where(self.scale > 0, 1 / self.scale, 1)
        for name, axes in self.axes.items():
            share = _ratio(means[name], means["variance"])
            found[name] = share
            found[f"{name}_raw"] = means[f"{name}_raw"] * unit[0] * unit[0]
            found[f"{name}_unit"] = _ratio(means[f"{name}_unit"], means["alive"])
            ends = f"{name}_unit_centred"
            found[ends] = jnp.where(means["variance"] > 0, means[ends], jnp.nan)
            nothing = covers(axes) | ~jnp.any(axes != 0)
            for end in ("", "_raw", "_unit", "_unit_centred"):
                key = f"{name}{end}"
                found[key] = jnp.where(nothing, jnp.nan, found[key])
        spread = means["squared"] - means["centred"] ** 2
        found["r2"] = 1 - _ratio(means["residual"].sum(-1), spread.sum(-1))
        found["r2_worst"] = jnp.min(1 - _ratio(means["residual"], spread), -1)
        found["mse"] = means["residual"].sum(-1) * unit[1] * unit[1]
        return found

    def _with(self, averages: Averages) -> RegressionPass:
        return dataclasses.replace(self, averages=averages)


def _ratio(top: jax.Array, bottom: jax.Array) -> jax.Array:
    """Their quotient; NaN unless the divisor is more than 0."""
    return jnp.where(bottom > 0, top / jnp.where(bottom > 0, bottom, 1), jnp.nan)
