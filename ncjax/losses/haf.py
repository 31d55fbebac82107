"""Hierarchy-aware features (HAF): classifiers of all levels that agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from ncjax.hierarchy import Hierarchy
from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.flat import cross_entropy
from ncjax.losses.outputs import Scalar, check_floating
from ncjax.options import check_value


def haf(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    hierarchy: Hierarchy,
    consistency_weight: Scalar = 1.0,
    margin_weight: Scalar = 1.0,
    margin: Scalar = 3.0,
    present: Bool[Array, "n"] | None = None,
) -> Float[Array, "n"]:
    """A classifier for each level of the tree, the coarser ones taught by the finer.

    With p_l the softmax of the logits of level l = 1..L, the classes last, q_l the sums
    of p_{l+1} over the groups of level l, and JS the Jensen-Shannon divergence,

        L = CE(z_L, C) + sum_{l < L} (consistency_weight JS(p_l, q_l)
                                      + margin_weight max(margin - JS(p_l, p'_l), 0)).

    p'_l is that of the next example of the batch (of the last one, the first); there is
    no second term where both lie in one group of level l.  So the loss of an example
    depends on the batch, on all devices together, and on its order, which training
    shuffles; where a set is measured in other batches, its mean loss is another one.
    The decision is that of the last level, as in `multi_level`.  It is not convex: the
    class means that `ncjax.ufm` predicts are those of the best of many random starts.

    Args:
        outputs: the logits of all levels side by side [n, M], coarsest first.
        labels: C [n], the class of each example, 0..K-1.
        hierarchy: tree over the K classes.
        consistency_weight: weight of the agreement of levels, at least 0.
        margin_weight: weight of the pairs of examples, at least 0.
        margin: divergence that examples of different groups shall have, at least 0.  JS
            is at most log 2, so that a larger margin, such as the published 3, always
            pushes them apart.
        present: which examples there are, the first of the batch [n]; by default all.

    Returns:
        Loss of each example [n], in nats.

    Raises:
        TypeError: for integer outputs.
        ValueError: for options out of range, another number of outputs, or labels out
            of range.

    References:
        Garg, Sani & Anand, Learning Hierarchy Aware Features for Reducing Mistake
        Severity, ECCV 2022.  Their code has one more term, the cosine of the weights of
        each coarser class with the sum of those of its finer classes, which is left out
        here; it takes up to 256 pairs of neighbours in a shuffled batch, and the margin
        for the two divergences in JS each, which is the same for a margin above log 2.
    """
    check_floating(outputs)
    for name, value in (
        ("loss.consistency_weight", consistency_weight),
        ("loss.margin_weight", margin_weight),
        ("loss.margin", margin),
    ):
        check_value(name, value, lambda x: 0 <= x < math.inf, "at least 0 and finite")
    levels = [hierarchy.superclasses(depth) for depth in hierarchy.levels]
    ends = np.cumsum([len(names) for _, names in levels])
    if outputs.shape[1] != ends[-1]:
        raise ValueError(
            f"The outputs have {outputs.shape[1]} columns, but the levels of the tree "
            f"have {ends[-1]} groups, each with one."
        )
    labels = class_indices(labels, hierarchy.num_classes)
    following = _following(present)
    logits = jnp.split(outputs, ends[:-1], axis=1)
    value = cross_entropy(logits[-1], jnp.asarray(levels[-1][0])[labels])
    for i, ((coarse, names), (fine, _)) in enumerate(itertools.pairwise(levels)):
        group_of = np.zeros(fine.max() + 1, int)
        group_of[fine] = coarse
        member = jnp.asarray(group_of[:, None] == np.arange(len(names)), outputs.dtype)
        own, finer = (jax.nn.softmax(z, axis=1) for z in logits[i : i + 2])
        summed = jnp.matmul(finer, member, precision="highest")
        value += consistency_weight * jensen_shannon(own, summed)
        group = jnp.asarray(coarse)[labels]
        apart = jensen_shannon(own, following(own))
        missing = jnp.maximum(margin - apart, 0)
        other = group != following(group)
        value += margin_weight * jnp.where(other, missing, 0)
    return value + undefined_outside(labels, hierarchy.num_classes)


def _following(present: jax.Array | None) -> Callable[[jax.Array], jax.Array]:
    """Rows -> for each the next one, and for the last one that is there the first."""
    if present is None:
        return lambda rows: jnp.roll(rows, -1, axis=0)
    place = jnp.arange(1, len(present) + 1)
    return lambda rows: rows[jnp.where(place < jnp.sum(present), place, 0)]


def jensen_shannon(p: Float[Array, "n G"], q: Float[Array, "n G"]) -> Float[Array, "n"]:
    """Jensen-Shannon divergence of two distributions in each row, in 0..log 2 nats."""
    middle = (p + q) / 2

    def to_middle(x: jax.Array) -> jax.Array:
        there = x > 0  # a probability of 0 adds 0, and has no finite gradient
        log_ratio = jnp.log(jnp.where(there, x, 1) / jnp.where(there, middle, 1))
        return jnp.sum(jnp.where(there, x * log_ratio, 0), axis=1)

    return (to_middle(p) + to_middle(q)) / 2
