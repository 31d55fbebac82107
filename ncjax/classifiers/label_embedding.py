"""Unit vectors of the classes whose inner products are 1 minus their tree distance."""

from __future__ import annotations

import jax
import numpy as np

from ncjax.classifiers.classifier import Classifier
from ncjax.classifiers.vectors import embedding, sibling_vectors
from ncjax.hierarchy import Hierarchy
from ncjax.losses.checks import check_tree, distance_rule
from ncjax.losses.embeddings import unit_rows


def label_embedding(
    num_classes: int, *, hierarchy: Hierarchy, distance: str = "height"
) -> Classifier:
    """An embedding e, whose score of class A is its cosine with a fixed vector phi_A.

    phi_A . phi_B = 1 - d(A, B), with d the distance of two classes in the tree, at most
    1.  1 - D is positive definite: it is a sum of nested blocks of ones with weights of
    at least 0, and those of the leaves are above 0.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes.
        distance: distance d of two classes in the tree, "height" or "depth", a rule of
            `Hierarchy.distances`.

    Raises:
        ValueError: for another rule of distance, or a tree of other classes.

    References:
        Barz & Denzler, Hierarchy-Based Image Embeddings for Semantic Image Retrieval,
        WACV 2019.  Their recursion for phi is the Cholesky factor of 1 - D; these are
        the same vectors rotated, its symmetric root, which a tree makes cheap.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    rule = distance_rule("classifier.distance", distance)
    gram = 1 - hierarchy.distances(rule).astype(np.float64)
    vectors = sibling_vectors(gram, hierarchy)

    def scores(outputs: jax.Array) -> jax.Array:
        return vectors.apply(unit_rows(outputs))

    return embedding(vectors, scores)
