"""NC2, the simplex: equal norms, equal and widest angles, of means or of a classifier.

Every function takes `rows`: either `ClassMoments`, meaning the centred class means, or
an array [K, d], such as the classifier, taken as it is; and `present` [K], the classes
that count, by default all that have samples.  All are 0 at a simplex equiangular tight
frame (ETF), whose Gram matrix is a multiple of P = I - 11'/K, and none depends on the
scale of the rows.
"""

from __future__ import annotations

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.collapse.means import Present, Rows, Scalar, select_rows
from ncjax.collapse.registry import TREE, headline, of_both, to_zero
from ncjax.collapse.tiles import (
    in_range,
    mean_pairs,
    norm,
    ratio,
    safe_divide,
    safe_sqrt,
    sum_pairs,
)
from ncjax.moments import dot


def equinorm(rows: Rows, present: Present = None, *, ddof: int = 0) -> Scalar:
    """Coefficient of variation of the row norms, std_k |m_k| / mean_k |m_k|.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.
        ddof: 0 divides the variance by K; 1, as `torch.std` does, by K - 1, which gives
            sqrt(K / (K - 1)) times the value.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    rows, present = select_rows(rows, present)
    norms = norm(rows, axis=1)
    variance = jnp.var(norms, where=present, ddof=ddof)
    return safe_sqrt(variance) / jnp.mean(norms, where=present)


def angle_statistics(rows: Rows, present: Present = None) -> dict[str, Scalar]:
    """Statistics of the cosines between different rows, in one pass over the pairs.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.

    Returns:
        `mean`, the mean cosine (-1/(K-1) at an ETF, where it is least);
        `equiangularity`, the standard deviation of the cosines (over pairs);
        `max_angle`, the mean of |cos + 1/(K-1)|, 0 where all angles are the widest.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    rows, present = select_rows(rows, present, row_normalise=True)
    number = jnp.sum(present).astype(rows.dtype)
    pairs, target = number * (number - 1), 1 / (number - 1)
    # sum_{j != k} u_j.u_k = |sum_k u_k|^2 - sum_k |u_k|^2 needs no pairs.
    mean = (jnp.sum(jnp.sum(rows, axis=0) ** 2) - jnp.sum(rows**2)) / pairs

    def deviations(left, right, *_):
        cosines = dot(left[0], right[0].T)
        return (cosines - mean) ** 2, jnp.abs(cosines + target)

    variance, distance = mean_pairs(deviations, present, (rows,))
    return {
        "mean": mean,
        "equiangularity": safe_sqrt(variance),
        "max_angle": distance,
    }


def nc2(rows: Rows, present: Present = None, *, row_normalise: bool = False) -> Scalar:
    """Distance of the Gram matrix of the rows from that of a simplex ETF.

    NC2 = || G/|G|_F - P/sqrt(K-1) ||_F, G = M M'.  In [0, sqrt(2)]; 0 exactly at an ETF
    of any size and orientation; at least sqrt(2 - 2 sqrt(d/(K-1))) for d < K - 1.  It
    is small for random means of many dimensions too (0.137 at K = 10, d = 512): a low
    NC2 alone is no evidence of collapse.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.
        row_normalise: divides each row by its norm, which hides unequal norms.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021 (of W).
        Kothapalli, Neural Collapse: A Review, TMLR 2023 (of the means).
    """
    rows, present = select_rows(rows, present, row_normalise=row_normalise)
    return simplex_distance(rows, rows, present)


def simplex_distance(
    left: Float[Array, "K d"], right: Float[Array, "K d"], present: Bool[Array, "K"]
) -> Scalar:
    """|| A/|A|_F - P/sqrt(K-1) ||_F for A = left right' [K, K].

    For K > 2 d it is at least 0.76, so that sqrt(2 - 2 <A, P>/(|A|_F sqrt(K-1)))
    does not cancel, and costs O(K d^2); otherwise it is summed over tiles of A, which
    is exact near 0.

    Args:
        left: rows [K, d], 0 for absent classes.
        right: rows [K, d], 0 for absent classes.
        present: the classes that count [K].
    """
    number = jnp.sum(present).astype(left.dtype)
    size = _product_norm(left, right)
    root = jnp.sqrt(number - 1)
    if left.shape[0] > 2 * left.shape[1]:
        overlap = jnp.sum(left * right)
        overlap -= dot(jnp.sum(left, axis=0), jnp.sum(right, axis=0)) / number
        value = safe_sqrt(2 - 2 * overlap / (size * root))
    else:

        def squares(left, right, same, _):
            projector = same - 1 / number
            product = safe_divide(dot(left[0], right[0].T), size)
            return (product - projector / root) ** 2

        value = safe_sqrt(sum_pairs(squares, present, (left,), (right,), diagonal=True))
    return jnp.where((size > 0) & (number > 1), value, jnp.nan)


