"""Collapse seen from the class tree: superclasses, and distances in the tree."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ncjax.collapse.means import select_rows
from ncjax.collapse.tiles import dot, safe_divide, safe_sqrt, square_distances
from ncjax.moments import ClassMoments


def group_moments(
    moments: ClassMoments, groups: Int[Array, "K"], num_groups: int
) -> ClassMoments:
    """Moments of superclasses, each with all the samples of its classes.

    Args:
        moments: class moments of K classes.
        groups: superclass of each class [K], 0..G-1.
        num_groups: G.

    Returns:
        Moments of G classes; a pooled scatter if there was one, else none.
    """
    member = _membership(groups, num_groups, moments)  # [G, K]
    present = moments.count > 0
    first = jnp.argmax(member * present[None], axis=1)
    pivot = moments.pivot[first]
    shifted = (moments.pivot - pivot[groups]) + moments.offset
    weighted = member * moments.count[None]
    count = jnp.sum(weighted, axis=1)
    share = safe_divide(weighted, count[:, None])
    offset = dot(share, jnp.where(present[:, None], shifted, 0))
    delta = jnp.where(present[:, None], shifted - offset[groups], 0)
    root = jnp.sqrt(moments.count)[:, None] * delta
    scatter = moments.scatter
    if scatter is not None:
        scatter = scatter.sum(0) if scatter.ndim == 3 else scatter
        scatter = scatter + dot(root.T, root)
    return ClassMoments(
        count=count,
        pivot=pivot,
        offset=offset,
        spread=dot(member, moments.spread + jnp.sum(root**2, axis=1)),
        scatter=scatter,
        resolution=moments.resolution,
    )


def group_variance(
    moments: ClassMoments,
    grouped: ClassMoments,
    groups: Int[Array, "K"],
    directions: Float[Array, "r d"],
) -> Float[Array, "r"]:
    """Variance of class means about their superclass mean along each direction.

    sum_k (n_k/N) (v_j . (mu_k - mu_{g(k)}))^2.  Added to the `within_variance` of
    the classes it is that of the superclasses.

    Args:
        moments: class moments of K classes.
        grouped: `group_moments` of these moments.
        groups: superclass of each class [K].
        directions: v_j [r, d].
    """
    delta = (moments.pivot - grouped.pivot[groups]) + (
        moments.offset - grouped.offset[groups]
    )
    delta = jnp.where(moments.count[:, None] > 0, delta, 0)
    return dot(moments.count / moments.total, dot(delta, directions.T) ** 2)


def group_rows(
    rows: Float[Array, "K d"], groups: Int[Array, "K"], num_groups: int
) -> Float[Array, "G d"]:
    """Mean row of each superclass [G, d], as a classifier of superclasses takes it.

    Args:
        rows: [K, d], such as the classifier W.
        groups: superclass of each class [K], 0..G-1.
        num_groups: G.
    """
    member = _membership(groups, num_groups, rows)
    return dot(member / jnp.sum(member, axis=1, keepdims=True), rows)


def cophenetic_correlation(
    rows: ClassMoments | Float[Array, "K d"], distances: Float[Array, "K K"]
) -> Float[Array, ""]:
    """Correlation over pairs of classes of |mu_A - mu_B| with their tree distance.

    Pearson's, in [-1, 1]; NaN if all pairs are equally far apart in either.

    Args:
        rows: class moments, or the class means [K, d].
        distances: tree distance d(A, B) of each pair of classes [K, K].

    References:
        Sokal & Rohlf, The Comparison of Dendrograms by Objective Methods, Taxon 1962.
    """
    rows, present = select_rows(rows, None)
    found = safe_sqrt(square_distances(rows, rows))
    pairs = _pairs(present, rows.dtype)
    found, wanted = _standardise(found, pairs), _standardise(distances, pairs)
    return jnp.sum(pairs * found * wanted) / jnp.sum(pairs)


def cosines_by_height(
    rows: ClassMoments | Float[Array, "K d"], heights: Int[Array, "K K"], height: int
) -> Float[Array, "H"]:
    """Mean cosine between centred rows of pairs by the height of their common ancestor.

    Args:
        rows: moments, meaning the centred class means, or rows [K, d] as they are.
        heights: height of the lowest common ancestor of each pair of classes [K, K].
        height: height H of the tree.

    Returns:
        [H], entry h-1 for pairs of height h; NaN where there is no such pair.
    """
    rows, present = select_rows(rows, None, row_normalise=True)
    cosines = dot(rows, rows.T)
    pairs = _pairs(present, rows.dtype)

    def mean(h):
        chosen = pairs * (heights == h)
        return jnp.sum(chosen * cosines) / jnp.sum(chosen)

    return jax.lax.map(mean, jnp.arange(1, height + 1))


def _membership(groups, num_groups, like):
    dtype = like.count.dtype if isinstance(like, ClassMoments) else like.dtype
    return (groups[None] == jnp.arange(num_groups)[:, None]).astype(dtype)


def _pairs(present, dtype):
    """1 for each ordered pair of different classes that are there, [K, K]."""
    mask = present[:, None] & present[None] & ~jnp.eye(len(present), dtype=bool)
    return mask.astype(dtype)


def _standardise(values, weights):
    total = jnp.sum(weights)
    values = values - jnp.sum(weights * values) / total
    return values / jnp.sqrt(jnp.sum(weights * values**2) / total)
