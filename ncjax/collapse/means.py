"""Centred class means, their singular directions, and which classes there are.

Every metric starts here.  Classes without samples (count 0) are masked: their rows are
0 and K is the number of classes present, so a metric equals that of the data without
the class, at static shapes.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ncjax.collapse.registry import Metric, crowded
from ncjax.collapse.tiles import norm, ratio, safe_divide
from ncjax.moments import ClassMoments, dot

Weighting = Literal["classes", "samples"]
Rows = ClassMoments | Float[Array, "K d"]
Present = Bool[Array, "K"] | None
Matrix = Float[Array, "K d"]
Scalar = Float[Array, ""]


def least_share(dtype: Any) -> float:
    """Fraction of the largest singular value below which others are rounding: 8.4 eps.

    Args:
        dtype: type of the numbers; 1e-6 for float32, 2e-15 for float64.
    """
    return 1e-6 * float(jnp.finfo(dtype).eps) * 2.0**23


def present_classes(moments: ClassMoments) -> Bool[Array, "K"]:
    """Which classes have samples [K].

    Args:
        moments: class moments of the features.
    """
    return moments.count > 0


def class_weights(
    moments: ClassMoments, weighting: Weighting = "classes"
) -> Float[Array, "K"]:
    """Weights of the classes [K], sum 1: 1/K each (`"classes"`) or n_k/N (`"samples"`).

    Classes without samples have weight 0.

    Args:
        moments: class moments of the features.
        weighting: `"classes"` or `"samples"`.

    Raises:
        ValueError: for another weighting.
    """
    present = present_classes(moments).astype(moments.count.dtype)
    known = {"classes": present, "samples": moments.count}
    if weighting not in known:
        raise ValueError(
            f"Unknown weighting {weighting!r}. Available: {', '.join(known)}."
        )
    return safe_divide(known[weighting], jnp.sum(known[weighting]))


def centred_means(
    moments: ClassMoments, *, global_mean: Weighting = "classes"
) -> Float[Array, "K d"]:
    """Class means minus the global mean, Mc [K, d]; rows of empty classes are 0.

    Safe in float32 when features have a large common part: what is averaged are the
    means minus the pivot of one class, so the common part is never rounded into them.

    Args:
        moments: class moments of the features; K >= 2.
        global_mean: `"classes"` for the mean of the class means, `"samples"` for the
            mean of all features.  They differ when classes are unbalanced; with the
            second the rows of Mc do not sum to 0, and NC2 of an ETF is not 0.

    Returns:
        [K, d], in the unit of the features.

    Raises:
        ValueError: for fewer than two classes.
    """
    return centre(moments, global_mean).means


def total_cov(moments: ClassMoments) -> Float[Array, "d d"]:
    """Sigma_T = Sigma_W + sum_k (n_k/N) (mu_k - mu)(mu_k - mu)', mu over all features.

    Args:
        moments: class moments of the features, with `scatter="pooled"`.
    """
    centred = centred_means(moments, global_mean="samples")
    weighted = class_weights(moments, "samples")[:, None] * centred
    return moments.within_cov + dot(weighted.T, centred)


def global_mean(
    moments: ClassMoments, weighting: Weighting = "classes"
) -> Float[Array, "d"]:
    """mu_G [d]: mean of the class means, or of all features.

    Args:
        moments: class moments of the features.
        weighting: `"classes"` for the mean of the class means, `"samples"` for the mean
            of all features.
    """
    about = centre(moments, weighting)
    return about.origin + about.shift


class Centred(NamedTuple):
    """Class means minus the global mean, which is `origin + shift`; see `centre`."""

    origin: jax.Array  # [d] a point near the global mean, to subtract first
    shift: jax.Array  # [d] global mean minus that point
    means: jax.Array  # [K, d] centred class means
    present: jax.Array  # [K] True for classes that have samples

    def points(self, features: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Features minus the global mean; a large common part is not rounded in."""
        rest = features.astype(self.origin.dtype) - self.origin[None]
        return rest - self.shift[None]


