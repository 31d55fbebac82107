"""Decisions for nodes of a class tree that are as specific as they are certain."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ncjax.evaluation.order import superclass_probability
from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import check_tree
from ncjax.options import check_value


def specific(
    probability: Float[Array, "n K"], hierarchy: Hierarchy, threshold: float
) -> Integer[Array, "n"]:
    """The deepest node of which a network is certain enough, for each example.

    The probability of a node is the sum over the classes below it.  Of the nodes whose
    probability is at least the threshold the deepest is chosen, a class itself or a
    node above several; of equally deep ones the most probable, and then the first.
    The root always qualifies.

    Args:
        probability: probability of each class, for each example [n, K].
        hierarchy: class tree over the K classes.
        threshold: least probability of a decision, above 0 and at most 1.

    Returns:
        Number of a node of the tree, for each example [n].

    Raises:
        ValueError: for a threshold out of range, or a tree of other classes.

    References:
        Deng et al., Hedging Your Bets: Optimizing Accuracy-Specificity Trade-offs in
        Large Scale Visual Recognition, CVPR 2012, whose decisions are these with a
        threshold for each node.
    """
    check_threshold(threshold)
    check_tree(hierarchy, probability.shape[1], "the probabilities")
    chosen = jnp.zeros(len(probability), jnp.int32)
    for depth in range(1, hierarchy.height + 1):
        sums, _ = superclass_probability(probability, hierarchy, depth)
        # A class that lies less deep is a group of its own, and no deeper here.
        nodes = np.unique(hierarchy.lineage[depth])
        sums = jnp.where(jnp.asarray(hierarchy.depths[nodes] == depth), sums, -1)
        best = sums.argmax(axis=1)
        enough = sums.max(axis=1) >= threshold
        chosen = jnp.where(enough, jnp.asarray(nodes)[best], chosen)
    return chosen


def check_threshold(threshold: float) -> None:
    """Raises `ValueError` unless it is a probability above 0."""
    must_be = "above 0 and at most 1"
    check_value("threshold", threshold, lambda t: 0 < t <= 1, must_be)


def specific_values(
    probability: Float[Array, "n K"],
    labels: Integer[Array, "n"],
    hierarchy: Hierarchy,
    threshold: float,
) -> dict[str, jax.Array]:
    """What is to be averaged of the decisions of `specific`, over all examples.

    Args:
        probability: probability of each class, for each example [n, K].
        labels: class of each example [n], in 0..K-1.
        hierarchy: class tree over the K classes.
        threshold: least probability of a decision, above 0 and at most 1.

    Returns:
        `specific_right`, whether the chosen node is the label or lies above it [n]; and
        `specific_information`, what the node says of the class [n]: log2 K -
        log2(classes below it) bits, so log2 K for a class and 0 for the root.
    """
    nodes = specific(probability, hierarchy, threshold)
    above = hierarchy.ancestors()
    bits = np.log2(hierarchy.num_classes) - np.log2(above.sum(axis=0))
    return {
        "specific_right": jnp.asarray(above)[labels, nodes],
        "specific_information": jnp.asarray(bits, probability.dtype)[nodes],
    }
