"""Losses whose outputs are an embedding, classified by fixed vectors of the classes.

The vectors come from the classifier (`ncjax.classifiers`), most often the one of the
same name as the loss.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from ncjax.labels import class_indices, undefined_outside
from ncjax.losses.flat import cross_entropy
from ncjax.losses.outputs import FixedVectors, Scalar, check_floating
from ncjax.options import check_value


def label_embedding(
    outputs: Float[Array, "n M"], labels: Integer[Array, "n"], *, vectors: FixedVectors
) -> Float[Array, "n"]:
    """Cosine loss to the fixed unit vector phi of the label.

    L = 1 - cos(e, phi_C).

    Args:
        outputs: e [n, M], the embedding of each example.
        labels: C [n], the class of each example, 0..K-1.
        vectors: phi, one for each class, of length 1.

    Returns:
        Loss of each example [n], in [0, 2].

    Raises:
        TypeError: for integer outputs.
        ValueError: for labels out of range.

    References:
        Barz & Denzler, Hierarchy-Based Image Embeddings for Semantic Image Retrieval,
        WACV 2019.
    """
    check_floating(outputs)
    table = jnp.asarray(vectors.at(outputs.shape[1]), outputs.dtype)
    labels = class_indices(labels, len(table))
    value = 1 - jnp.sum(outputs * inverse_norm(outputs) * table[labels], axis=1)
    return value + undefined_outside(labels, len(table))


def haframe(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    vectors: FixedVectors,
    cosine_weight: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Cross-entropy and cosine matching to a fixed frame.

    With unit vectors w_c, w_a . w_b = s_ab:

        L = CE(W e, C) + cosine_weight sum_c (cos(w_c, e) - s_Cc)^2.

    Args:
        outputs: e [n, M], the embedding of each example.
        labels: C [n], the class of each example, 0..K-1.
        vectors: w, one for each class, of length 1.
        cosine_weight: weight of the second term, at least 0.

    Returns:
        Loss of each example [n].

    Raises:
        TypeError: for integer outputs.
        ValueError: for a `cosine_weight` or labels out of range.

    References:
        Liang & Davis, Inducing Neural Collapse to a Fixed Hierarchy-Aware Frame for
        Reducing Mistake Severity, ICCV 2023.
    """
    name, must_be = "loss.cosine_weight", "at least 0 and finite"
    check_value(name, cosine_weight, lambda w: 0 <= w < math.inf, must_be)
    labels = class_indices(labels, len(vectors.rows))
    logits = vectors.apply(outputs)
    cosines = logits * inverse_norm(outputs)
    gap = cosines - jnp.asarray(vectors.gram, outputs.dtype)[labels]
    matching = jnp.sum(gap**2, axis=1)
    return cross_entropy(logits, labels) + cosine_weight * matching


def dot_regression(
    outputs: Float[Array, "n M"],
    labels: Integer[Array, "n"],
    *,
    vectors: FixedVectors,
    energy: Scalar = 1.0,
) -> Float[Array, "n"]:
    """Squared distance of the product of feature and class vector from its maximum.

    With the feature at the length sqrt(E_H), h = sqrt(E_H) e/|e|, and the greatest
    product a = |w_y| sqrt(E_H),

        L = (w_y . h - a)^2 / (2 a) = (a/2) (1 - cos(w_y, e))^2.

    It only pulls an example to its own vector, so these must not learn.

    Args:
        outputs: e [n, M], the feature or embedding of each example.
        labels: y [n], the class of each example, 0..K-1.
        vectors: w, one for each class; their length, sqrt(E_W), is an option of the
            classifier.
        energy: E_H, positive and finite, the squared length of a feature.

    Returns:
        Loss of each example [n], in [0, 2 a].

    Raises:
        TypeError: for integer outputs.
        ValueError: for an `energy` or labels out of range.

    References:
        Yang et al., Inducing Neural Collapse in Imbalanced Learning, NeurIPS 2022.
        Code of Markou et al., NeurIPS 2024, has (1/2) (w_y . h - 1)^2: the same at
        E_W = E_H = 1.
    """
    check_floating(outputs)
    must_be = "positive and finite"
    check_value("loss.energy", energy, lambda e: 0 < e < math.inf, must_be)
    table = jnp.asarray(vectors.at(outputs.shape[1]), outputs.dtype)
    labels = class_indices(labels, len(table))
    lengths = jnp.sqrt(jnp.sum(table**2, axis=1))
    units = table * inverse_norm(table)
    # 1 - cosine is half the squared distance, which does not cancel near 0.
    apart = jnp.sum((outputs * inverse_norm(outputs) - units[labels]) ** 2, axis=1) / 2
    value = lengths[labels] * jnp.sqrt(energy) / 2 * apart**2
    return value + undefined_outside(labels, len(table))


def inverse_norm(rows: jax.Array) -> jax.Array:
    """1/|row| [n, 1]; 1 for a row of zeros, so that its gradient is finite."""
    squares = jnp.sum(rows**2, axis=1, keepdims=True)
    return jax.lax.rsqrt(jnp.where(squares > 0, squares, 1))
