"""Losses whose outputs are an embedding, classified by fixed vectors of the classes."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax.hierarchy import Hierarchy
from ncjax.losses.flat import cross_entropy
from ncjax.losses.outputs import Outputs


def label_embedding(
    outputs: Float[Array, "n K"], labels: Int[Array, "n"], *, hierarchy: Hierarchy
) -> Float[Array, "n"]:
    """Cosine loss to unit embeddings whose inner products are 1 - distance.

    L = 1 - cos(e, phi_C) with phi_A . phi_B = 1 - d(A, B), d the height of the lowest
    common ancestor over the tree's height.  The decision is the nearest embedding.

    Args:
        outputs: e [n, K], the embedding.
        labels: C [n], 0..K-1.
        hierarchy: tree over the K classes.

    Returns:
        [n], in [0, 2].

    References:
        Barz & Denzler, Hierarchy-Based Image Embeddings for Semantic Image Retrieval,
        WACV 2019.  Their recursion for phi is the Cholesky factor of 1 - D; these are
        the same vectors rotated, its symmetric root, which a tree makes cheap.
    """
    table = jnp.asarray(label_vectors(hierarchy), outputs.dtype)
    return 1 - jnp.sum(_unit(outputs) * table[labels], axis=1)


def label_vectors(hierarchy: Hierarchy) -> np.ndarray:
    """Unit class vectors phi of `label_embedding`, float64 [K, K], symmetric.

    1 - D is positive definite: it is a sum of nested blocks of ones with weights of at
    least 0, and those of the leaves are above 0.
    """
    return _label_root(hierarchy).dense()


def cosine_outputs(hierarchy: Hierarchy) -> Outputs:
    """The K outputs are an embedding; a score is the cosine with a class's vector."""
    root = _label_root(hierarchy)
    return Outputs(
        hierarchy.num_classes,
        lambda outputs: root.apply(_unit(outputs)),
        embedding=root.dense(),
    )


def _label_root(hierarchy: Hierarchy) -> SiblingRoot:
    return sibling_root(1 - hierarchy.distances().astype(np.float64), hierarchy)


def haframe(
    outputs: Float[Array, "n K"],
    labels: Int[Array, "n"],
    *,
    hierarchy: Hierarchy,
    frame_gamma: float = 3.0,
    cosine_weight: float = 1.0,
) -> Float[Array, "n"]:
    """Cross-entropy and cosine matching to a fixed, hierarchy-aware frame.

    With unit vectors w_c, w_a . w_b = s_ab = (1 - m) exp(-gamma d(a, b)) + m, and m the
    least value for which s is positive semi-definite (at least -1):

        L = CE(W e, C) + cosine_weight sum_c (cos(w_c, e) - s_Cc)^2.

    Args:
        outputs: e [n, K].
        labels: C [n], 0..K-1.
        hierarchy: tree over the K classes.
        frame_gamma: gamma, above 0; the larger, the nearer to a simplex ETF.
        cosine_weight: at least 0.

    Returns:
        [n].

    Raises:
        ValueError: for options out of range.

    References:
        Liang & Davis, Inducing Neural Collapse to a Fixed Hierarchy-Aware Frame for
        Reducing Mistake Severity, ICCV 2023; m in closed form is ours: with
        E = exp(-gamma D), m = -1 / (1'E^-1 1 - 1).
    """
    if not 0 <= cosine_weight < math.inf:
        raise ValueError(
            f"loss.cosine_weight must be at least 0 and finite, got {cosine_weight}."
        )
    gram = frame_gram(hierarchy, frame_gamma)
    logits = sibling_root(gram, hierarchy).apply(outputs)
    cosines = logits * _inverse_norm(outputs)
    gap = cosines - jnp.asarray(gram, outputs.dtype)[labels]
    matching = jnp.sum(gap**2, axis=1)
    return cross_entropy(logits, labels) + cosine_weight * matching


