"""NC4: the network decides as the nearest class mean does.

The nearest class mean is found among the centred class means, so that a large common
part of all features cannot flip a decision.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Integer

from ncjax.collapse.means import Matrix, Scalar, centre
from ncjax.collapse.registry import headline, to_one
from ncjax.labels import widened
from ncjax.moments import ClassMoments
from ncjax.units import inverse_unit, unit_near

# Logits, or distances between features and class means, that are held at a time.
_LOGITS = 2**24


def nearest_mean(
    features: Float[Array, "n d"], moments: ClassMoments
) -> Int[Array, "n"]:
    """Class of the class mean that is nearest to each feature.

    Distances are Euclidean.  The centred score h.m_k - |m_k|^2/2 is compared, so that a
    large common part of the features cannot flip a decision; the first class wins ties,
    and classes without samples are never nearest.

    Args:
        features: features h [n, d] of the training set or another set.
        moments: moments of the TRAINING features, with any scatter.

    Returns:
        A class in 0..K-1 for each feature [n].
    """
    about = centre(moments)
    return nearest_row(about.points(features), about.means, about.present)


def nearest_row(
    points: Float[Array, "n d"], rows: Float[Array, "K d"], present: Bool[Array, "K"]
) -> Int[Array, "n"]:
    """Index of the present row that is nearest to each point [n]; ties: the first.

    Args:
        points: points [n, d].
        rows: rows [K, d] among which the nearest is sought.
        present: which rows count [K].
    """
    unit = unit_near(jnp.max(jnp.abs(rows)))
    rows = rows * inverse_unit(unit)
    offset = jnp.where(present, 0.5 * unit * jnp.sum(rows**2, axis=1), jnp.inf)
    return linear_decisions(points, rows, -offset)


def linear_decisions(
    features: Float[Array, "n d"],
    classifier: Matrix,
    bias: Float[Array, "K"] | None,
) -> Int[Array, "n"]:
    """Class of the largest logit of W h + b for each feature h [n], block by block.

    Args:
        features: features h [n, d].
        classifier: W [K, d].
        bias: b [K]; None means 0.
    """
    # A power of 2 changes no decision, but keeps products in range.
    inverse = inverse_unit(unit_near(jnp.max(jnp.abs(classifier))))
    classifier = classifier * inverse
    bias = None if bias is None else bias * inverse

    def decide(feature):
        logits = jnp.matmul(classifier, feature, precision=jax.lax.Precision.HIGHEST)
        return jnp.argmax(logits if bias is None else logits + bias)

    features = jnp.asarray(features).astype(classifier.dtype)
    block = max(1, _LOGITS // classifier.shape[0])
    return jax.lax.map(decide, features, batch_size=block)


def nc4(
    features: Float[Array, "n d"],
    decisions: Int[Array, "n"] | Float[Array, "n K"],
    moments: ClassMoments,
    weights: Float[Array, "n"] | None = None,
) -> Scalar:
    """Fraction of samples for which network and nearest class mean disagree.

    0 at collapse.  It compares with the decision of the network, not with the label;
    `ncc_accuracy` compares with the label.

    Args:
        features: features [n, d] of the training set or the test set.
        decisions: classes [n] that the network decides for, or its logits [n, K] with
            the bias.
        moments: moments of the TRAINING features, with any scatter.
        weights: weight of each row [n], not negative; 0 leaves a row out.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    if decisions.ndim == 2:
        decisions = jnp.argmax(decisions, axis=1)
    wrong = nearest_mean(features, moments) != decisions
    return jnp.average(where_apart(centre(moments).means, wrong), weights=weights)


def where_apart(means: Float[Array, "K d"], values: Bool[Array, "n"]):
    """Booleans as numbers; NaN where all centred class means are 0: none is nearest."""
    apart = jnp.any(means != 0)
    return jnp.where(apart, values.astype(means.dtype), jnp.nan)


def ncc_accuracy(
    features: Float[Array, "n d"],
    labels: Integer[Array, "n"],
    moments: ClassMoments,
    weights: Float[Array, "n"] | None = None,
) -> Scalar:
    """Accuracy of the classifier that decides for the nearest class mean, in [0, 1].

    Args:
        features: features [n, d] of the training set or the test set.
        labels: class of each feature [n], in 0..K-1; rows with another label are left
            out.
        moments: moments of the TRAINING features, with any scatter.
        weights: weight of each row [n], not negative; 0 leaves a row out.
    """
    labels = widened(labels)
    inside = (labels >= 0) & (labels < moments.num_classes)
    weights = jnp.where(inside, 1 if weights is None else weights, 0)
    hits = nearest_mean(features, moments) == labels
    return jnp.average(where_apart(centre(moments).means, hits), weights=weights)


_accuracy = functools.partial(
    to_one, headline=True, home="train", percent=True, curve="linear"
)
# Found by a second pass over the features, once the class means are known.
METRICS = (
    headline(
        "nc4",
        "NC4",
        "share of samples not classified as their nearest class mean",
        on_test="NC4 of the test features",
        percent=True,
        panel="NC4  not the nearest class mean",
    ),
    _accuracy(
        "ncc_accuracy",
        "nearest-mean accuracy",
        "accuracy of the nearest class mean",
        on_test="test accuracy of the nearest training mean",
    ),
    _accuracy(
        "accuracy",
        "accuracy",
        "accuracy of the network itself",
        on_test="test accuracy of the network itself",
    ),
)
