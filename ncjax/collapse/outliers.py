"""NC5 and NECO: where features of out-of-distribution (OOD) data lie.

Under collapse the mean of OOD features becomes orthogonal to the class means, so the
share of a feature that lies in the class-mean subspace tells the two apart.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import (
    center_features,
    centred_means,
    class_weights,
    global_mean,
    present_classes,
)
from ncjax.collapse.registry import Metric, one, zero
from ncjax.collapse.tiles import dot, norm, safe_divide
from ncjax.moments import ClassMoments


def nc5(
    moments: ClassMoments,
    outliers: ClassMoments | Float[Array, "m d"],
    *,
    center: bool = False,
) -> Float[Array, ""]:
    """Orthogonality to OOD data, mean_k |cos(mu_k, mu^OOD)|; in [0, 1], 0 in the limit.

    Args:
        moments: class moments of the training features.
        outliers: OOD features [m, d], or their moments (of any number of classes),
            whose mean over all features is taken.
        center: subtracts the global mean mu_G of the training features from both sides;
            Ammar et al. and later code do not.

    References:
        Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection,
        ICLR 2024.
    """
    if isinstance(outliers, ClassMoments):
        outlier = dot(class_weights(outliers, "samples"), outliers.means)
    else:
        outlier = jnp.mean(outliers.astype(moments.count.dtype), axis=0)
    if center:
        means = centred_means(moments)
        outlier = outlier - global_mean(moments)
    else:
        means = moments.means
    sizes = norm(means, axis=1) * norm(outlier)
    cosines = jnp.abs(safe_divide(dot(means, outlier), sizes))
    present = present_classes(moments)
    return jnp.sum(jnp.where(present, cosines, 0)) / jnp.sum(present)


def principal_directions(moments: ClassMoments, rank: int) -> Float[Array, "r d"]:
    """Leading eigenvectors of the total covariance Sigma_T of the features [r, d].

    Sigma_T = Sigma_W + sum_k (n_k/N) (mu_k - mu)(mu_k - mu)' with mu the mean over all
    features.  They are the principal components, the one of most variance first.

    Args:
        moments: class moments of the training features, with `scatter="pooled"`.
        rank: number r of directions, 1 to d.

    Raises:
        ValueError: if `rank` is not in 1..d.
    """
    if not 1 <= rank <= moments.feature_dim:
        raise ValueError(
            f"rank must be in 1..{moments.feature_dim}, the feature width, got {rank}."
        )
    centred = centred_means(moments, global_mean="samples")
    weighted = class_weights(moments, "samples")[:, None] * centred
    covariance = moments.within_cov + dot(weighted.T, centred)
    _, vectors = jnp.linalg.eigh(covariance)
    return vectors.T[::-1][:rank]


def neco(
    features: Float[Array, "n d"],
    moments: ClassMoments,
    rank: int | None = None,
    *,
    center: bool = False,
) -> Float[Array, "n"]:
    """NECO score |P h| / |h| of each feature [n], in [0, 1]; high in distribution.

    P projects on the first `rank` principal directions of the training features.

    Args:
        features: h [n, d], in or out of distribution.
        moments: class moments of the training features, with `scatter="pooled"`.
        rank: rank of P; by default K - 1 (at most d), which collapse predicts.
        center: scores h minus the mean of all training features instead of h.  The
            formula of the paper has none; its code standardises the features first,
            which centres them (and divides each coordinate by its deviation).

    References:
        Ammar et al., NECO: Neural Collapse Based Out-of-Distribution Detection,
        ICLR 2024.  (There the score is also multiplied by the largest logit.)
    """
    rank = min(moments.num_classes - 1, moments.feature_dim) if rank is None else rank
    directions = principal_directions(moments, rank)
    if center:
        features = center_features(features, moments, global_mean="samples")
    features = features.astype(directions.dtype)
    return safe_divide(
        norm(dot(features, directions.T), axis=1), norm(features, axis=1)
    )


# `ncjax.measure` finds them where it is given out-of-distribution features.
METRICS = (
    Metric(
        "nc5",
        "NC5",
        "|cosine| of the class means and the mean outlier (OOD)",
        limit=zero,
        headline=True,
        smaller_is_better=True,
    ),
    Metric(
        "neco_in",
        "NECO of known data",
        "NECO score of known data: their share along the means",
        limit=one,
        headline=True,
        smaller_is_better=False,
    ),
    Metric(
        "neco_ood",
        "NECO of outliers",
        "NECO score of outliers",
        limit=zero,
        headline=True,
        smaller_is_better=True,
    ),
    Metric(
        "neco_auroc",
        "AUROC of NECO",
        "chance that an outlier has the lower NECO score",
        limit=one,
        headline=True,
        smaller_is_better=False,
    ),
)