def _product_norm(left, right):
    """|left right'|_F, from a K x K or a d x d matrix, whichever is smaller."""
    if left.shape[0] <= left.shape[1]:
        return norm(dot(left, right.T))
    if left is right:
        return norm(dot(left.T, left))
    # Not from sum(left'left * right'right), which cancels for unrelated spans.
    left, right = (jnp.linalg.qr(rows, mode="r") for rows in (left, right))
    return norm(dot(left, right.T))


def gram_distance(
    rows: Rows, target: Float[Array, "K K"], present: Present = None
) -> Scalar:
    """Distance of the Gram matrix of the rows from any target, both of unit norm.

    || G/|G|_F - T/|T|_F ||_F; in [0, sqrt(2)] for positive semi-definite T.  With
    T = I - 11'/K it is NC2; with the Gram matrix that a hierarchical loss asks for, it
    measures collapse to that.

    NaN where either is 0.

    Args:
        rows: moments or [K, d].
        target: T [K, K], symmetric, any scale.  Centred means have a centred Gram
            matrix: give P T P.
        present: [K], the classes that count; the rest of T is left out.

    Raises:
        ValueError: if the target is not [K, K].
    """
    rows, present = select_rows(rows, present)
    if target.shape != (rows.shape[0],) * 2:
        raise ValueError(
            f"The target Gram matrix has shape {target.shape}, the {rows.shape[0]} "
            f"rows need {(rows.shape[0],) * 2}."
        )
    mask = (present[:, None] & present[None]).astype(rows.dtype)
    target = target * mask
    gram = dot(rows, rows.T)
    target = in_range(target)
    return norm(ratio(gram, norm(gram)) - ratio(target, norm(target)))


def relative_gram(rows: Rows, present: Present = None) -> Float[Array, "K K"]:
    """Gram matrix of the rows, divided by their mean squared norm [K, K].

    Entry jk is m_j.m_k / (1/K sum_l |m_l|^2).  At a simplex ETF it is
    (K I - 11')/(K - 1).  Rows and columns of absent classes are 0; all is NaN where all
    rows are 0.

    Args:
        rows: moments or [K, d].
        present: [K], the classes that count.
    """
    rows, present = select_rows(rows, present)
    gram = dot(rows, rows.T)
    return ratio(gram, jnp.trace(gram) / jnp.sum(present))


def least_nc2(num_classes: int, feature_dim: int) -> float:
    """The least NC2 that features of a width allow; 0 where a simplex has room."""
    share = min(1.0, feature_dim / (num_classes - 1))
    return math.sqrt(max(0.0, 2 - 2 * math.sqrt(share)))


def zero_with_room(num_classes: int, feature_dim: int) -> float | None:
    """0 where there is room for a simplex; else 0 cannot be reached."""
    return 0.0 if feature_dim >= num_classes - 1 else None


METRICS = (
    headline(
        "nc2",
        "NC2",
        "NC2, of what the convention says",
        limit=least_nc2,
        curve="log",
        panel="NC2  distance of the means to a simplex",
    ),
    *of_both(
        "nc2_means",
        "NC2 of the means",
        "distance of the centred class means to a simplex (norms, angles)",
        lambda x: nc2(*x.means, row_normalise=x.convention.row_normalise),
        lambda x: nc2(*x.rows, row_normalise=x.convention.row_normalise),
        limit=least_nc2,
    ),
    *of_both(
        "equinorm",
        "equinorm",
        "relative spread of the norms of the centred class means",
        lambda x: equinorm(*x.means, ddof=x.convention.ddof),
        lambda x: equinorm(*x.rows, ddof=x.convention.ddof),
    ),
    *of_both(
        "equiangularity",
        "equiangularity",
        "standard deviation of the cosines of the centred class means",
        lambda x: x.angles["equiangularity"],
        lambda x: x.row_angles["equiangularity"],
        limit=zero_with_room,
    ),
    *of_both(
        "max_angle",
        "distance to the maximal angle",
        "mean distance of cosines of the centred class means from -1/(K-1)",
        lambda x: x.angles["max_angle"],
        lambda x: x.row_angles["max_angle"],
        limit=zero_with_room,
    ),
    to_zero(
        "gram_to_limit",
        "Gram distance to the limit",
        "distance of the Gram matrix of the means to that of vanishing regularisation",
        part=TREE,
        compared=("nc",),
        curve="log",
    ),
)
