"""NC4: the network decides as the nearest class mean does."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ncjax.collapse.means import center_features, centred_means, present_classes
from ncjax.collapse.registry import COLLAPSE, Metric, one, zero
from ncjax.moments import ClassMoments

# Distances held at a time.
_DISTANCES = 2**24


def nearest_mean(
    features: Float[Array, "n d"], moments: ClassMoments
) -> Int[Array, "n"]:
    """Class of the nearest mean, Euclidean, among classes present [n].

    The centred score h.m_k - |m_k|^2/2 is compared, so that a large common part of the
    features cannot flip a decision; the first class wins ties.

    Args:
        features: [n, d], of any set.
        moments: of the TRAINING features; any scatter.
    """
    features = center_features(features, moments)
    return nearest_row(features, centred_means(moments), present_classes(moments))


def nearest_row(
    points: Float[Array, "n d"], rows: Float[Array, "K d"], present: Bool[Array, "K"]
) -> Int[Array, "n"]:
    """Index of the nearest of the present rows; the first wins ties [n]."""
    offset = jnp.where(present, 0.5 * jnp.sum(rows**2, axis=1), jnp.inf)

    def decide(point):
        product = jnp.matmul(rows, point, precision=jax.lax.Precision.HIGHEST)
        return jnp.argmax(product - offset)

    block = max(1, _DISTANCES // rows.shape[0])
    if points.shape[0] <= block:
        return jax.vmap(decide)(points)
    return jax.lax.map(decide, points, batch_size=block)


def nc4(
    features: Float[Array, "n d"],
    decisions: Int[Array, "n"] | Float[Array, "n K"],
    moments: ClassMoments,
    weights: Float[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Fraction of samples where network and nearest mean disagree; 0 at collapse.

    With the network's own decision, not the label: see `ncc_accuracy` for that.

    Args:
        features: [n, d], training or test.
        decisions: the network's classes [n], or its logits [n, K] (with the bias).
        moments: of the TRAINING features.
        weights: [n], non-negative; 0 masks a row.

    References:
        Papyan, Han & Donoho, Prevalence of Neural Collapse, PNAS 2020.
    """
    if decisions.ndim == 2:
        decisions = jnp.argmax(decisions, axis=1)
    wrong = nearest_mean(features, moments) != decisions
    return _average(wrong, weights, moments)


def ncc_accuracy(
    features: Float[Array, "n d"],
    labels: Int[Array, "n"],
    moments: ClassMoments,
    weights: Float[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Accuracy of the nearest-class-mean classifier, in [0, 1].

    Args:
        features: [n, d], training or test.
        labels: [n], 0..K-1; rows with another label are left out.
        moments: of the TRAINING features.
        weights: [n], non-negative; 0 masks a row.
    """
    inside = (labels >= 0) & (labels < moments.num_classes)
    weights = inside if weights is None else jnp.where(inside, weights, 0)
    return _average(nearest_mean(features, moments) == labels, weights, moments)


def _average(hits, weights, moments):
    dtype = moments.count.dtype
    hits = hits.astype(dtype)
    if weights is None:
        return jnp.mean(hits)
    weights = weights.astype(dtype)
    return jnp.sum(weights * hits) / jnp.sum(weights)


# Found by a second pass over the features, once the class means are known.
METRICS = (
    Metric(
        "nc4",
        "NC4",
        "share of samples not classified as their nearest class mean",
        limit=zero,
        headline=True,
        on_test="NC4 of the test features",
        part=COLLAPSE,
        smaller_is_better=True,
        percent=True,
        compared=("nc",),
        panel="NC4  not the nearest class mean",
    ),
    Metric(
        "ncc_accuracy",
        "nearest-mean accuracy",
        "accuracy of the nearest class mean",
        limit=one,
        headline=True,
        on_test="test accuracy of the nearest training mean",
        home="train",
        smaller_is_better=False,
        percent=True,
        curve="linear",
    ),
    Metric(
        "accuracy",
        "accuracy",
        "accuracy of the network itself",
        limit=one,
        headline=True,
        on_test="test accuracy of the network itself",
        home="train",
        smaller_is_better=False,
        percent=True,
        curve="linear",
    ),
)