def frame_gram(hierarchy: Hierarchy, gamma: float) -> np.ndarray:
    """Inner products s of `haframe`, float64 [K, K].

    Raises:
        ValueError: unless `gamma` is above 0 and finite.
    """
    if not 0 < gamma < math.inf:
        raise ValueError(f"loss.frame_gamma must be above 0 and finite, got {gamma}.")
    kernel = np.exp(-gamma * hierarchy.distances().astype(np.float64))
    least = max(-1.0, -1 / (np.linalg.solve(kernel, np.ones(len(kernel))).sum() - 1))
    return (1 - least) * kernel + least


def frame_vectors(gram: np.ndarray) -> np.ndarray:
    """Symmetric root of a Gram matrix: unit rows w_c, float64 [K, K]."""
    values, vectors = np.linalg.eigh(gram)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T


class SiblingRoot(NamedTuple):
    """`frame_vectors` as diag(a) + B C; make it with `sibling_root`."""

    scale: np.ndarray  # a [K]
    groups: np.ndarray  # B [K, G], unit indicators of the classes below each parent
    mixing: np.ndarray  # C [G, K]

    def apply(self, outputs: Float[Array, "n K"]) -> Float[Array, "n K"]:
        """Products with all K vectors: 2 G K multiplications each, not K^2."""
        num_classes, num_groups = self.groups.shape
        if 2 * num_groups >= num_classes:
            return outputs @ jnp.asarray(self.dense(), outputs.dtype)
        scale, groups, mixing = (jnp.asarray(x, outputs.dtype) for x in self)
        return outputs * scale + (outputs @ groups) @ mixing

    def dense(self) -> np.ndarray:
        """Unit rows w_c, float64 [K, K], symmetric."""
        return np.diag(self.scale) + self.groups @ self.mixing


def sibling_root(gram: np.ndarray, hierarchy: Hierarchy) -> SiblingRoot:
    """`frame_vectors` of a Gram matrix that depends on lowest common ancestors alone.

    Children of one parent then look the same to all other classes: contrasts between
    them are eigenvectors, with the eigenvalue 1 - s for siblings of inner product s,
    and only what is constant on every set of siblings needs a root of its own, of size
    G, the number of parents of classes.  Exact for any tree.

    Args:
        gram: float64 [K, K] with a diagonal of 1.
        hierarchy: tree over the K classes.
    """
    parents = hierarchy.parents[hierarchy.leaves]
    _, group, size = np.unique(parents, return_inverse=True, return_counts=True)
    groups = np.zeros((len(group), len(size)))
    groups[np.arange(len(group)), group] = 1 / np.sqrt(size[group])
    between = groups.T @ gram @ groups
    # An only child has no contrast: its scale drops out of diag(a) + B C.
    sibling = (np.diag(between) - 1) / np.maximum(size - 1, 1)
    scale = np.sqrt(np.maximum(1 - sibling, 0))
    mixing = (frame_vectors(between) - np.diag(scale)) @ groups.T
    return SiblingRoot(scale[group], groups, mixing)


def frame_outputs(hierarchy: Hierarchy, *, frame_gamma: float = 3.0) -> Outputs:
    """The K outputs are an embedding; a score is its product with a frame vector."""
    root = sibling_root(frame_gram(hierarchy, frame_gamma), hierarchy)
    return Outputs(hierarchy.num_classes, root.apply, embedding=root.dense())


def _unit(rows: jax.Array) -> jax.Array:
    """Rows of length 1; a row of zeros stays."""
    return rows * _inverse_norm(rows)


def _inverse_norm(rows: jax.Array) -> jax.Array:
    """1/|row| [n, 1], but 1 for a row of zeros, with a finite gradient."""
    squares = jnp.sum(rows**2, axis=1, keepdims=True)
    return jax.lax.rsqrt(jnp.where(squares > 0, squares, 1))
