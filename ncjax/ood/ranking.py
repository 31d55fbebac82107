"""How well a score parts known examples from outliers: AUROC, FPR at a TPR, AUPR.

A score is high for what is known.  Every number is exact also where scores are equal,
and comes from sorting alone, so it can be computed on the device, inside `jit`.
"""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ncjax.options import check_value, unknown

Scalar = Float[Array, ""]
# What a detector is to find: known examples, or outliers.
Positive = Literal["known", "outliers"]
POSITIVE: tuple[str, ...] = ("known", "outliers")


def auroc(
    known: Float[Array, "n"],
    outliers: Float[Array, "m"],
    known_there: Bool[Array, "n"] | None = None,
    outliers_there: Bool[Array, "m"] | None = None,
) -> Scalar:
    """Area under the ROC curve: P(a known example scores higher), ties count half.

    It is the same whichever of the two is called positive.

    Args:
        known: scores of known examples [n].
        outliers: scores of outliers [m].
        known_there: which of the known examples count; all by default.
        outliers_there: which of the outliers count; all by default.

    Returns:
        A number in [0, 1]; NaN if a score that counts is NaN, or if none counts.

    References:
        Hanley & McNeil, The Meaning and Use of the Area under a Receiver Operating
        Characteristic (ROC) Curve, Radiology 1982.
    """
    a, b = _Sorted(known, known_there), _Sorted(outliers, outliers_there)
    below = _count(b, a.values, "left")
    equal = _count(b, a.values, "right") - below
    each = (below + 0.5 * equal) / b.count
    return _defined(_mean(each, a), a, b)


def fpr_at_tpr(
    known: Float[Array, "n"],
    outliers: Float[Array, "m"],
    known_there: Bool[Array, "n"] | None = None,
    outliers_there: Bool[Array, "m"] | None = None,
    *,
    percent: int = 95,
    positive: Positive = "known",
) -> Scalar:
    """False positive rate where the true positive rate first reaches some percent.

    With `positive="known"` it is the share of outliers that pass as known, at the
    highest threshold that at least 95 % of the known examples pass (Liang et al.,
    ODIN, ICLR 2018).  With "outliers" it is the share of known examples that are
    rejected, at the lowest threshold that rejects at least 95 % of the outliers, as in
    the OpenOOD benchmark.  The two differ.

    Args:
        known: scores of known examples [n].
        outliers: scores of outliers [m].
        known_there: which of the known examples count; all by default.
        outliers_there: which of the outliers count; all by default.
        percent: the true positive rate in percent, 1 to 100.
        positive: what is to be found, "known" or "outliers".

    Returns:
        A number in [0, 1]; NaN if a score that counts is NaN, or if none counts.

    Raises:
        ValueError: for another percentage or another `positive`.
    """
    check_value("percent", percent, lambda p: 1 <= p <= 100, "in 1..100")
    a, b = _positive_first(known, outliers, known_there, outliers_there, positive)
    # The least score among the share of positives that must pass: no rounding.
    must_pass = (percent * a.number + 99) // 100
    threshold = a.values[jnp.maximum(a.number - must_pass, 0)]
    passing = b.count - _count(b, threshold[None], "left")[0]
    return _defined(passing / b.count, a, b)


def aupr(
    known: Float[Array, "n"],
    outliers: Float[Array, "m"],
    known_there: Bool[Array, "n"] | None = None,
    outliers_there: Bool[Array, "m"] | None = None,
    *,
    positive: Positive = "known",
) -> Scalar:
    """Area under the curve of precision against recall, as average precision.

    The mean, over the positives, of the precision at the threshold that just lets this
    one pass.  (Trapezoids between the points, as some benchmarks take them, are too
    optimistic: Davis & Goadrich, ICML 2006.)  It depends on the numbers n and m.

    Args:
        known: scores of known examples [n].
        outliers: scores of outliers [m].
        known_there: which of the known examples count; all by default.
        outliers_there: which of the outliers count; all by default.
        positive: what is to be found, "known" or "outliers".

    Returns:
        A number in [0, 1]; NaN if a score that counts is NaN, or if none counts.

    Raises:
        ValueError: for another `positive`.
    """
    a, b = _positive_first(known, outliers, known_there, outliers_there, positive)
    true = a.count - _count(a, a.values, "left")
    false = b.count - _count(b, a.values, "left")
    return _defined(_mean(true / (true + false), a), a, b)


class _Sorted:
    """Scores in increasing order, those that do not count last.

    Attributes:
        values: the scores [n].
        number: how many count, an integer [].
        count: the same as a floating-point number, at least 1.
        wrong: whether one that counts is NaN, or none counts.
    """

    def __init__(self, scores: jax.Array, there: jax.Array | None):
        if there is None:
            there = jnp.ones(scores.shape, bool)
        self.number = jnp.sum(there)
        self.count = jnp.maximum(self.number, 1).astype(scores.dtype)
        self.wrong = jnp.any(jnp.isnan(scores) & there) | (self.number == 0)
        # The sort is by "does not count" first, for infinity may be a score.
        order = jnp.lexsort((scores, ~there))
        self.values = scores[order]
        self.there = there[order]


def _positive_first(known, outliers, known_there, outliers_there, positive):
    """The positives and the negatives, with scores that are high for positives."""
    if positive not in POSITIVE:
        raise ValueError(unknown("positive", positive, POSITIVE))
    if positive == "known":
        return _Sorted(known, known_there), _Sorted(outliers, outliers_there)
    return _Sorted(-outliers, outliers_there), _Sorted(-known, known_there)


def _count(of: _Sorted, values: jax.Array, side: str) -> jax.Array:
    """How many scores that count are below each value ("left"), or at most it."""
    # Those that do not count stand last: searched as infinity, they are never below,
    # and at most infinity no more than what counts.
    padded = jnp.where(of.there, of.values, jnp.inf)
    found = jnp.searchsorted(padded, values, side=side)
    return jnp.minimum(found, of.number).astype(of.values.dtype)


def _mean(each: jax.Array, of: _Sorted) -> jax.Array:
    return jnp.sum(jnp.where(of.there, each, 0)) / of.count


def _defined(value: jax.Array, a: _Sorted, b: _Sorted) -> jax.Array:
    return jnp.where(a.wrong | b.wrong, jnp.nan, value)
