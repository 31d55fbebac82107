"""What the scores of outliers know of a network and its training features."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax import struct
from ncjax.collapse.means import class_weights, global_mean, present_classes, total_cov
from ncjax.collapse.tiles import norm, ratio, safe_divide
from ncjax.moments import ClassMoments, dot
from ncjax.options import check_value
from ncjax.struct import Leaf


@struct.dataclass
class Known:
    """A classifier, and what is known of the features it was trained on; see `fit`.

    K classes, feature width d.  Lengths are those of the features divided by `unit`, a
    power of 2, wherever squares are taken.
    """

    weights: Leaf  # [K, d] classifier W
    bias: Leaf  # [K]
    unit: Leaf  # []
    means: Leaf  # [K, d] class means, over unit
    present: Leaf  # [K] which classes have training features
    mean: Leaf  # [d] mean of all training features, over unit
    within: Leaf  # [d, d] whitening of the covariance within classes; see `whitening`
    total: Leaf  # [d, d] whitening of the covariance of all features
    principal: Leaf  # [r, d] directions of most variance, for NECO
    origin: Leaf  # [d] the point where all logits are 0, as near as can be; over unit
    residual: Leaf  # [d - D, d] directions in which features about it vary least
    virtual: Leaf  # [] factor alpha of ViM
    clip: Leaf  # [] threshold of ReAct
    bank: Leaf  # [m, d] directions h/|h| of training features
    there: Leaf  # [m] which rows of the bank hold one
    nci_weight: Leaf  # [] factor of the 1-norm in NCI
    neighbours: int = struct.field(pytree_node=False, default=50)

    def logits(self, features: Float[Array, "n d"]) -> Float[Array, "n K"]:
        """W h + b [n, K]."""
        return dot(features, self.weights.T) + self.bias[None]

    def scaled(self, features: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Features over `unit`."""
        return features / self.unit


def fit(
    moments: ClassMoments,
    weights: Float[Array, "K d"],
    bias: Float[Array, "K"],
    bank: Float[Array, "m d"],
    there: Bool[Array, "m"] | None = None,
    *,
    neighbours: int = 50,
    principal: int = 0,
    main: int = 0,
    percentile: float = 90.0,
    nci_weight: float = 1e-3,
) -> Known:
    """What all scores of `ncjax.ood.SCORES` need, from one pass over training features.

    Args:
        moments: moments of the training features, with `scatter="pooled"`.
        weights: classifier W [K, d].
        bias: b [K].
        bank: training features [m, d], all of them or an even sample.
        there: which rows of the bank count; all by default.
        neighbours: k of KNN, 1 to m.
        principal: directions that NECO keeps, 1 to d; 0 for K - 1, the number under
            collapse, or d if that is less.
        main: D, the directions that ViM counts as those of known data, 1 to d - 1; 0
            for the authors' rule: 1,000 from d = 2,048 on, 512 from d = 768 on, else
            d/2.
        percentile: percentile of the entries of training features at which ReAct cuts
            off, above 0, at most 100.
        nci_weight: factor of the 1-norm in NCI, at least 0 and finite.

    Returns:
        What is known, a pytree; a function of it can be compiled.

    Raises:
        ValueError: for an option out of range, or shapes that do not fit each other.
    """
    width = moments.feature_dim
    main = main or _main(width)
    principal = principal or min(moments.num_classes - 1, width)
    _check_shapes(moments, weights, bias, bank)
    rows = len(bank)
    check_value("neighbours", neighbours, lambda k: 1 <= k <= rows, f"in 1..{rows}")
    check_value("principal", principal, lambda r: 1 <= r <= width, f"in 1..{width}")
    check_value("main", main, lambda r: 1 <= r < width, f"in 1..{width - 1}")
    check_value("percentile", percentile, lambda p: 0 < p <= 100, "above 0, up to 100")
    finite = "at least 0 and finite"
    check_value("nci_weight", nci_weight, lambda a: 0 <= a < float("inf"), finite)
    there = jnp.ones(rows, bool) if there is None else there
    unit, scaled = moments.unit, moments.in_units()
    mean = global_mean(scaled, "samples")
    spread = total_cov(scaled)
    _, directions = jnp.linalg.eigh(spread)
    # Wang et al. centre at -W^+ b, in the unit of the features.
    origin = -dot(jnp.linalg.pinv(weights), bias) / unit
    residual = _least(scaled, origin, width - main)
    inside = dot(bank / unit - origin[None], residual.T)
    lengths = jnp.mean(norm(inside, axis=1), where=there)
    largest = jnp.max(dot(bank, weights.T) + bias[None], axis=1)
    entries = jnp.where(there[:, None], bank, jnp.nan)
    return Known(
        weights=weights,
        bias=bias,
        unit=unit,
        means=scaled.means,
        present=present_classes(moments),
        mean=mean,
        within=whitening(scaled.within_cov),
        total=whitening(spread),
        principal=directions.T[::-1][:principal],
        origin=origin,
        residual=residual,
        virtual=ratio(jnp.mean(largest, where=there), lengths),
        clip=jnp.nanpercentile(entries, percentile),
        bank=unit_rows(bank),
        there=there,
        nci_weight=jnp.asarray(nci_weight, bank.dtype),
        neighbours=neighbours,
    )


def whitening(covariance: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """A with A'A = Sigma^+: |A x|^2 is the squared Mahalanobis length of x.

    Directions in which the covariance is 0 up to rounding do not count (a row of zeros
    each), as in a pseudo-inverse: under collapse most are of this kind.

    Args:
        covariance: Sigma [d, d], symmetric and positive semi-definite.
    """
    values, vectors = jnp.linalg.eigh(covariance)
    # What rounding makes of an eigenvalue of 0 is up to d eps times the largest.
    rounding = len(covariance) * jnp.finfo(covariance.dtype).eps
    kept = values > jnp.maximum(rounding * jnp.max(values), 0)
    scales = jnp.where(kept, 1 / jnp.sqrt(jnp.where(kept, values, 1)), 0)
    return scales[:, None] * vectors.T


def unit_rows(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Rows divided by their lengths; rows of 0 stay 0."""
    # By their largest entry first, for squares of 1e-20 are 0 in float32.
    rows = safe_divide(rows, jnp.abs(rows).max(axis=1, keepdims=True))
    return safe_divide(rows, norm(rows, axis=1)[:, None])


def _least(moments: ClassMoments, origin: jax.Array, number: int) -> jax.Array:
    """Directions [r, d] in which features vary least about a point, by mean square."""
    about = moments.means - origin[None]
    weighted = class_weights(moments, "samples")[:, None] * about
    _, vectors = jnp.linalg.eigh(moments.within_cov + dot(weighted.T, about))
    return vectors.T[:number]


def _main(width: int) -> int:
    """D of ViM, as its authors choose it by the width of the features."""
    if width >= 2048:
        return 1000
    return 512 if width >= 768 else max(1, width // 2)


def _check_shapes(moments, weights, bias, bank) -> None:
    """Raises `ValueError` for shapes that do not fit each other."""
    classes, width = moments.num_classes, moments.feature_dim
    wanted = {"weights": (classes, width), "bias": (classes,), "bank": (None, width)}
    for (name, shape), array in zip(wanted.items(), (weights, bias, bank), strict=True):
        fits = len(array.shape) == len(shape) and all(
            size in (None, got) for size, got in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{name} has shape {array.shape}; moments of {classes} classes and "
                f"width {width} need {list(shape)}.".replace("None", "m")
            )
    if width < 2:
        raise ValueError("Scores of outliers need features of width 2 or more.")
