"""Passes over features: moments first, then what needs the final class means.

Each works on batches of one size (the last is padded with rows of weight 0), so one
compiled program serves all; the host reads a batch while the device works on another.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax import collapse
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments, Scatter

# Logits held at a time.
_LOGITS = 2**24


def accumulate(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    size: int,
    *,
    num_classes: int | None,
    scatter: Scatter,
    dtype: Any,
    name: str,
) -> ClassMoments:
    """Moments of all pairs of features [m, d] and labels [m], m <= size.

    Args:
        pairs: the batches.
        size: rows of a full batch.
        num_classes: K, or None: one more than the largest label.
        scatter: see `ClassMoments.empty`.
        dtype: of the state.
        name: of the features, for messages.

    Raises:
        MeasureError: for NaN or infinite features, or labels of K and more.
    """
    moments, largest = None, -1
    pending, start = None, 0
    for features, labels in pairs:
        check_range(labels, num_classes, f"labels of {name}", start)
        largest = max(largest, int(labels.max()))
        capacity = num_classes or max(16, 2 ** int(largest).bit_length())
        if moments is None:
            moments = ClassMoments.empty(
                capacity, features.shape[1], scatter=scatter, dtype=dtype
            )
        moments = _grown(moments, capacity)
        moments, finite = _update(moments, *padded(features, labels, size))
        _check_finite(pending, name)
        pending = finite, features, start
        start += len(features)
    _check_finite(pending, name)
    assert moments is not None  # `batches` yields at least one
    if num_classes is None:
        moments = _cut(moments, largest + 1)
    return moments


def check_range(
    labels: np.ndarray, num_classes: int | None, name: str, start: int = 0
) -> None:
    """Refuses labels of K and more.

    Raises:
        MeasureError: naming the first.
    """
    if num_classes is None:
        return
    wrong = np.flatnonzero(labels >= num_classes)
    if wrong.size:
        hint = ""
        if labels.min() == 1 and labels.max() == num_classes:
            hint = " They run from 1 to K: subtract 1."
        raise MeasureError(
            f"{name} are out of range: {wrong.size:,} are {num_classes} or more; row "
            f"{start + wrong[0]:,} has {labels[wrong[0]]}, and with {num_classes} "
            f"classes 0..{num_classes - 1} are allowed.{hint}"
        )


@functools.partial(jax.jit, donate_argnums=0)
def _update(moments, features, labels, weights):
    return moments.update(features, labels, weights), jnp.isfinite(features).all()


def padded(
    features: np.ndarray, labels: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features [size, d], labels [size] and weights [size], 0 for padding."""
    missing = size - len(features)
    weights = np.ones(size, np.float32)
    if missing:
        weights[len(features) :] = 0
        # Padding repeats a real row: it is as finite as the data.
        features = np.concatenate([features, np.repeat(features[:1], missing, axis=0)])
        labels = np.concatenate([labels, np.repeat(labels[:1], missing)])
    return features, labels, weights


def _grown(moments: ClassMoments, capacity: int) -> ClassMoments:
    """Room for more classes."""
    more = capacity - moments.num_classes
    if more <= 0:
        return moments
    return _resize(moments, lambda x: jnp.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1)))


def _cut(moments: ClassMoments, num_classes: int) -> ClassMoments:
    return _resize(moments, lambda x: x[:num_classes])


def _resize(moments, change):
    names = ("count", "pivot", "offset", "spread")
    return moments.replace(**{n: change(getattr(moments, n)) for n in names})


def _check_finite(pending, name: str) -> None:
    """Refuses NaN and infinity, once the device has looked.

    Raises:
        MeasureError: with how many rows of the batch, and which is the first.
    """
    if pending is None or bool(pending[0]):
        return
    _, features, start = pending
    wrong = ~np.isfinite(features.astype(np.float64)).all(axis=1)
    first = int(np.argmax(wrong))
    nan = bool(np.isnan(features[first].astype(np.float64)).any())
    text = (
        f"{name} are not finite: {wrong.sum():,} of the rows {start:,} to "
        f"{start + len(features) - 1:,} hold NaN or infinity; the first is row "
        f"{start + first:,}, which holds {'NaN' if nan else 'infinity'}."
    )
    if features.dtype == np.float16 and np.isinf(features.astype(np.float32)).any():
        text += (
            " float16 overflows beyond 65504: cast features to float32 or bfloat16 "
            "before they are exported."
        )
    raise MeasureError(text)


