"""NRC3 and the like: the classifier against the targets, and features against both.

    NRC3(gamma) = | A/|A| - (S - sqrt(gamma) I)/|S - sqrt(gamma) I| |^2,   A = W W',

with S the root of the target covariance Sigma [t, t].  It is 0 at the optimum of the
unconstrained-features model that keeps all targets, for gamma = lH lW.

References:
    Andriopoulos et al., The Prevalence of Neural Collapse in Neural Multivariate
    Regression, NeurIPS 2024.  The closed form of the best gamma was derived for this
    project.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.blocks import dot
from ncjax.regression.moments import RegressionMoments
from ncjax.regression.spans import covers, principal_axes, row_axes

GRID = 1000  # values of gamma of the published code


def unit_gram(classifier: Float[Array, "t d"]) -> Float[Array, "t t"]:
    """W W' over its norm; NaN for W = 0."""
    largest = jnp.max(jnp.abs(classifier))
    scaled = classifier / jnp.where(largest > 0, largest, 1)
    gram = dot(scaled, scaled.T)
    return gram / jnp.where(largest > 0, jnp.linalg.norm(gram), jnp.nan)


def target_root(
    moments: RegressionMoments,
) -> tuple[Float[Array, "t"], Float[Array, "t t"]]:
    """Eigenvalues s [t], ascending, and S = Sigma^(1/2) over the unit of targets."""
    values, vectors = jnp.linalg.eigh(moments.target_cov)
    roots = jnp.sqrt(jnp.maximum(values, 0))
    return roots, dot(vectors * roots[None], vectors.T)


def best_root(
    gram: Float[Array, "t t"], root: Float[Array, "t t"], least: Float[Array, ""]
) -> Float[Array, ""]:
    """The sqrt(gamma) in 0..least for which NRC3 is least, in closed form.

    NRC3 is 2 - 2 cos of the angle between A and S - g I, and as g grows, S - g I turns
    from I to -I through one half of a plane, so that the cosine has one maximum,

        g = (tr A |S|^2 - <A, S> tr S) / (tr A tr S - t <A, S>),

    whatever the scale of A, and none where A is not more spread than S; from there on
    the nearest end of the interval is best.  With the numbers minus their mean
    (S0 = S - (tr S/t) I, and A0) this is g = tr S/t - (tr A/t) |S0|^2/<A0, S0>.

    Args:
        gram: A [t, t], of any scale.
        root: S [t, t].
        least: largest value that is allowed, the least eigenvalue of S.
    """
    size = root.shape[0]
    centre = jnp.trace(root) / size
    spread = root - centre * jnp.eye(size, dtype=root.dtype)
    along = jnp.sum(gram * spread)
    square = jnp.sum(spread**2)
    step = jnp.trace(gram) / size * square / jnp.where(along > 0, along, 1)
    return jnp.clip(jnp.where(along > 0, centre - step, 0), 0, least)


def nrc3_at(
    gram: Float[Array, "t t"], root: Float[Array, "t t"], threshold: Float[Array, "*g"]
) -> Float[Array, "*g"]:
    """NRC3 for each value of sqrt(gamma).

    Args:
        gram: A = W W' over its norm [t, t].
        root: S [t, t], of any scale.
        threshold: sqrt(gamma), in the unit of S.
    """
    eye = jnp.eye(root.shape[0], dtype=root.dtype)

    def one(value):
        shape = root - value * eye
        norm = jnp.linalg.norm(shape)
        unit = shape / jnp.where(norm > 0, norm, jnp.nan)
        return jnp.sum((gram - unit) ** 2)

    return jnp.vectorize(one)(threshold)


def nrc3(
    moments: RegressionMoments, classifier: Float[Array, "t d"], *, grid: bool = False
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """NRC3 at the gamma for which it is least, and that gamma over the unit of y^2.

    gamma is in 0..lambda_min(Sigma), as published.

    Args:
        moments: moments of the training features and targets.
        classifier: W [t, d].
        grid: take the least of `GRID` values of gamma, as the published code does,
            instead of the closed form, which is never larger.

    Returns:
        Both are NaN for t = 1, where all matrices are proportional, and for W = 0.
    """
    roots, root = target_root(moments)
    gram = unit_gram(classifier.astype(root.dtype))
    known = (roots[-1] > 0) & (moments.outputs > 1)
    if grid:
        gammas = jnp.linspace(0, roots[0] ** 2, GRID)
        values = nrc3_at(gram, root, jnp.sqrt(gammas))
        best = jnp.nanargmin(jnp.where(jnp.isnan(values), jnp.inf, values))
        value, gamma = values[best], gammas[best]
    else:
        threshold = best_root(gram, root, roots[0])
        value, gamma = nrc3_at(gram, root, threshold), threshold**2
    known &= jnp.isfinite(value)
    return jnp.where(known, value, jnp.nan), jnp.where(known, gamma, jnp.nan)


def cka(moments: RegressionMoments) -> Float[Array, ""]:
    """Linear CKA of features and targets, |S_hy|^2 / (|S_hh| |S_yy|), in 0..1.

    References:
        Kornblith et al., Similarity of Neural Network Representations Revisited, ICML
        2019.
    """
    cross, own = moments.cross_cov, jnp.linalg.norm(moments.feature_cov)
    other = jnp.linalg.norm(moments.target_cov)
    known = (own > 0) & (other > 0)
    safe = jnp.where(own > 0, own, 1), jnp.where(other > 0, other, 1)
    share = jnp.sum((cross / jnp.sqrt(safe[0] * safe[1])) ** 2)
    return jnp.where(known, share, jnp.nan)


def alignment(
    moments: RegressionMoments, classifier: Float[Array, "t d"], *, centred: bool = True
) -> Float[Array, ""]:
    """Mean cosine of the principal angles between the spans, in 0..1.

    The mean singular value of P Q', with orthonormal bases P of the first t principal
    directions of the features and Q of the rows of W; NaN where one of them may be all
    of feature space, or W = 0.

    Args:
        moments: moments of the training features and targets.
        classifier: W [t, d].
        centred: whether principal directions are those of centred features.
    """
    axes = principal_axes(moments, centred=centred)
    rows = row_axes(classifier.astype(axes.dtype))
    cosines = jnp.linalg.svd(dot(axes, rows.T), compute_uv=False)
    nothing = covers(axes) | ~jnp.any(rows != 0)
    return jnp.where(nothing, jnp.nan, jnp.mean(cosines))


def least_squares(moments: RegressionMoments, *, cut: float = 1e-3) -> Float[Array, ""]:
    """Mean squared error of the best linear map of the features without a bias.

    Mean over examples and targets, of Y - H pinv(H) Y with the N x d matrix H of the
    features.

    Args:
        moments: moments of the training features and targets.
        cut: singular values of H below this part of the largest count as 0.
    """
    mean, target = moments.mean * moments.scale(0), moments.target_mean
    target = target * moments.scale(1)
    features = moments.feature_cov + mean[:, None] * mean[None]
    cross = moments.cross_cov + mean[:, None] * target[None]
    values, vectors = jnp.linalg.eigh(features)
    kept = values > cut**2 * values[-1]
    along = dot(vectors.T, cross)
    known = jnp.where(kept, values, 1)[:, None]
    gained = jnp.where(kept[:, None], along**2 / known, 0).sum(0)
    total = jnp.diagonal(moments.target_cov) + target**2
    left = jnp.mean(jnp.maximum(total - gained, 0))
    unit = moments.unit[1]
    return jnp.where(values[-1] > 0, left * unit * unit, jnp.nan)
