"""Generalized neural collapse: what NC1 to NC3 are for more classes than K = d + 1.

Then no simplex has room, and the theory is of a network whose features and classifier
have length 1.  GNC1 is NC1 of the normalised features h/|h|; GNC2 is the one-vs-rest
distance (`ncjax.collapse.margin`); GNC3 is the cosine of each row of W and the centred
mean of the normalised features of its class.  None depends on the lengths of features
or rows.  Beside them here: how far NC2 is above the least that d dimensions allow, the
narrowest angle, and effective ranks.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse import margin
from ncjax.collapse.duality import nc3_cosine
from ncjax.collapse.means import (
    Matrix,
    Present,
    Rows,
    Scalar,
    between_basis,
    least_share,
    rank_of_simplex,
    select_rows,
)
from ncjax.collapse.registry import (
    Metric,
    crowded,
    headline,
    of_both,
    unknown,
)
from ncjax.collapse.simplex import nc2
from ncjax.collapse.tiles import fold_pairs, norm, ratio, safe_divide
from ncjax.collapse.variability import nc1
from ncjax.moments import ClassMoments, dot


def normalise(features: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Features divided by their length, h/|h|; a feature of 0 stays 0.

    Args:
        features: h [n, d].
    """
    # Each by its largest entry first, for squares of 1e-20 are 0 in float32.
    largest = jnp.max(jnp.abs(features), axis=1, keepdims=True)
    features = safe_divide(features, jax.lax.stop_gradient(largest))
    return safe_divide(features, norm(features, axis=1)[:, None])


def gnc1(normalised: ClassMoments, *, divide_by_classes: bool = True) -> Scalar:
    """GNC1: NC1 of normalised features; 0 where each class has one direction.

    Args:
        normalised: class moments of the features h/|h|, with `scatter="pooled"`, such
            as `class_moments(normalise(features), labels, K)`.
        divide_by_classes: False leaves out the 1/K; see `nc1`.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024.
    """
    return nc1(normalised, divide_by_classes=divide_by_classes)


def gnc3(normalised: Rows, classifier: Matrix, present: Present = None) -> Scalar:
    """GNC3: mean over classes of 1 - cos(w_k, ubar_k - ubar_G); in [0, 2].

    ubar_k is the mean of the normalised features of class k, ubar_G that of all
    classes, as in the public code; the text of the paper does not subtract ubar_G,
    which is 0 where the code is balanced about the origin.

    Args:
        normalised: moments of the features h/|h|, with any scatter, or their centred
            class means [K, d].
        classifier: W [K, d], with rows w_k of any length.
        present: [K], the classes that count.

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes, ICML
        2024.
    """
    return nc3_cosine(normalised, classifier, present)


def nc2_excess(
    rows: Rows, present: Present = None, *, row_normalise: bool = False
) -> Scalar:
    """NC2 minus the least value that d dimensions allow; at least 0.

    The least is sqrt(2 - 2 sqrt(d/(K-1))) for d < K - 1, else 0.  For NC2^2 =
    2 - 2 tr(G P)/(|G|_F sqrt(K-1)), and with the eigenvalues g_j of G, at most d of
    which are above 0, tr(G P) <= sum_j g_j <= sqrt(d) |G|_F.  There is equality where
    the rows sum to 0 and form a tight frame.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.
        row_normalise: divides each row by its norm; the least value is the same.
    """
    value = nc2(rows, present, row_normalise=row_normalise)
    rows, present = select_rows(rows, present)
    share = rows.shape[1] / jnp.maximum(jnp.sum(present) - 1, 1)
    share = jnp.minimum(share.astype(value.dtype), 1)
    return value - jnp.sqrt(2 - 2 * jnp.sqrt(share))


