"""Fixed vectors of the classes, with a Gram matrix that a class tree prescribes."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import FixedVectors
from ncjax.options import check_value


def sibling_vectors(gram: np.ndarray, hierarchy: Hierarchy) -> FixedVectors:
    """Symmetric root of a Gram matrix that depends on lowest common ancestors alone.

    Children of one parent then look the same to all other classes: contrasts between
    them are eigenvectors, with the eigenvalue 1 - s for siblings of inner product s,
    and only what is constant on every set of siblings needs a root of its own, of size
    G, the number of parents of classes.  The root is diag(a) + B C, with B [K, G] the
    unit indicators of the classes below each parent.  Exact for any tree.

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
    scale = scale[group]
    rows = np.diag(scale) + groups @ mixing

    def apply(outputs: Float[Array, "n K"]) -> Float[Array, "n K"]:
        dtype = outputs.dtype
        if 2 * len(size) >= len(group):
            return outputs @ jnp.asarray(rows, dtype)
        # 2 G K multiplications for each output, where the matrix itself takes K^2.
        a, b, c = (jnp.asarray(x, dtype) for x in (scale, groups, mixing))
        return outputs * a[None] + (outputs @ b) @ c

    return FixedVectors(rows, gram, apply)


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