def look_again(
    batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    size: int,
    moments: ClassMoments,
    *,
    classifier: Float[Array, "K d"] | None = None,
    bias: Float[Array, "K"] | None = None,
    directions: Float[Array, "r d"] | None = None,
    principal: Float[Array, "r d"] | None = None,
    name: str = "features",
) -> tuple[dict[str, float], np.ndarray | None, np.ndarray | None]:
    """What needs the final class means, over batches of features, labels, decisions.

    Args:
        batches: features [m, d], labels [m] and the decisions of the network [m], or
            None for those of the classifier, if there is one.
        size: rows of a full batch.
        moments: of the training features.
        classifier: W [K, d].
        bias: b [K].
        directions: for `directional_variance`.
        principal: P [r, d], for NECO scores.
        name: of the features, for messages.

    Returns:
        `ncc_accuracy`, and with decisions `nc4` and `accuracy`; the variances [r] along
        the directions; the scores [n].
    """
    totals: dict[str, Any] = {}
    scores = []

    def run() -> Iterator[tuple]:
        start = 0
        for features, labels, decisions in batches:
            here = np.zeros(len(labels), np.int32) if decisions is None else decisions
            here = np.pad(here, (0, size - len(here)))
            out = _look(
                moments,
                *padded(features, labels, size),
                None if decisions is None and classifier is not None else here,
                classifier,
                bias,
                directions,
                principal,
            )
            yield out, features, start, decisions is not None
            start += len(features)

    decided = classifier is not None
    for (sums, score, finite), features, start, given in _late(run()):
        _check_finite((finite, features, start), name)
        decided = decided or given
        for key, value in sums.items():
            totals[key] = totals.get(key, 0) + np.asarray(value, np.float64)
        if score is not None:
            scores.append(np.asarray(score)[: len(features)])
    total = totals.pop("total")
    if total == 0:
        raise MeasureError(f"No row of {name} has a class of the training features.")
    along = totals.pop("along", None)
    if not decided:
        totals = {"ncc_accuracy": totals["ncc_accuracy"]}
    return (
        {key: float(value / total) for key, value in totals.items()},
        None if along is None else along / total,
        np.concatenate(scores) if scores else None,
    )


def _late(items: Iterator[tuple]) -> Iterator[tuple]:
    """Each item one step late, when the next is under way."""
    previous = None
    for item in items:
        if previous is not None:
            yield previous
        previous = item
    if previous is not None:
        yield previous


@jax.jit
def _look(
    moments: ClassMoments,
    features: Float[Array, "n d"],
    labels: Int[Array, "n"],
    weights: Float[Array, "n"],
    decisions: Int[Array, "n"] | None,
    classifier: Float[Array, "K d"] | None,
    bias: Float[Array, "K"] | None,
    directions: Float[Array, "r d"] | None,
    principal: Float[Array, "r d"] | None,
):
    """Sums over a batch; rows of classes without a training mean are left out."""
    known = (moments.count > 0)[labels]
    real = weights
    weights = jnp.where(known, weights, 0)
    nearest = collapse.nearest_mean(features, moments)
    if decisions is None:
        decisions = _decide(features, classifier, bias)
    sums = {
        "total": weights.sum(),
        "nc4": weights @ (nearest != decisions),
        "ncc_accuracy": weights @ (nearest == labels),
        "accuracy": weights @ (decisions == labels),
    }
    if directions is not None:
        along = collapse.directional_variance(
            features, labels, moments, directions, weights
        )
        sums["along"] = jnp.where(sums["total"] > 0, sums["total"] * along, 0)
    score = None if principal is None else share(features, principal)
    finite = jnp.isfinite(features).all(axis=1) | (real == 0)
    return sums, score, finite.all()


@jax.jit
def share(
    features: Float[Array, "n d"], principal: Float[Array, "r d"]
) -> Float[Array, "n"]:
    """NECO score |P h| / |h|, as `ncjax.collapse.neco`, of directions found before."""
    features = features.astype(principal.dtype)
    features = features / jnp.maximum(jnp.abs(features).max(1, keepdims=True), 1e-30)
    inside = jnp.matmul(features, principal.T, precision="highest")
    return jnp.linalg.norm(inside, axis=1) / jnp.maximum(
        jnp.linalg.norm(features, axis=1), 1e-30
    )


def _decide(features, classifier, bias):
    """Class of the largest logit of W h + b [n], a block of logits at a time."""

    def decide(feature):
        logits = jnp.matmul(classifier, feature, precision=jax.lax.Precision.HIGHEST)
        return jnp.argmax(logits if bias is None else logits + bias)

    features = features.astype(classifier.dtype)
    block = max(1, _LOGITS // classifier.shape[0])
    if features.shape[0] <= block:
        return jax.vmap(decide)(features)
    return jax.lax.map(decide, features, batch_size=block)