def max_cosine(rows: Rows, present: Present = None) -> Scalar:
    """Greatest cosine between two different rows: that of the narrowest angle.

    1 minus it is a lower bound of the one-vs-rest distance, for any number of classes,
    and is equal to it at the best codes known, if they have no rattlers.  NaN with
    fewer than two classes present.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.
    """
    rows, present = select_rows(rows, present, row_normalise=True)

    def tile(left, right, same, mask, weight):
        return jnp.max(jnp.where(mask, dot(left[0], right[0].T), -jnp.inf))

    found = fold_pairs(tile, jnp.maximum, -jnp.inf, present, (rows,), None)
    return jnp.where(jnp.isneginf(found), jnp.nan, found)


def effective_rank(values: Float[Array, "r"]) -> Scalar:
    """exp(-sum_j p_j log p_j) with p_j = s_j / sum_i s_i; between 1 and the rank.

    Args:
        values: singular values s_j, at least 0.

    Returns:
        The number of equal singular values that have the same entropy; NaN if all are
        0.

    References:
        Roy & Vetterli, The Effective Rank: A Measure of Effective Dimensionality,
        EUSIPCO 2007.
    """
    shares = ratio(values, jnp.max(values))
    shares = shares / jnp.sum(shares)
    there = shares > 0
    terms = jnp.where(there, shares * jnp.log(jnp.where(there, shares, 1)), 0)
    return jnp.where(jnp.isnan(shares[0]), jnp.nan, jnp.exp(-jnp.sum(terms)))


def effective_rank_within(moments: ClassMoments) -> Scalar:
    """Effective rank of the features minus their class means.

    Singular values below 1e-3 of the largest (in float32; 5e-8 in float64) count as 0:
    they are square roots of eigenvalues of the scatter that may be rounding.

    Args:
        moments: class moments of the features, with `scatter="pooled"`.
    """
    powers = jnp.linalg.eigvalsh(moments.in_units().within_cov)[::-1]
    kept = powers > least_share(powers.dtype) * powers[0]
    return effective_rank(jnp.sqrt(jnp.where(kept, powers, 0)))


def _widest(num_classes: int, feature_dim: int) -> float | None:
    """The least possible greatest cosine, where it is known."""
    if feature_dim >= num_classes - 1:
        return -1 / (num_classes - 1)
    return 0.0 if num_classes <= 2 * feature_dim else None


METRICS = (
    headline(
        "gnc1",
        "GNC1",
        "NC1 of the normalised features h/|h|, for K > d + 1",
        lambda x: nc1(
            x.normalised,
            basis=between_basis(x.normalised, **x.weighting),
            divide_by_classes=x.convention.divide_by_classes,
        ),
        "normalised",
        unasked=crowded,
        changes_with=("shift",),
        log=True,
        curve="log",
        panel="GNC1  NC1 of the normalised features",
    ),
    *margin.METRICS,  # GNC2
    headline(
        "gnc3",
        "GNC3",
        "1 - cosine of each row of W and the mean of the normalised features",
        lambda x: gnc3(x.normalised, *x.rows),
        ("normalised", "classifier"),
        unasked=crowded,
        changes_with=("shift",),
        curve="log",
        panel="GNC3  1 - cosine of classifier and means",
    ),
    *of_both(
        "nc2_excess",
        "NC2 above its least value",
        "NC2 of the centred class means minus the least that d dimensions allow",
        lambda x: nc2_excess(*x.means, row_normalise=x.convention.row_normalise),
        lambda x: nc2_excess(*x.rows, row_normalise=x.convention.row_normalise),
        limit=unknown,
        unasked=crowded,
    ),
    *of_both(
        "max_cosine",
        "greatest cosine",
        "cosine of the narrowest angle between two of the centred class means",
        lambda x: max_cosine(*x.means),
        lambda x: max_cosine(*x.rows),
        limit=_widest,
        unasked=crowded,
    ),
    Metric(
        "effective_rank",
        "effective rank",
        "exp(entropy of the singular values) of the centred class means",
        lambda x: effective_rank(x.basis[0]),
        limit=rank_of_simplex,
    ),
    Metric(
        "effective_rank_within",
        "effective rank within classes",
        "the same of the features minus their class means",
        lambda x: effective_rank_within(x.moments),
        "scatter",
        gradient=False,
    ),
)
