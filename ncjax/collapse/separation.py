"""Class separation by pairs: class-distance normalised variance, signal to noise.

They need no scatter matrix, only the trace of each class's covariance, and are summed
over pairs of classes tile by tile.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import Scalar, centred_means, present_classes
from ncjax.collapse.registry import Metric, infinity, to_zero
from ncjax.collapse.tiles import mean_pairs, pair_mask, square_distances
from ncjax.moments import ClassMoments


def cdnv_matrix(moments: ClassMoments) -> Float[Array, "K K"]:
    """Class-distance normalised variance of each pair of classes [K, K].

    V_ij = (Var_i + Var_j) / (2 |mu_i - mu_j|^2), Var_i = mean of |h - mu_i|^2 over
    class i.  The diagonal and the rows and columns of empty classes are NaN.

    Args:
        moments: class moments of the features.

    References:
        Galanti, Gyorgy & Hutter, On the Role of Neural Collapse in Transfer Learning,
        ICLR 2022.
    """
    mask, rows = pair_mask(present_classes(moments)), _rows(moments)
    value = _cdnv(rows, rows, None, mask)
    return jnp.where(mask, value, jnp.nan)


def cdnv(moments: ClassMoments) -> Scalar:
    """Mean of `cdnv_matrix` over pairs of different classes, tile by tile.

    At an ETF NC1 <= 2 CDNV, with equality if Sigma_W lies in the span of the means.

    Args:
        moments: class moments of the features.
    """
    return mean_pairs(_cdnv, present_classes(moments), _rows(moments))


def snr(moments: ClassMoments) -> Scalar:
    """Mean signal-to-noise ratio |mu_i - mu_j|^2 / tr(Sigma_i + Sigma_j) of pairs.

    That of a pair is 1 / (2 V_ij); infinite for collapsed classes.

    Args:
        moments: class moments of the features.

    References:
        Lanzillotta, Meier & Hofmann, Heads Collapse, Features Stay, 2025.
    """
    return mean_pairs(_snr, present_classes(moments), _rows(moments))


def _rows(moments):
    """What the functions of a pair take: centred means [K, d], variances [K]."""
    moments = moments.in_units()
    return centred_means(moments), moments.variances


def _cdnv(left, right, _, mask):
    """V_ij [m, n] of blocks of (centred means, variances); see `sum_pairs`."""
    distances = jnp.where(mask, square_distances(left[0], right[0]), 1)
    return (left[1][:, None] + right[1][None]) / (2 * distances)


def _snr(left, right, _, mask):
    """1 / (2 V_ij) [m, n], finite off the mask; see `sum_pairs`."""
    noise = jnp.where(mask, left[1][:, None] + right[1], 1)
    return square_distances(left[0], right[0]) / noise


METRICS = (
    to_zero(
        "cdnv",
        "CDNV",
        "variance over squared distance, mean of all class pairs",
        lambda x: cdnv(x.moments),
        log=True,
    ),
    Metric(
        "snr",
        "SNR",
        "squared distance over variance, mean of all class pairs",
        lambda x: snr(x.moments),
        limit=infinity,
        smaller_is_better=False,
        log=True,
    ),
)
