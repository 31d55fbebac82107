"""Where classifier and class means part: subspace, shape or rotation.

`nc3_papyan` / 2 = 1 - <W, Mc>/(|W| |Mc|) = `shape_residual` + `misalignment`: what no
rotation of feature space removes, and what the best one does.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.duality import means_and_classifier
from ncjax.collapse.means import Present, Rows, right_singular
from ncjax.collapse.registry import of_classifier
from ncjax.collapse.tiles import norm, safe_divide
from ncjax.moments import dot


def principal_angles(
    means: Rows, classifier: Float[Array, "K d"], present: Present = None
) -> Float[Array, "r"]:
    """Angles between the row spaces of W and Mc [r], r = min(K-1, d), in radians.

    The smallest comes first.  Each is taken from whichever of its sine and cosine is
    exact in float32.  NaN beyond the rank of either matrix.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.

    References:
        Bjorck & Golub, Numerical methods for computing angles between linear
        subspaces, Mathematics of Computation 27, 1973.
    """
    means, classifier, present = means_and_classifier(means, classifier, present)
    # The rows of Mc sum to 0: one singular value is structurally 0, not rounding.
    a, rank_a = _row_space(means, jnp.sum(present) - 1)
    b, rank_b = _row_space(classifier, jnp.sum(present))
    cosines = jnp.linalg.svd(dot(a, b.T), compute_uv=False)
    inner = jnp.where(rank_a <= rank_b, a, b)
    outer = jnp.where(rank_a <= rank_b, b, a)
    rest = inner - dot(dot(inner, outer.T), outer)
    sines = jnp.linalg.svd(rest, compute_uv=False)
    # Singular values fall and angles rise, so sines are read backwards.
    rank = jnp.minimum(rank_a, rank_b)
    order = jnp.arange(a.shape[0])
    sines = sines[jnp.clip(rank - 1 - order, 0)]
    angles = jnp.where(
        sines < 0.7,
        jnp.arcsin(jnp.clip(sines, 0, 1)),
        jnp.arccos(jnp.clip(cosines, 0, 1)),
    )
    angles = jnp.where(order < rank, angles, jnp.nan)
    return angles[: min(means.shape[0] - 1, means.shape[1])]


def _row_space(rows, limit):
    """Orthonormal rows that span those of a matrix, and its rank.

    Args:
        rows: the matrix.
        limit: the most that the rank can be; rows beyond the rank are 0.
    """
    values, directions = right_singular(rows)
    kept = (values > 1e-6 * values[0]) & (jnp.arange(values.shape[0]) < limit)
    return jnp.where(kept[:, None], directions, 0), jnp.sum(kept)


def shape_residual(
    means: Rows, classifier: Float[Array, "K d"], present: Present = None
) -> Float[Array, ""]:
    """How far W is from Mc up to a rotation, 1 - |W' Mc|_* / (|W|_F |Mc|_F).

    In [0, 1]; 0 if and only if some rotation of feature space takes W to a multiple of
    Mc.  The rest of the distance is `misalignment`.  Float32 resolves it to about 1e-6.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
    """
    return _residuals(means, classifier, present)[0]


def misalignment(
    means: Rows, classifier: Float[Array, "K d"], present: Present = None
) -> Float[Array, ""]:
    """The part of the distance of W and Mc that a rotation removes.

    (1 - <W, Mc>/(|W| |Mc|)) - `shape_residual`; the first term is half of `nc3_papyan`.
    At least 0; 0 if and only if W needs no rotation.

    Args:
        means: moments, or Mc [K, d].
        classifier: W [K, d].
        present: [K], the classes that count.
    """
    return _residuals(means, classifier, present)[1]


def _residuals(means, classifier, present):
    """`shape_residual` and `misalignment`, from one singular value decomposition."""
    means, classifier, _ = means_and_classifier(means, classifier, present)
    size = norm(means) * norm(classifier)
    if means.shape[0] < means.shape[1]:  # the K x K core of W' Mc
        small_means = jnp.linalg.qr(means.T, mode="r")
        small_classifier = jnp.linalg.qr(classifier.T, mode="r")
        core = dot(small_classifier, small_means.T)
    else:
        core = dot(classifier.T, means)
    nuclear = jnp.sum(jnp.linalg.svd(core, compute_uv=False))
    straight = jnp.sum(classifier * means)
    return 1 - safe_divide(nuclear, size), safe_divide(nuclear - straight, size)


METRICS = (
    of_classifier(
        "shape_residual",
        "shape residual",
        "distance of W and class means that no rotation removes",
        lambda x: shape_residual(*x.pair),
    ),
    of_classifier(
        "misalignment",
        "misalignment",
        "distance of W and class means that a rotation removes",
        lambda x: misalignment(*x.pair),
    ),
)
