"""NC3, self-duality: the classifier and the centred class means are the same frame.

W [K, d] is the classifier, Mc [K, d] the centred class means, both over the classes
present.  All are 0 at W = a Mc, a > 0, with Mc an ETF; none depends on the scale of
either, unless said.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from ncjax.collapse.means import (
    Weighting,
    centred_means,
    global_mean,
    present_classes,
    select_rows,
)
from ncjax.collapse.simplex import simplex_distance
from ncjax.collapse.tiles import dot, norm, safe_divide
from ncjax.moments import ClassMoments


def means_and_classifier(moments, classifier, weighting, center, *, scaled=True):
    """Mc and W [K, d] over the present classes, and the mask [K]."""
    if classifier.shape != (moments.num_classes, moments.feature_dim):
        raise ValueError(
            f"The classifier has shape {classifier.shape}, the moments need [K, d] = "
            f"{(moments.num_classes, moments.feature_dim)} (transpose a Linen kernel)."
        )
    present = present_classes(moments)
    means = centred_means(moments, global_mean=weighting)
    classifier = classifier.astype(means.dtype)
    means, _ = select_rows(means, present, scaled=scaled)
    classifier, _ = select_rows(classifier, present, center=center, scaled=scaled)
    return means, classifier, present


def nc3(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    *,
    global_mean: Weighting = "classes",
    center_classifier: bool = False,
) -> Float[Array, ""]:
    """Distance of W Mc' from the Gram matrix of a simplex ETF.

    NC3 = || W Mc'/|W Mc'|_F - P/sqrt(K-1) ||_F, P = I - 11'/K.  In [0, 2]: 2 for
    W = -Mc, about sqrt(2) for unrelated W.  It is weaker than `nc3_papyan`: the part
    of W outside the span of the means is not seen.

    Args:
        moments: of the features.
        classifier: W [K, d].
        global_mean: see `centred_means`.
        center_classifier: subtracts the mean row of W first (Zhou et al. 2022).

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021.
        Kothapalli, Neural Collapse: A Review, TMLR 2023.
    """
    means, classifier, present = means_and_classifier(
        moments, classifier, global_mean, center_classifier
    )
    return simplex_distance(classifier, means, present)


def nc3_papyan(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    *,
    squared: bool = True,
    global_mean: Weighting = "classes",
    center_classifier: bool = False,
) -> Float[Array, ""]:
    """Distance of classifier and means, || W/|W|_F - Mc/|Mc|_F ||_F^2.

    In [0, 4], or [0, 2] if not `squared`; 0 exactly where W = a Mc, a > 0.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    means, classifier, _ = means_and_classifier(
        moments, classifier, global_mean, center_classifier
    )
    difference = safe_divide(classifier, norm(classifier))
    difference = difference - safe_divide(means, norm(means))
    return jnp.sum(difference**2) if squared else norm(difference)


def nc3_cosine(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    *,
    global_mean: Weighting = "classes",
    center_classifier: bool = False,
) -> Float[Array, ""]:
    """Mean over classes of 1 - cos(w_k, mu_k - mu_G); in [0, 2].

    References:
        Jiang et al., Generalized Neural Collapse for a Large Number of Classes,
        ICML 2024 (GNC3).
    """
    means, classifier, present = means_and_classifier(
        moments, classifier, global_mean, center_classifier
    )
    cosines = _row_cosines(means, classifier)
    return jnp.sum(jnp.where(present, 1 - cosines, 0)) / jnp.sum(present)


def uniform_duality(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    *,
    normalise: bool = True,
    ddof: int = 0,
    global_mean: Weighting = "classes",
    center_classifier: bool = False,
) -> Float[Array, ""]:
    """Variance over classes of <w_k, mu_k - mu_G>: are classes equally dual?

    0 if every class has the same product, be it at collapse or not.

    Args:
        moments: of the features.
        classifier: W [K, d].
        normalise: of the cosines; False takes the products, which have a scale.
        ddof: 0 divides by K, 1 by K - 1.
        global_mean: see `centred_means`.
        center_classifier: subtracts the mean row of W first.

    References:
        Wu & Papyan, Linguistic Collapse, NeurIPS 2024 (UNC3).
    """
    means, rows, present = means_and_classifier(
        moments, classifier, global_mean, center_classifier, scaled=normalise
    )
    if normalise:
        values = _row_cosines(means, rows)
    else:
        values = jnp.sum(means * rows, axis=1)
    number = jnp.sum(present)
    mean = jnp.sum(jnp.where(present, values, 0)) / number
    squares = jnp.where(present, (values - mean) ** 2, 0)
    return jnp.sum(squares) / (number - ddof)


def _row_cosines(a, b):
    return safe_divide(jnp.sum(a * b, axis=1), norm(a, axis=1) * norm(b, axis=1))


def bias_collapse(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    bias: Float[Array, "K"] | None = None,
    *,
    weighting: Weighting = "classes",
) -> Float[Array, ""]:
    """|W mu_G + b|, the logits at the global mean; 0 where the bias cancels it.

    Over the classes present; in the unit of the logits.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021, where it is
        the fourth metric.
    """
    means_and_classifier(moments, classifier, "classes", False)
    logits = dot(classifier, global_mean(moments, weighting))
    if bias is not None:
        logits = logits + bias
    return norm(jnp.where(present_classes(moments), logits, 0))
