"""NC5 and NECO: where features of out-of-distribution (OOD) data lie.

Under collapse the mean of OOD features becomes orthogonal to the class means, so the
share of a feature that lies in the class-mean subspace tells the two apart.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import Scalar, class_weights, present_classes, total_cov
from ncjax.collapse.registry import to_one, to_zero
from ncjax.collapse.tiles import in_range, norm, ratio, safe_divide
from ncjax.moments import ClassMoments, dot


def nc5(moments: ClassMoments, outliers: ClassMoments | Float[Array, "m d"]) -> Scalar:
    """Orthogonality to OOD data, mean_k |cos(mu_k, mu^OOD)|; in [0, 1], 0 in the limit.

    Args:
        moments: class moments of the training features.
        outliers: OOD features [m, d], or their moments (of any number of classes),
            whose mean over all features is taken.

    References:
        Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection,
        ICLR 2024.
    """
    means = moments.in_units().means
    if isinstance(outliers, ClassMoments):
        outlier = dot(class_weights(outliers, "samples"), outliers.means)
    else:
        outlier = jnp.mean(outliers.astype(moments.count.dtype), axis=0)
    outlier = in_range(outlier)
    sizes = norm(means, axis=1) * norm(outlier)
    cosines = jnp.abs(ratio(dot(means, outlier), sizes))
    return jnp.mean(cosines, where=present_classes(moments))


def principal_directions(
    moments: ClassMoments, rank: int | None = None
) -> Float[Array, "r d"]:
    """Leading eigenvectors of the total covariance Sigma_T of the features [r, d].

    They are the principal components, the one of most variance first.

    Args:
        moments: class moments of the training features, with `scatter="pooled"`.
        rank: number r of directions, 1 to d; by default K - 1 (at most d), the rank
            that collapse predicts.

    Raises:
        ValueError: if `rank` is not in 1..d.
    """
    if rank is None:
        rank = min(moments.num_classes - 1, moments.feature_dim)
    if not 1 <= rank <= moments.feature_dim:
        raise ValueError(
            f"rank must be in 1..{moments.feature_dim}, the feature width, got {rank}."
        )
    _, vectors = jnp.linalg.eigh(total_cov(moments.in_units()))
    return vectors.T[::-1][:rank]


def neco(
    features: Float[Array, "n d"], directions: Float[Array, "r d"]
) -> Float[Array, "n"]:
    """NECO score |P h| / |h| of each feature [n], in [0, 1]; high in distribution.

    P projects on the first principal directions of the training features.  A feature of
    0 has no score: NaN.

    Args:
        features: h [n, d], in or out of distribution.
        directions: `principal_directions` of the training features [r, d].

    References:
        Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection,
        ICLR 2024.  (There the score is also multiplied by the largest logit.)
    """
    features = features.astype(directions.dtype)
    # Each by its largest entry, for squares of 1e-20 are 0 in float32.
    largest = jnp.abs(features).max(axis=1, keepdims=True)
    features = safe_divide(features, largest)
    inside = norm(dot(features, directions.T), axis=1)
    return ratio(inside, norm(features, axis=1))


# `ncjax.measure` finds them where it is given out-of-distribution features.
METRICS = (
    to_zero(
        "nc5",
        "NC5",
        "|cosine| of the class means and the mean outlier (OOD)",
        headline=True,
    ),
    to_one(
        "neco_in",
        "NECO of known data",
        "NECO score of known data: their share along the means",
        headline=True,
    ),
    to_zero("neco_ood", "NECO of outliers", "NECO score of outliers", headline=True),
    to_one(
        "neco_auroc",
        "AUROC of NECO",
        "chance that an outlier has the lower NECO score",
        headline=True,
    ),
)