def centre(moments: ClassMoments, weighting: Weighting = "classes") -> Centred:
    """The class means about their global mean; see `centred_means`."""
    if moments.num_classes < 2:
        raise ValueError(
            "Neural collapse compares class means: it needs at least 2 classes, got "
            f"{moments.num_classes}."
        )
    present = present_classes(moments)
    weights = class_weights(moments, weighting)
    origin = moments.pivot[jnp.argmax(present)]
    shifted = (moments.pivot - origin[None]) + moments.offset
    shifted = jnp.where(present[:, None], shifted, 0)
    shift = dot(weights, shifted)
    rest = dot(weights, jnp.where(present[:, None], shifted - shift[None], 0))
    shift = shift + rest  # the second pass removes what the first one rounded
    centred = jnp.where(present[:, None], shifted - shift[None], 0)
    # What a mean at the global mean leaves is rounding, which has no direction.
    rounding = 2 * jnp.finfo(shifted.dtype).eps * jnp.max(jnp.abs(shifted))
    gone = jnp.all(jnp.abs(centred) < rounding, axis=1, keepdims=True)
    centred = jnp.where(gone, 0, centred)
    return Centred(origin, shift, centred, present)


def between_basis(
    moments: ClassMoments,
    *,
    global_mean: Weighting = "classes",
    between: Weighting = "classes",
) -> tuple[Float[Array, "r"], Float[Array, "r d"]]:
    """Singular values and right singular directions of the centred class means.

    Sigma_B = (1/K) sum_j s_j^2 v_j v_j', so that pinv(Sigma_B) needs no d x d pinv,
    which no float32 code survives.  Of r = min(K - 1, d) directions, those beyond the
    structural rank (number of present classes - 1) or with s_j of rounding size beside
    s_1 (`least_share`) have singular value 0: a function that divides by s_j leaves
    them out.

    Args:
        moments: class moments of the features.
        global_mean: which mean is subtracted from the means; see `centred_means`.
        between: weight of each class in Sigma_B, 1/K (`"classes"`) or n_k/N.

    Returns:
        s [r], in the unit of the features, largest first, and V [r, d], orthonormal
        rows.
    """
    unit, moments = moments.unit, moments.in_units()
    rows = centred_means(moments, global_mean=global_mean)
    number = jnp.sum(present_classes(moments))
    if between != "classes":
        weights = class_weights(moments, between) * number.astype(rows.dtype)
        rows = jnp.sqrt(weights)[:, None] * rows
    values, directions = right_singular(rows)
    rank = min(moments.num_classes - 1, moments.feature_dim)
    values, directions = values[:rank], directions[:rank]
    large = values > least_share(rows.dtype) * values[0]
    kept = (jnp.arange(rank) < number - 1) & large
    return jnp.where(kept, values, 0) * unit, directions


