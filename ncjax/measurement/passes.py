"""The two passes over features that come in batches, from files or other programs.

The first pass finds the class moments; the second, `ncjax.collapse.SecondPass`, what
needs the final class means.  Both take batches of one size (the last is padded with
rows of weight 0), so that one compiled program serves all; the host reads one batch
while the device works on another.
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


def first_pass(
    pairs: Iterable[tuple[np.ndarray, np.ndarray]],
    size: int,
    *,
    num_classes: int | None,
    scatter: Scatter,
    dtype: Any,
    name: str,
) -> ClassMoments:
    """Class moments of all batches of features.

    Args:
        pairs: batches of features [m, d] and labels [m], with m <= size.
        size: number of rows of a full batch.
        num_classes: number of classes K, or None: one more than the largest label.
        scatter: which scatter to keep, see `ClassMoments.empty`.
        dtype: floating-point type of the state.
        name: what messages call the features.

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

    Args:
        labels: labels [m] of one batch.
        num_classes: number of classes K, or None if it is not known yet.
        name: what messages call the labels.
        start: row of the first label in the whole set.

    Raises:
        MeasureError: naming the first row with such a label.
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
    """A batch filled up to `size` rows: features, labels, and weights 1 or 0 [size]."""
    missing = size - len(features)
    weights = np.ones(size, np.float32)
    if missing:
        weights[len(features) :] = 0
        # Padding repeats a real row: it is as finite as the data.
        features = np.concatenate([features, np.repeat(features[:1], missing, axis=0)])
        labels = np.concatenate([labels, np.repeat(labels[:1], missing)])
    return features, labels, weights


def _grown(moments: ClassMoments, capacity: int) -> ClassMoments:
    """The same moments with space for more classes."""
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
    """Refuses NaN and infinity, once the device has looked at the batch.

    Args:
        pending: whether the batch is finite, its features [m, d], and the row in the
            whole set at which it starts; None if there is no batch.
        name: what messages call the features.

    Raises:
        MeasureError: with the number of such rows in the batch, and the first of them.
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


def second_pass(
    batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray | None]],
    size: int,
    state: collapse.SecondPass,
    *,
    classifier: Float[Array, "K d"] | None = None,
    bias: Float[Array, "K"] | None = None,
    principal: Float[Array, "r d"] | None = None,
    name: str = "features",
) -> tuple[collapse.SecondPass, np.ndarray | None]:
    """Takes all batches into a second pass, whose class means are final.

    Args:
        batches: features [m, d], labels [m] and the decisions of the network [m], or
            None for the decisions of the classifier, if there is one.
        size: number of rows of a full batch.
        state: the second pass, without any features so far.
        classifier: weights W [K, d] of the last layer.
        bias: bias b [K] of the last layer.
        principal: principal directions P [r, d], for the NECO score of each feature.
        name: what messages call the features.

    Returns:
        The state of all features, and their NECO scores [n], or None.

    Raises:
        MeasureError: for NaN or infinite features, or if no feature is of a class that
            has a mean.
    """
    scores = []

    def run() -> Iterator[tuple]:
        nonlocal state
        start = 0
        for features, labels, decisions in batches:
            if decisions is not None:
                decisions = np.pad(decisions, (0, size - len(decisions)))
            state, score, finite = _second(
                state,
                *padded(features, labels, size),
                decisions,
                classifier,
                bias,
                principal,
            )
            yield score, finite, features, start
            start += len(features)

    for score, finite, features, start in _late(run()):
        _check_finite((finite, features, start), name)
        if score is not None:
            scores.append(np.asarray(score)[: len(features)])
    if float(state.averages.total) == 0:
        raise MeasureError(f"No row of {name} has a class of the training features.")
    return state, np.concatenate(scores) if scores else None


def _late(items: Iterator[tuple]) -> Iterator[tuple]:
    """Yields each item when the next one has been asked for."""
    previous = None
    for item in items:
        if previous is not None:
            yield previous
        previous = item
    if previous is not None:
        yield previous


@jax.jit
def _second(
    state: collapse.SecondPass,
    features: Float[Array, "n d"],
    labels: Int[Array, "n"],
    weights: Float[Array, "n"],
    decisions: Int[Array, "n"] | None,
    classifier: Float[Array, "K d"] | None,
    bias: Float[Array, "K"] | None,
    principal: Float[Array, "r d"] | None,
):
    """The state with one more batch, its NECO scores, and whether it is finite."""
    if decisions is None and classifier is not None:
        decisions = collapse.linear_decisions(features, classifier, bias)
    state = state.update(features, labels, decisions, weights)
    score = None if principal is None else collapse.neco(features, principal)
    finite = jnp.isfinite(features).all(axis=1) | (weights == 0)
    return state, score, finite.all()
