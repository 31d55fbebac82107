"""NC1, variability collapse: how small classes are beside the distances of their means.

Sigma_W = (1/N) sum_i (h_i - mu_{y_i})(h_i - mu_{y_i})' and
Sigma_B = (1/K) sum_k (mu_k - mu_G)(mu_k - mu_G)'.  Measures are 0 for collapsed
features and NaN where undefined: fewer than two classes, or all class means equal.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.blocks import scan_blocks
from ncjax.collapse.means import (
    Scalar,
    Weighting,
    between_basis,
    centred_means,
    class_weights,
    least_share,
    present_classes,
    right_singular,
    squared_norm_ratio,
)
from ncjax.collapse.registry import Metric, headline, to_zero
from ncjax.collapse.tiles import in_range, norm, safe_divide
from ncjax.labels import widened
from ncjax.moments import ClassMoments, class_moments, dot
from ncjax.units import inverse_unit

Basis = tuple[Float[Array, "r"], Float[Array, "r d"]]


def within_variance(
    features: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    moments: ClassMoments,
    directions: Float[Array, "r d"],
    weights: Float[Array, "n"] | None = None,
) -> Float[Array, "r"]:
    """Within-class variance along each direction, with no d x d scatter.

    (1/N) sum_i w_i (v_j . (h_i - mu_{y_i}))^2, N = sum_i w_i; O(N d r) operations.
    `SecondPass` finds the same batch by batch.

    Args:
        features: features h_i [n, d].
        labels: class y_i of each feature [n], in 0..K-1; rows with another label are
            left out.
        moments: moments of the same features; `scatter="none"` is enough.
        directions: directions v_j [r, d], as `between_basis` gives them.
        weights: weight w_i of each row [n], not negative; 0 leaves a row out.

    Returns:
        Variances [r] over `moments.unit`^2, which is 1 for features of ordinary size.
    """
    num_classes, dtype = moments.num_classes, moments.count.dtype
    labels = widened(labels)
    inside = (labels >= 0) & (labels < num_classes)
    weights = jnp.where(inside, 1 if weights is None else weights, 0).astype(dtype)
    labels = jnp.where(inside, labels, 0)
    inverse = inverse_unit(moments.unit)

    def visit(sums, rows):
        # Differences first: the projections themselves would cancel; and the pivot
        # first, as its sum with the offset would be rounded.
        features, labels, weights = rows
        residuals = features.astype(dtype) - moments.pivot[labels]
        along = dot(residuals - moments.offset[labels], directions.T) * inverse
        return sums + dot(weights.astype(dtype), along**2)

    sums = jnp.zeros(len(directions), dtype)
    return scan_blocks(visit, sums, (features, labels, weights)) / jnp.sum(weights)


def nc1_of_features(
    features: Float[Array, "n d"], labels: Integer[Array, "n"], num_classes: int
) -> Scalar:
    """`nc1` of features in memory, in the cheaper of two ways.

    The d x d scatter costs O(N d^2) operations, the variance along the r = K - 1
    directions of the class means O(N d r); which is the less depends on K and d alone.

    Args:
        features: features [n, d].
        labels: class of each feature [n], in 0..K-1; inside `jit` rows with another
            label are left out, outside they are an error.
        num_classes: number of classes K.
    """
    if 2 * (num_classes - 1) > features.shape[1]:
        return nc1(class_moments(features, labels, num_classes))
    moments = class_moments(features, labels, num_classes, scatter="none")
    basis = between_basis(moments)
    variance = within_variance(features, labels, moments, basis[1])
    return nc1(moments, within_variance=variance, basis=basis)


def nc1(
    moments: ClassMoments,
    *,
    within_variance: Float[Array, "r"] | None = None,
    basis: Basis | None = None,
    divide_by_classes: bool = True,
) -> Scalar:
    """Within-class covariance seen by the inverse of the between-class covariance.

    NC1 = (1/K) tr(Sigma_W pinv(Sigma_B)) = sum_j v_j' Sigma_W v_j / s_j^2, with the
    singular values s_j and directions v_j of the centred class means.  0 at collapse;
    unchanged by shifts, scale and rotations of the features.

    Args:
        moments: moments of the features, with `scatter="pooled"` unless
            `within_variance` is given.
        within_variance: within-class variance [r] along the directions of the basis,
            over `moments.unit`^2, from the function of that name or from `SecondPass`;
            then no scatter is needed.
        basis: what `between_basis` gives, if it is at hand or is that of another
            weighting.
        divide_by_classes: False leaves out the 1/K, as the code of Papyan et al. does.

    Returns:
        A scalar, no unit.  Its gradient needs distinct singular values; at an exact
        ETF, where they are equal, `trace_ratio` has one.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021.
    """
    wide = moments.num_classes > moments.feature_dim
    if wide and basis is None and within_variance is None:
        return _full_rank_nc1(moments.in_units(), divide_by_classes)
    moments, (values, directions) = _in_units(moments, basis)
    if within_variance is not None and within_variance.shape != values.shape:
        raise ValueError(
            f"within_variance has shape {within_variance.shape}, but the basis has "
            f"{values.shape[0]} directions; give the variance along each of them."
        )
    if within_variance is None:
        projected = dot(directions, moments.within_cov)
        within_variance = jnp.sum(projected * directions, axis=1)
    return _over_between(moments, within_variance, values, divide_by_classes)


def _in_units(moments, basis):
    """The moments in their unit, and the basis, by default theirs, in it too."""
    inside = moments.in_units()
    if basis is None:
        return inside, between_basis(inside)
    values, directions = basis
    return inside, (values * inverse_unit(moments.unit), directions)


def _full_rank_nc1(moments, divide_by_classes):
    """NC1 for K > d: tr(R^-T Sigma_W R^-1) with the triangular factor R of the means.

    A third of the time of their SVD, which is taken only if one of the d directions
    could be among those that `between_basis` drops.
    """
    rows = centred_means(moments)
    factor = jnp.linalg.qr(rows, mode="r")
    identity = jnp.eye(rows.shape[1], dtype=rows.dtype)
    inverse = jax.scipy.linalg.solve_triangular(factor, identity)
    number = jnp.sum(present_classes(moments))

    def triangular():
        ratio = jnp.sum(dot(moments.within_cov, inverse) * inverse)
        return ratio if divide_by_classes else ratio * number

    def singular():
        basis = between_basis(moments)
        return nc1(moments, basis=basis, divide_by_classes=divide_by_classes)

    # The product of the norms is at least s_1 / s_d; NaN is not under the bound.
    regular = norm(factor) * norm(inverse) < 1 / least_share(rows.dtype)
    return jax.lax.cond(regular & (number > rows.shape[1]), triangular, singular)


def nc1_floor(
    moments: ClassMoments,
    *,
    basis: Basis | None = None,
    divide_by_classes: bool = True,
) -> Scalar:
    """The NC1 that rounding of the stored features alone would give.

    An entry near mu_kj in a floating-point format is off by a uniform error of variance
    u^2 / 12 with u = eps 2^floor(log2 |mu_kj|), eps being the resolution of the
    coarsest feature type the moments have seen.  The floor is NC1 of that covariance,
    averaged over samples.  All that a measured NC1 at or under it says is that NC1 is
    below the precision of the features.  (If deviations are far below u, features of a
    class round to the same number, and NC1 falls below the floor.)

    Args:
        moments: class moments of the features, with any scatter or none.
        basis: what `between_basis` returns; see `nc1`.
        divide_by_classes: False leaves out the 1/K.

    Returns:
        A scalar, comparable with `nc1` of the same options.
    """
    moments, (values, directions) = _in_units(moments, basis)
    rounding = dot(class_weights(moments, "samples"), rounding_variance(moments))
    variance = dot(directions**2, rounding)
    return _over_between(moments, variance, values, divide_by_classes)


def rounding_variance(moments: ClassMoments) -> Float[Array, "K d"]:
    """Variance that rounding gives each entry of the features of a class [K, d]."""
    means = moments.means
    mantissa, exponent = jnp.frexp(means)  # |mantissa| in [1/2, 1), or 0
    power = jnp.where(mantissa != 0, jnp.ldexp(jnp.ones_like(means), exponent - 1), 0)
    return (moments.resolution * power) ** 2 / 12


def _over_between(moments, variance, values, divide_by_classes):
    """sum_j variance_j / s_j^2 over the kept directions; NaN if there is none."""
    ratio = jnp.sum(safe_divide(safe_divide(variance, values), values))
    if not divide_by_classes:
        ratio = ratio * jnp.sum(present_classes(moments))
    return jnp.where(values[0] > 0, ratio, jnp.nan)


def trace_ratio(
    moments: ClassMoments,
    *,
    global_mean: Weighting = "classes",
    between: Weighting = "classes",
) -> Scalar:
    """tr(Sigma_W) / tr(Sigma_B), the weaker NC1 that needs no scatter matrix.

    At an ETF, NC1 <= (K-1)/K times this.

    Args:
        moments: class moments of the features.
        global_mean: which mean is subtracted from the means; see `centred_means`.
        between: weights of the classes in Sigma_B; see `between_basis`.

    References:
        Tirer & Bruna, Extended Unconstrained Features Model, ICML 2022.
    """
    moments = moments.in_units()
    centred = centred_means(moments, global_mean=global_mean)
    weights = class_weights(moments, between)
    total = dot(weights, jnp.sum(centred**2, axis=1))
    within = jnp.sum(moments.spread) / moments.total
    return jnp.where(total > 0, within / total, jnp.nan)


def rnc1(moments: ClassMoments) -> Scalar:
    """tr(Sigma_W) / B^2 with B = max_i |h_i|, the rescaled NC1 of the grokking theory.

    The variance within classes after the features are divided by a bound of their
    norm.  In [0, 1]; 0 at collapse.  The norm is that of the features as they are: a
    common part makes RNC1 smaller, and whether the class means differ has no part in
    it, so a small RNC1 alone is no evidence of collapse.  NaN where NC1 is: fewer than
    two classes, or all class means equal.

    Args:
        moments: class moments of the features that keep the largest norm, with any
            scatter or none.

    Raises:
        ValueError: for moments without the largest norm.

    References:
        Sakamoto & Sato, Explaining Grokking and Information Bottleneck through Neural
        Collapse Emergence, ICLR 2026, arXiv 2509.20829.  Their B is the supremum over
        all inputs; here it is the largest norm that was seen.
    """
    if moments.largest is None:
        raise ValueError(
            "RNC1 needs the largest norm of a feature: make the moments with "
            "ClassMoments.empty(..., largest_norm=True)."
        )
    centred = centred_means(moments.in_units())
    apart = jnp.any(centred != 0)
    within = jnp.sum(moments.spread) / moments.total
    return jnp.where(apart, safe_divide(within, moments.largest), jnp.nan)


def vci(moments: ClassMoments, *, basis: Basis | None = None) -> Scalar:
    """Variability collapse index: 1 - tr(pinv(Sigma_T) Sigma_B) / rank(Sigma_B).

    Sigma_T = Sigma_W + Sigma_B.  In [0, 1]; 0 at collapse; unchanged by any invertible
    linear map of the features.

    Near collapse 1 - tr(...) would cancel, so it is computed otherwise.  In the basis
    of the means, with singular values S, let C be the part of Sigma_W that the features
    orthogonal to the means do not predict, its Schur complement.  With
    E = K S^-1 C S^-1 the index is tr((I + E)^-1 E) / rank, a sum of positive terms.

    Args:
        moments: class moments of the features, with `scatter="pooled"`.
        basis: what `between_basis` returns; see `nc1`.

    Returns:
        A scalar, no unit; without a gradient, for it passes degenerate eigenvalues.

    References:
        Xu & Liu, Quantifying the Variability Collapse of Neural Networks, ICML 2023.
    """
    moments, (values, directions) = _in_units(moments, basis)
    within = moments.within_cov
    kept = values > 0
    inside = jnp.where(kept[:, None], directions, 0)
    cross = dot(inside, within)  # [r, d]
    # Sigma_W in the orthogonal complement of the means: (I - V'V) Sigma_W (I - V'V).
    outside = within - dot(inside.T, cross) - dot(cross.T, inside)
    outside += dot(inside.T, dot(dot(cross, inside.T), inside))
    power, vectors = jnp.linalg.eigh((outside + outside.T) / 2)
    largest = jnp.maximum(power[-1], 0)
    # Directions with no more variance than rounding are empty, such as dead units.
    cut = within.shape[0] * jnp.finfo(within.dtype).eps * largest
    inverse = jnp.where(power > cut, 1 / jnp.where(power > cut, power, 1), 0)
    # Schur complement: C = V Sigma_W V' - (V Sigma_W U) (U' Sigma_W U)^-1 (...)'.
    predicted = dot(cross - dot(dot(cross, inside.T), inside), vectors)
    schur = dot(cross, inside.T) - dot(predicted * inverse[None], predicted.T)
    number = jnp.sum(present_classes(moments)).astype(within.dtype)
    scale = safe_divide(jnp.sqrt(number), values)
    ratio = scale[:, None] * schur * scale[None]
    spectrum = jnp.maximum(jnp.linalg.eigvalsh((ratio + ratio.T) / 2), 0)
    rank = jnp.sum(kept)
    index = jnp.sum(spectrum / (1 + spectrum)) / jnp.maximum(rank, 1)
    return jnp.where(rank > 0, index, jnp.nan)


def numerical_rank(rows: Float[Array, "n d"]) -> Scalar:
    """Squared ratio of nuclear and Frobenius norm, (sum_j s_j)^2 / sum_j s_j^2.

    Between 1 and the rank.  For the features of one class, not centred, it tends to 1
    under collapse (Markou et al. average it over classes); for the centred class means
    it is K - 1 at an ETF.

    Args:
        rows: features or means [n, d], with singular values s_j.

    References:
        Markou, Ajanthan & Gould, Guiding Neural Collapse, NeurIPS 2024.
    """
    return squared_norm_ratio(right_singular(in_range(rows))[0])


METRICS = (
    headline(
        "nc1",
        "NC1",
        "spread within classes over distance between their means",
        lambda x: nc1(x.moments, within_variance=x.within_variance, **x.nc1_options),
        "within",
        on_test="NC1 of the test features about the training means",
        log=True,
        compared=("nc", "test"),
        curve="log",
        panel="NC1  within / between class variance",
    ),
    Metric(
        "nc1_floor",
        "NC1 floor",
        "the NC1 that rounding of the features alone would give",
        lambda x: nc1_floor(x.moments, **x.nc1_options),
        changes_with=("shift", "scale", "rotate"),
        gradient=False,
    ),
    to_zero(
        "trace_ratio",
        "trace ratio",
        "total variance within over between classes",
        lambda x: trace_ratio(x.moments, **x.weighting),
        log=True,
    ),
    to_zero(
        "rnc1",
        "RNC1",
        "variance within classes over the largest squared norm; 0 to 1",
        lambda x: rnc1(x.moments),
        needs="norm",
        changes_with=("shift",),
        log=True,
    ),
    to_zero(
        "vci",
        "VCI",
        "variability collapse index, blind to linear maps; 0 to 1",
        lambda x: vci(x.moments, basis=x.basis),
        "scatter",
        gradient=False,
    ),
)
