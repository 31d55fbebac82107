"""Classifiers whose class vectors stay fixed: only an embedding is learned.

The outputs [n, K] of the last layer are the embedding e of an example.  They are
measured as its features, and the fixed vectors are their classifier, without a bias.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.classifiers.classifier import Classifier
from ncjax.classifiers.linear import LinearLayer
from ncjax.classifiers.vectors import sibling_vectors
from ncjax.hierarchy import Hierarchy
from ncjax.losses.embeddings import inverse_norm
from ncjax.losses.outputs import FixedVectors, check_tree
from ncjax.options import check_value


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
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for another rule of distance, or a tree of other classes.

    References:
        Barz & Denzler, Hierarchy-Based Image Embeddings for Semantic Image Retrieval,
        WACV 2019.  Their recursion for phi is the Cholesky factor of 1 - D; these are
        the same vectors rotated, its symmetric root, which a tree makes cheap.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    gram = 1 - hierarchy.distances(distance).astype(np.float64)
    vectors = sibling_vectors(gram, hierarchy)
    return _embedding(
        vectors, lambda outputs: vectors.apply(outputs * inverse_norm(outputs))
    )


def haframe(
    num_classes: int,
    *,
    hierarchy: Hierarchy,
    frame_gamma: float = 3.0,
    distance: str = "height",
) -> Classifier:
    """An embedding e, whose score of class c is its inner product with a frame vector.

    The frame vectors w_c have length 1 and w_a . w_b = s_ab of `frame_gram`.

    Args:
        num_classes: K, the number of classes.
        hierarchy: tree over the K classes.
        frame_gamma: gamma, above 0; the larger, the nearer the frame is to a simplex
            ETF.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for options out of range, or a tree of other classes.

    References:
        Liang & Davis, Inducing Neural Collapse to a Fixed Hierarchy-Aware Frame for
        Reducing Mistake Severity, ICCV 2023.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    vectors = sibling_vectors(frame_gram(hierarchy, frame_gamma, distance), hierarchy)
    return _embedding(vectors, vectors.apply)


def frame_gram(
    hierarchy: Hierarchy, gamma: float, distance: str = "height"
) -> np.ndarray:
    """Inner products s of the frame vectors of `haframe`, float64 [K, K].

    s_ab = (1 - m) exp(-gamma d(a, b)) + m, with d the distance of two classes in the
    tree, and m the least value for which s is positive semi-definite, at least -1.  In
    closed form, which is ours: with E = exp(-gamma D), m = -1 / (1'E^-1 1 - 1).

    Args:
        hierarchy: tree over the K classes.
        gamma: above 0 and finite.
        distance: rule of `Hierarchy.distances`, "height" or "depth".

    Raises:
        ValueError: for a `gamma` out of range, or another rule.
    """
    name, must_be = "classifier.frame_gamma", "above 0 and finite"
    check_value(name, gamma, lambda g: 0 < g < math.inf, must_be)
    kernel = np.exp(-gamma * hierarchy.distances(distance).astype(np.float64))
    least = max(-1.0, -1 / (np.linalg.solve(kernel, np.ones(len(kernel))).sum() - 1))
    return (1 - least) * kernel + least


def _embedding(
    vectors: FixedVectors, scores: Callable[[jax.Array], jax.Array]
) -> Classifier:
    """A learned linear layer into the space of the class vectors."""

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        del variables  # nothing of the classifier is learned
        rows = jnp.asarray(vectors.rows, jnp.float32)
        return rows, jnp.zeros(len(rows))

    return Classifier(
        layer=partial(LinearLayer, len(vectors.gram)),
        scores=scores,
        weights=weights,
        vectors=vectors,
        measured="outputs",
    )
