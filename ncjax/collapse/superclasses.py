"""Collapse seen from a class tree: its superclasses, and the distances in it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax import struct
from ncjax.collapse.duality import nc3
from ncjax.collapse.means import (
    Rows,
    Scalar,
    Span,
    between_basis,
    present_classes,
    select_rows,
)
from ncjax.collapse.registry import TREE, Metric, one, to_zero
from ncjax.collapse.simplex import gram_distance, nc2
from ncjax.collapse.tiles import pair_mask, safe_divide, safe_sqrt, square_distances
from ncjax.collapse.variability import nc1
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments, dot
from ncjax.struct import Leaf
from ncjax.units import inverse_unit


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
    member = groups[None] == jnp.arange(num_groups)[:, None]  # [G, K]
    present = moments.count > 0
    pivot = moments.pivot[jnp.argmax(member & present[None], axis=1)]
    shifted = (moments.pivot - pivot[groups]) + moments.offset
    shifted = jnp.where(present[:, None], shifted, 0)
    offset = group_rows(shifted, groups, num_groups, moments.count)
    delta = jnp.where(present[:, None], shifted - offset[groups], 0)
    root = jnp.sqrt(moments.count)[:, None] * (delta * inverse_unit(moments.unit))
    scatter = moments.scatter
    if scatter is not None:
        scatter = scatter.sum(0) if scatter.ndim == 3 else scatter
        scatter = scatter + dot(root.T, root)
    member = member.astype(moments.count.dtype)
    return ClassMoments(
        count=dot(member, moments.count),
        pivot=pivot,
        offset=offset,
        spread=dot(member, moments.spread + jnp.sum(root**2, axis=1)),
        scatter=scatter,
        resolution=moments.resolution,
        unit=moments.unit,
        left_out=moments.left_out,
        largest=moments.largest,
    )


def group_variance(
    moments: ClassMoments,
    grouped: ClassMoments,
    groups: Int[Array, "K"],
    directions: Float[Array, "r d"],
) -> Float[Array, "r"]:
    """Variance of class means about their superclass mean along each direction.

    sum_k (n_k/N) (v_j . (mu_k - mu_{g(k)}))^2, over `moments.unit`^2.  Added to the
    `within_variance` of the classes it is that of the superclasses.

    Args:
        moments: class moments of K classes.
        grouped: `group_moments` of these moments.
        groups: superclass of each class [K].
        directions: v_j [r, d].
    """
    delta = moments.pivot - grouped.pivot[groups]
    delta = delta + (moments.offset - grouped.offset[groups])
    delta = jnp.where(moments.count[:, None] > 0, delta, 0)
    along = dot(delta, directions.T) * inverse_unit(moments.unit)
    return dot(moments.count / moments.total, along**2)


def group_rows(
    rows: Float[Array, "K d"],
    groups: Int[Array, "K"],
    num_groups: int,
    weights: Float[Array, "K"] | None = None,
) -> Float[Array, "G d"]:
    """Mean row of each superclass [G, d].

    Args:
        rows: [K, d], such as the classifier W.
        groups: superclass of each class [K], 0..G-1.
        num_groups: G.
        weights: weight of each class [K]; by default all have the same.
    """
    member = groups[None] == jnp.arange(num_groups)[:, None]
    shares = jnp.where(member, 1 if weights is None else weights, 0).astype(rows.dtype)
    return dot(safe_divide(shares, jnp.sum(shares, axis=1, keepdims=True)), rows)


def cophenetic_correlation(rows: Rows, distances: Float[Array, "K K"]) -> Scalar:
    """Correlation over pairs of classes of |mu_A - mu_B| with their tree distance.

    Pearson's, in [-1, 1]; NaN if all pairs are equally far apart in either.

    Args:
        rows: class moments, or the class means [K, d].
        distances: tree distance d(A, B) of each pair of classes [K, K].

    References:
        Sokal & Rohlf, The Comparison of Dendrograms by Objective Methods, Taxon 1962.
    """
    rows, present = select_rows(rows)
    mask = pair_mask(present)

    def standardise(x):
        return (x - jnp.mean(x, where=mask)) / jnp.std(x, where=mask)

    found = standardise(safe_sqrt(square_distances(rows, rows)))
    return jnp.mean(found * standardise(distances), where=mask)


def cosines_by_height(
    rows: Rows, heights: Int[Array, "K K"], height: int
) -> Float[Array, "H"]:
    """Mean cosine between centred rows of pairs by the height of their common ancestor.

    Args:
        rows: moments, meaning the centred class means, or rows [K, d] as they are.
        heights: height of the lowest common ancestor of each pair of classes [K, K].
        height: height H of the tree.

    Returns:
        [H], entry h-1 for pairs of height h; NaN where there is no such pair.
    """
    rows, present = select_rows(rows, row_normalise=True)
    cosines, mask = dot(rows, rows.T), pair_mask(present)
    return jnp.stack(
        [jnp.mean(cosines, where=mask & (heights == h + 1)) for h in range(height)]
    )


@struct.dataclass
class Level:
    """The superclasses at one depth of the tree, as the data fill them."""

    name: str = struct.field(pytree_node=False)  # "level" and the depth
    groups: Leaf  # [K] superclass of each class
    moments: ClassMoments  # of the superclasses
    basis: tuple[Leaf, Leaf]  # `between_basis` of them
    directions: Leaf  # [r', r] those of the basis, in the span of the class means
    means: Leaf  # [G, r] means of the superclasses, in the coordinates of that span
    present: Leaf  # [G] superclasses with samples


def superclass_levels(
    moments: ClassMoments, hierarchy: Hierarchy, span: Span
) -> list[Level]:
    """One `Level` for each depth above the classes at which something splits.

    The means of superclasses lie in the span of the class means, so all that a level
    needs of a feature are its coordinates there.

    Args:
        moments: moments of K classes.
        hierarchy: class tree over the K classes.
        span: `Span.of(moments)`.
    """
    levels = []
    for depth in hierarchy.levels[:-1]:
        groups, names = hierarchy.superclasses(depth)
        groups = jnp.asarray(groups)
        grouped = group_moments(moments, groups, len(names))
        basis = between_basis(grouped)
        levels.append(
            Level(
                f"level{depth}",
                groups,
                grouped,
                basis,
                directions=dot(basis[1], span.directions.T),
                means=group_rows(span.means, groups, len(names), moments.count),
                present=present_classes(grouped),
            )
        )
    return levels


def level_metrics(
    level: Level,
    moments: ClassMoments,
    within_variance: jax.Array,
    classifier: jax.Array | None,
) -> dict[str, jax.Array]:
    """NC1, NC2 and, with a classifier, NC3 of superclasses.

    The classifier of a superclass is the mean row of the classifiers of its classes.

    Args:
        level: one of `superclass_levels`.
        moments: moments of the classes.
        within_variance: `within_variance` of the classes [r], along the directions of
            the basis of the level.
        classifier: weights W [K, d] of the last layer, or None.
    """
    spread = group_variance(moments, level.moments, level.groups, level.basis[1])
    whole = within_variance + spread
    found = {
        "nc1": nc1(level.moments, within_variance=whole, basis=level.basis),
        "nc2": nc2(level.moments),
    }
    if classifier is not None:
        rows = group_rows(classifier, level.groups, level.moments.num_classes)
        found["nc3"] = nc3(level.moments, rows)
    return found


def tree_metrics(moments: ClassMoments, hierarchy: Hierarchy) -> dict[str, jax.Array]:
    """How far the class means follow the tree.

    - `cophenetic`: correlation of the distances of means with those in the tree.
    - `cosine_hH`: mean cosine of the centred means of the pairs of classes whose lowest
      common ancestor has height H.
    - `sibling_cosine`: the same for the pairs with the lowest common ancestors.
    - `gram`: distance of the Gram matrix of the means from -P D P, for which squared
      distances of means are proportional to the tree distances D.

    Args:
        moments: class moments of K classes.
        hierarchy: tree over the classes.
    """
    distances = hierarchy.distances()
    cosines = cosines_by_height(
        moments, jnp.asarray(hierarchy.lca_heights()), hierarchy.height
    )
    heights = np.unique(hierarchy.lca_heights())[1:]  # without 0, a class with itself
    found = {f"cosine_h{h}": cosines[h - 1] for h in heights}
    found["sibling_cosine"] = cosines[heights[0] - 1]
    found["cophenetic"] = cophenetic_correlation(moments, jnp.asarray(distances))
    gram = jnp.asarray(-distances, moments.count.dtype)
    centred = gram - gram.mean(0, keepdims=True)
    found["gram"] = gram_distance(moments, centred - centred.mean(1, keepdims=True))
    return found


METRICS = (
    to_zero(
        "gram_to_tree",
        "Gram distance to the tree",
        "distance of the Gram matrix of the means to -P D P of the tree's distances D",
        part=TREE,
        compared=("nc",),
        curve="log",
        panel="Distance of the means to the tree",
    ),
    Metric(
        "sibling_cosine",
        "sibling cosine",
        "mean cosine of the centred means of sibling classes",
        home="tree",
        part=TREE,
        compared=("tree",),
        curve="linear",
        panel="Cosine of sibling classes",
    ),
    Metric(
        "cophenetic",
        "cophenetic correlation",
        "correlation of the distances of class means with those in the tree",
        limit=one,
        home="tree",
        part=TREE,
    ),
)
