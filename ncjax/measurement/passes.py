"""The two passes over features that come in batches, from files or other programs.

The first pass finds the class moments; the second, `ncjax.collapse.SecondPass`, what
needs the final class means.  Both take batches of one size (the last is padded with
rows of weight 0), so that one compiled program serves all; the host reads one batch
while the device works on another.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ncjax import collapse
from ncjax.measurement.data import Data
from ncjax.measurement.sources import MeasureError
from ncjax.moments import ClassMoments, Scatter

_empty = jax.jit(
    collapse.SecondPass.empty, static_argnames=("within_variance", "decisions")
)
Pair = tuple[np.ndarray, np.ndarray]


def first_pass(
    pairs: Iterable[Pair],
    data: Data,
    *,
    num_classes: int | None,
    scatter: Scatter,
    dtype: Any,
) -> ClassMoments:
    """Class moments of all batches of features.

    Args:
        pairs: batches of features [m, d] and labels [m], as `data.read` gives them.
        data: the set of features.
        num_classes: number of classes K, or None: one more than the largest label.
        scatter: which scatter to keep, see `ClassMoments.empty`.
        dtype: floating-point type of the state.

    Raises:
        MeasureError: for NaN or infinite features, or labels of K and more.
    """
    moments = ClassMoments.empty(
        num_classes or 16, data.width, scatter=scatter, dtype=dtype
    )
    largest, pending, start = -1, None, 0
    for features, labels in pairs:
        check_range(labels, num_classes, f"labels of {data.name}", start)
        largest = max(largest, int(labels.max()))
        if num_classes is None and largest >= moments.num_classes:
            moments = _resized(moments, 2 ** largest.bit_length())
        moments, finite = _update(moments, *padded(features, labels, data.size))
        _check_finite(pending, data.name)
        pending = finite, features, start
        start += len(features)
    _check_finite(pending, data.name)
    return _resized(moments, num_classes or largest + 1)


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


def _resized(moments: ClassMoments, num_classes: int) -> ClassMoments:
    """The same moments with space for more classes, or without the last ones."""
    more = max(0, num_classes - moments.num_classes)

    def change(x):
        return jnp.pad(x, [(0, more)] + [(0, 0)] * (x.ndim - 1))[:num_classes]

    names = ("count", "pivot", "offset", "spread")
    changed = {name: change(getattr(moments, name)) for name in names}
    return dataclasses.replace(moments, **changed)


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


@dataclasses.dataclass(frozen=True)
class Known:
    """What the first reading tells, for all that is read afterwards.

    Attributes:
        moments: class moments of the training features.
        classifier: W [K, d], or None.
        bias: b [K], or None.
        convention: the convention under which metrics are computed.
        basis: `between_basis` of the moments under the convention.
    """

    moments: ClassMoments
    classifier: jax.Array | None
    bias: jax.Array | None
    convention: collapse.Convention
    basis: tuple[jax.Array, jax.Array]


def second_pass(
    known: Known,
    pairs: Iterable[Pair],
    data: Data,
    *,
    variance: bool,
    principal: Float[Array, "r d"] | None,
    decisions: Int[np.ndarray, "n"] | None = None,
) -> tuple[dict[str, jax.Array], np.ndarray | None]:
    """Takes all batches into a second pass, whose class means are final.

    Args:
        known: what the first reading told.
        pairs: batches of features [m, d] and labels [m], as `data.read` gives them.
        data: the set of features.
        variance: whether to find the within-class variance along the basis.
        principal: principal directions P [r, d], for the NECO score of each feature.
        decisions: decisions of the network [n] on all features, or None for those of
            the classifier, if there is one.

    Returns:
        What `SecondPass.compute` gives, and the NECO scores [n], or None.

    Raises:
        MeasureError: for NaN or infinite features, or if no feature is of a class that
            has a mean.
    """
    state = _empty(
        known.moments,
        directions=known.basis[1] if variance else None,
        within_variance=variance,
        decisions=decisions is not None or known.classifier is not None,
    )
    model = known.classifier, known.bias, principal
    scores, pending, start = [], None, 0
    for features, labels in pairs:
        stop, decided = start + len(features), None
        if decisions is not None:
            decided = np.pad(decisions[start:stop], (0, data.size - len(features)))
        batch = padded(features, labels, data.size)
        state, score, finite = _second(state, *batch, decided, *model)
        _check_finite(pending, data.name)
        pending = finite, features, start
        scores.append((score, len(features)))
        start = stop
    _check_finite(pending, data.name)
    if float(state.averages.total) == 0:
        raise MeasureError(
            f"No row of {data.name} has a class of the training features."
        )
    if principal is None:
        return state.compute(), None
    scores = [np.asarray(score)[:rows] for score, rows in scores]
    return state.compute(), np.concatenate(scores)


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