def right_singular(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Singular values [r] and right singular vectors [r, d]; r = min(K, d).

    For K > d they are those of the triangular factor: a d x d problem that, unlike the
    Gram matrix, does not square the condition number.

    Args:
        rows: a matrix [K, d].
    """
    if rows.shape[0] > rows.shape[1]:
        rows = jnp.linalg.qr(rows, mode="r")
    _, values, directions = jnp.linalg.svd(rows, full_matrices=False)
    return values, directions


class Span(NamedTuple):
    """The span of the class means, with r = min(K-1, d) orthonormal directions.

    NC1 and the nearest class mean depend on a feature only through its coordinates
    there.  One product with the directions, taken of the features minus their class
    mean, serves both: it is all that a second pass over the features has to compute.

    Make it with `Span.of`, once per measurement, from the moments of the training set.
    """

    pivot: jax.Array  # [K, d] a point near each class mean, to subtract first
    offset: jax.Array  # [K, r] class mean minus pivot, along the directions
    directions: jax.Array  # [r, d] of `between_basis`
    means: jax.Array  # [K, r] centred class means, along the directions
    present: jax.Array  # [K] True for classes that have samples
    unit: jax.Array  # [] of `ClassMoments`, for squares
    origin: jax.Array  # [r] global mean, along the directions

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
        origin = dot(directions, global_mean(moments))
        return cls(pivot, offset, directions, means, present, moments.unit, origin)

    def with_pivot(self, pivot: Float[Array, "K d"]) -> Span:
        """The same span for features minus another pivot, also near the class means."""
        moved = dot(self.pivot - pivot, self.directions.T)
        return self._replace(pivot=pivot, offset=self.offset + moved)

    def deviations(
        self, features: Float[Array, "n d"], labels: Int[Array, "n"]
    ) -> Float[Array, "n r"]:
        """v_j . (h_i - mu_{y_i}): each feature minus its class mean, along v_1 .. v_r.

        For the features of the training set the mean of the squares, over `unit`^2, is
        the `within_variance`.

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


def select_rows(
    rows: Rows,
    present: Present = None,
    *,
    center: bool = False,
    row_normalise: bool = False,
    scaled: bool = True,
) -> tuple[Float[Array, "K d"], Bool[Array, "K"]]:
    """Rows that a geometry metric works on, as they are or centred or normalised.

    Once normalised a row of 0, which has no direction, is NaN.

    Args:
        rows: moments, whose centred class means are taken, or an array [K, d] such as
            the classifier.
        present: [K], the classes that count; by default those of the moments, or all.
        center: subtracts the mean of the present rows (for arrays; means already are).
        row_normalise: divides each row by its norm.
        scaled: divides all by the largest entry.  Most metrics are blind to scale, and
            squares of 1e-20 are 0 in float32.

    Returns:
        Rows [K, d], 0 where absent, and the mask [K].
    """
    if isinstance(rows, ClassMoments):
        present = present_classes(rows) if present is None else present
        rows = centred_means(rows)
    if present is None:
        present = jnp.ones(rows.shape[0], bool)
    if present.shape[0] != rows.shape[0]:
        raise ValueError(
            f"There are {rows.shape[0]} rows, but `present` has {present.shape[0]}."
        )
    rows = jnp.where(present[:, None], rows, 0)
    if scaled:
        rows = safe_divide(rows, jax.lax.stop_gradient(jnp.max(jnp.abs(rows))))
    if center:
        mean = jnp.sum(rows, axis=0) / jnp.maximum(jnp.sum(present), 1)
        rows = jnp.where(present[:, None], rows - mean.astype(rows.dtype), 0)
    if row_normalise:
        units = ratio(rows, norm(rows, axis=1)[:, None])
        rows = jnp.where(present[:, None], units, 0)
    return rows, present


def squared_norm_ratio(values: Float[Array, "r"]) -> Scalar:
    """(sum_j s_j)^2 / sum_j s_j^2 of singular values, largest first; NaN if all 0."""
    values = ratio(values, values[0])
    return jnp.sum(values) ** 2 / jnp.sum(values**2)


def _full_rank(num_classes: int, feature_dim: int) -> float:
    """The number of dimensions that centred class means can span."""
    return float(min(num_classes - 1, feature_dim))


def rank_of_simplex(num_classes: int, feature_dim: int) -> float | None:
    """Rank of the centred means of a simplex, K - 1; None where it has no room."""
    return None if crowded(num_classes, feature_dim) else float(num_classes - 1)


METRICS = (
    Metric(
        "rank",
        "rank",
        "dimensions that the centred class means span",
        lambda x: jnp.sum(x.basis[0] > 0).astype(x.basis[0].dtype),
        limit=_full_rank,
        gradient=False,
    ),
    Metric(
        "numerical_rank",
        "numerical rank",
        "the same, counting weak directions less",
        lambda x: squared_norm_ratio(x.basis[0]),
        limit=rank_of_simplex,
    ),
)
