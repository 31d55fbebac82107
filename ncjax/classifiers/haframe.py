"""The hierarchy-aware frame: fixed unit vectors between a simplex and the tree."""

from __future__ import annotations

import math

import numpy as np

from ncjax.classifiers.classifier import Classifier
from ncjax.classifiers.vectors import embedding, sibling_vectors
from ncjax.hierarchy import Hierarchy
from ncjax.losses.checks import check_tree, distance_rule


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
        distance: distance of two classes in the tree, "height" or "depth", a rule of
            `Hierarchy.distances`.

    Raises:
        ValueError: for options out of range, or a tree of other classes.

    References:
        Liang & Davis, Inducing Neural Collapse to a Fixed Hierarchy-Aware Frame for
        Reducing Mistake Severity, ICCV 2023.
    """
    check_tree(hierarchy, num_classes, "the classifier")
    vectors = sibling_vectors(frame_gram(hierarchy, frame_gamma, distance), hierarchy)
    return embedding(vectors, vectors.apply)


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
        distance: "height" or "depth", a rule of `Hierarchy.distances`.

    Raises:
        ValueError: for a `gamma` out of range, or another rule.
    """
    if not 0 < gamma < math.inf:
        raise ValueError(
            f"classifier.frame_gamma must be above 0 and finite, got {gamma}."
        )
    rule = distance_rule("classifier.distance", distance)
    kernel = np.exp(-gamma * hierarchy.distances(rule).astype(np.float64))
    least = max(-1.0, -1 / (np.linalg.solve(kernel, np.ones(len(kernel))).sum() - 1))
    return (1 - least) * kernel + least
