"""NC3, self-duality: the classifier and the centred class means are the same frame.

W [K, d] is the classifier, Mc [K, d] the centred class means, both over the classes
present.  All are 0 at W = a Mc, a > 0, with Mc an ETF; none depends on the scale of
either, unless said.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.collapse.means import (
    Weighting,
    centred_means,
    global_mean,
    present_classes,
    select_rows,
)
from ncjax.collapse.registry import COLLAPSE, Metric, zero
from ncjax.collapse.simplex import least_nc2, simplex_distance
from ncjax.collapse.tiles import dot, norm, safe_divide
from ncjax.moments import ClassMoments


def means_and_classifier(
    moments: ClassMoments,
    classifier: Float[Array, "K d"],
    weighting: Weighting,
    center: bool,
    *,
    scaled: bool = True,
) -> tuple[Float[Array, "K d"], Float[Array, "K d"], Bool[Array, "K"]]:
    """Mc and W [K, d], 0 in the rows of absent classes, and the mask of classes [K].

    Args:
        moments: class moments of the training features.
        classifier: W [K, d].
        weighting: which mean is subtracted from the means; see `centred_means`.
        center: subtracts the mean row of W.
        scaled: divides each matrix by its largest entry.

    Raises:
        ValueError: if the classifier is not [K, d].
    """
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
        moments: class moments of the training features.
        classifier: W [K, d].
        global_mean: which mean is subtracted from the means; see `centred_means`.
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

    Args:
        moments: class moments of the training features.
        classifier: W [K, d].
        squared: the square of the distance, or the distance.
        global_mean: which mean is subtracted from the means; see `centred_means`.
        center_classifier: subtracts the mean row of W first.

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

    Args:
        moments: class moments of the training features.
        classifier: W [K, d], with rows w_k.
        global_mean: which mean is mu_G; see `centred_means`.
        center_classifier: subtracts the mean row of W first.

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
        moments: class moments of the training features.
        classifier: W [K, d], with rows w_k.
        normalise: takes the cosines; False takes the products, which have a scale.
        ddof: 0 divides by K, 1 by K - 1.
        global_mean: which mean is mu_G; see `centred_means`.
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
    """Cosine of row k of a and row k of b [K]."""
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

    Args:
        moments: class moments of the training features.
        classifier: W [K, d].
        bias: b [K]; None means 0.
        weighting: which mean is mu_G; see `centred_means`.

    References:
        Zhu et al., A Geometric Analysis of Neural Collapse, NeurIPS 2021, where it is
        the fourth metric.
    """
    means_and_classifier(moments, classifier, "classes", False)
    logits = dot(classifier, global_mean(moments, weighting))
    if bias is not None:
        logits = logits + bias
    return norm(jnp.where(present_classes(moments), logits, 0))


METRICS = (
    Metric(
        "nc3",
        "NC3",
        "NC3, of the form that the convention says",
        needs="classifier",
        limit=zero,
        headline=True,
        part=COLLAPSE,
        smaller_is_better=True,
        compared=("nc",),
        curve="log",
        panel="NC3  distance of classifier and means",
    ),
    Metric(
        "nc3_etf",
        "NC3 (ETF)",
        "distance of W times class means to a simplex",
        needs="classifier",
        function=lambda x: nc3(*x.pair, **x.pair_options),
        limit=least_nc2,
        smaller_is_better=True,
    ),
    Metric(
        "nc3_papyan",
        "NC3 (Papyan)",
        "distance of W and class means, both of norm 1",
        needs="classifier",
        function=lambda x: nc3_papyan(
            *x.pair, squared=x.convention.squared, **x.pair_options
        ),
        limit=zero,
        smaller_is_better=True,
        log=True,
    ),
    Metric(
        "nc3_cosine",
        "NC3 (cosine)",
        "1 - cosine of each row of W and its class mean, on average",
        needs="classifier",
        function=lambda x: nc3_cosine(*x.pair, **x.pair_options),
        limit=zero,
        smaller_is_better=True,
    ),
    Metric(
        "uniform_duality",
        "uniform duality",
        "variance over classes of these cosines",
        needs="classifier",
        function=lambda x: uniform_duality(
            *x.pair,
            normalise=x.convention.normalise_duality,
            ddof=x.convention.duality_ddof,
            **x.pair_options,
        ),
        limit=zero,
        smaller_is_better=True,
    ),
    Metric(
        "bias_collapse",
        "bias collapse",
        "norm of the logits at the mean of all classes",
        needs="classifier",
        function=lambda x: bias_collapse(
            *x.pair, x.bias, weighting=x.convention.global_mean
        ),
        limit=zero,
        changes_with=("shift", "scale", "scale W"),
        smaller_is_better=True,
    ),
)
