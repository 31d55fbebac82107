"""Fixed vectors of the classes, with a Gram matrix that a class tree prescribes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.classifiers.classifier import Classifier
from ncjax.classifiers.linear import LinearLayer
from ncjax.hierarchy import Hierarchy


def embedding(
    vectors: SiblingVectors, scores: Callable[[jax.Array], jax.Array]
) -> Classifier:
    """A linear layer into the space of the class vectors, which stay fixed.

    The outputs [n, K] are the embedding of an example.  They are measured as its
    features, and the fixed vectors are their classifier, without a bias.

    Args:
        vectors: the fixed vectors of the classes.
        scores: embedding [n, K] -> scores of the classes [n, K].
    """

    def weights(variables: Mapping) -> tuple[jax.Array, jax.Array]:
        del variables  # nothing of the classifier is learned
        rows = jnp.asarray(vectors.dense(), jnp.float32)
        return rows, jnp.zeros(len(rows))

    return Classifier(
        layer=partial(LinearLayer, len(vectors.gram)),
        scores=scores,
        weights=weights,
        vectors=vectors,
        measured="outputs",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class SiblingVectors:
    """`symmetric_root` of a Gram matrix as diag(a) + B C; see `sibling_vectors`.

    Attributes:
        gram: inner products of the vectors, float64 [K, K].
        scale: a [K].
        groups: B [K, G], unit indicators of the classes below each parent.
        mixing: C [G, K].
    """

    gram: np.ndarray
    scale: np.ndarray
    groups: np.ndarray
    mixing: np.ndarray

    def apply(self, outputs: Float[Array, "n K"]) -> Float[Array, "n K"]:
        """Inner products of each output with all K vectors.

        They take 2 G K multiplications for each output, where the matrix itself takes
        K^2.
        """
        num_classes, num_groups = self.groups.shape
        if 2 * num_groups >= num_classes:
            return outputs @ jnp.asarray(self.dense(), outputs.dtype)
        scale, groups, mixing = (
            jnp.asarray(x, outputs.dtype)
            for x in (self.scale, self.groups, self.mixing)
        )
        return outputs * scale[None] + (outputs @ groups) @ mixing

    def dense(self) -> np.ndarray:
        """The vectors as rows, float64 [K, K], symmetric."""
        return np.diag(self.scale) + self.groups @ self.mixing


def sibling_vectors(gram: np.ndarray, hierarchy: Hierarchy) -> SiblingVectors:
    """Vectors of a Gram matrix that depends on lowest common ancestors alone.

    Children of one parent then look the same to all other classes: contrasts between
    them are eigenvectors, with the eigenvalue 1 - s for siblings of inner product s,
    and only what is constant on every set of siblings needs a root of its own, of size
    G, the number of parents of classes.  Exact for any tree.

    Args:
        gram: inner products of the class vectors, float64 [K, K], with a diagonal of 1.
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
    mixing = (symmetric_root(between) - np.diag(scale)) @ groups.T
    return SiblingVectors(gram, scale[group], groups, mixing)


def symmetric_root(gram: np.ndarray) -> np.ndarray:
    """Symmetric root of a Gram matrix: its rows have these inner products.

    Args:
        gram: positive semi-definite, [K, K]; eigenvalues that rounding has made
            negative count as 0.

    Returns:
        float64 [K, K].
    """
    values, vectors = np.linalg.eigh(gram)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
