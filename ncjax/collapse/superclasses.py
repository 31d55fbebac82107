"""Collapse of superclasses at every level of a class tree, from class moments."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import struct
from ncjax.collapse.duality import nc3
from ncjax.collapse.levels import (
    cophenetic_correlation,
    cosines_by_height,
    group_moments,
    group_rows,
    group_variance,
)
from ncjax.collapse.means import between_basis, present_classes
from ncjax.collapse.registry import TREE, Metric, one, zero
from ncjax.collapse.simplex import gram_distance, nc2
from ncjax.collapse.span import Span
from ncjax.collapse.tiles import dot, safe_divide
from ncjax.collapse.variability import nc1
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments, Leaf


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
        member = (groups[None] == jnp.arange(len(names))[:, None]) * moments.count[None]
        share = safe_divide(member, grouped.count[:, None])
        levels.append(
            Level(
                f"level{depth}",
                groups,
                grouped,
                basis,
                directions=dot(basis[1], span.directions.T),
                means=dot(share, span.means),
                present=present_classes(grouped),
            )
        )
    return levels


def level_metrics(
    level: Level,
    moments: ClassMoments,
    within_variance: jax.Array,
    classifier: jax.Array,
) -> dict[str, jax.Array]:
    """NC1, NC2 and NC3 of superclasses.

    The classifier of a superclass is the mean row of the classifiers of its classes.

    Args:
        level: one of `superclass_levels`.
        moments: moments of the classes.
        within_variance: `within_variance` of the classes [r], along the directions of
            the basis of the level.
        classifier: weights W [K, d] of the last layer.
    """
    spread = group_variance(moments, level.moments, level.groups, level.basis[1])
    rows = group_rows(classifier, level.groups, level.moments.num_classes)
    whole = within_variance + spread
    return {
        "nc1": nc1(level.moments, within_variance=whole, basis=level.basis),
        "nc2": nc2(level.moments),
        "nc3": nc3(level.moments, rows),
    }


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
    Metric(
        "gram_to_tree",
        "Gram distance to the tree",
        "distance of the Gram matrix of the means to -P D P of the tree's distances D",
        limit=zero,
        part=TREE,
        smaller_is_better=True,
        compared=("nc",),
        curve="log",
    ),
    Metric(
        "sibling_cosine",
        "sibling cosine",
        "mean cosine of the centred means of sibling classes",
        home="tree",
        part=TREE,
        compared=("tree",),
        curve="linear",
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
