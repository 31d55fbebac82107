"""Checks of the classifier against the features, and warnings for the reader."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from ncjax.measurement.sources import MeasureError, MeasureTypeError, to_numpy
from ncjax.moments import ClassMoments

# Beyond this many classes the best assignment of rows to classes is not sought.
_MATCHED = 2000


def check_classifier(
    classifier: Any, bias: Any
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """W [K, d] and b [K] as floats on the host; None where there is none.

    The kernel of a 1x1 convolution is the matrix in it, and the row w of a binary
    network with one output, which decides by its sign, stands for [-w/2, w/2].

    Args:
        classifier: W of any framework, or None.
        bias: b of any framework, or None.

    Raises:
        MeasureError: for other shapes, values that are not finite, or a bias without a
            classifier.
        MeasureTypeError: for what is no real number.
    """
    if classifier is None:
        if bias is not None:
            raise MeasureError(
                "There is a bias, but no classifier [K, d] to go with it."
            )
        return None, None
    classifier = real(classifier, "classifier")
    if classifier.ndim == 4 and classifier.shape[2:] == (1, 1):
        classifier = classifier[:, :, 0, 0]
    if classifier.ndim == 4 and classifier.shape[:2] == (1, 1):
        classifier = classifier[0, 0].T  # [1, 1, d, K], as Flax and Keras have it
    if classifier.ndim != 2:
        raise MeasureError(
            f"The classifier has shape {classifier.shape}; W [K, d] is needed, one row "
            "for each class."
        )
    if bias is None:
        return _both_classes(classifier), None
    bias = np.atleast_1d(real(bias, "bias"))
    if bias.shape != classifier.shape[:1]:
        hint = ""
        if bias.shape == classifier.shape[1:]:
            hint = " Is the classifier [d, K], as a Flax kernel is? Transpose it."
        raise MeasureError(
            f"The bias has shape {bias.shape}, the classifier {classifier.shape}; "
            f"[K] and [K, d] are needed.{hint}"
        )
    return _both_classes(classifier), _both_classes(bias)


def _both_classes(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([-rows / 2, rows / 2]) if len(rows) == 1 else rows


def about_classifier(
    given: Any, classifier: np.ndarray | None, bias: np.ndarray | None
) -> str | None:
    """What the report says of the classifier, or None if there is none.

    Args:
        given: W as the user gave it.
        classifier: W as `check_classifier` returned it.
        bias: b, or None.
    """
    if classifier is None:
        return None
    one = " [-w/2, w/2] of one output" if to_numpy(given).size < classifier.size else ""
    shape = list(classifier.shape)
    return f"classifier {shape}{one} with{'out' * (bias is None)} bias"


def real(array: Any, name: str) -> np.ndarray:
    """An array as float32 or float64 on the host, checked to be finite."""
    array = to_numpy(array)
    try:
        array = array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
    except (TypeError, ValueError) as error:
        raise MeasureTypeError(
            f"The {name} is {array.dtype}; real numbers are needed."
        ) from error
    if wrong := int((~np.isfinite(array)).sum()):
        raise MeasureError(f"The {name} holds {wrong:,} entries of NaN or infinity.")
    return array


def decide(
    logits: Float[np.ndarray, "n K"],
) -> tuple[Int[np.ndarray, "n"], Bool[np.ndarray, "n"]]:
    """The class of the largest logit in each row, and whether that logit is finite.

    NaN counts as the largest; -infinity is a class that is ruled out.
    """
    best = logits.argmax(axis=1)
    largest = np.take_along_axis(logits, best[:, None], axis=1)[:, 0]
    return best, np.isfinite(largest.astype(np.float64))


def refuse_rows(rows: np.ndarray, total: int, name: str) -> None:
    """Raises `MeasureError` if there are rows, of `total`, that are not finite."""
    if rows.size:
        raise MeasureError(
            f"{name} are not finite: {rows.size:,} of {total:,} rows hold NaN or "
            f"infinity; the first is row {rows[0]:,}. Leave out these rows and their "
            "features, or mend the network."
        )


def check_width(classifier: np.ndarray | None, feature_dim: int) -> None:
    """Refuses a classifier that does not take these features, or is transposed.

    Args:
        classifier: W, or None.
        feature_dim: width d of the features.

    Raises:
        MeasureError: naming the shape that is there and the one that is needed.
    """
    if classifier is None or classifier.shape[1] == feature_dim:
        return
    rows, columns = classifier.shape
    if rows == feature_dim:
        raise MeasureError(
            f"The classifier has shape [{rows}, {columns}] = [d, K], as Flax and Keras "
            f"kernels have; [K, d] = [{columns}, {rows}] is needed: transpose it."
        )
    raise MeasureError(
        f"The classifier has shape [{rows}, {columns}], but with these features "
        f"[K, {feature_dim}] is needed: [K, d], the weights of the layer that takes "
        "these features."
    )


def permutation(
    means: Float[np.ndarray, "K d"],
    present: np.ndarray,
    classifier: Float[np.ndarray, "K d"],
    bias: Float[np.ndarray, "K"] | None,
) -> dict[int, int]:
    """Classes that seem to have another row of the classifier: {class: its row}.

    Rows are assigned to classes by the cosines of W and the centred means Mc.  Classes
    that move are reported only if the network as it is given is right on less than half
    of their class means, and the reordered one on at least half.

    Args:
        means: class means mu_k [K, d].
        present: the classes that have samples [K].
        classifier: W [K, d].
        bias: b [K], or None.
    """
    here = np.flatnonzero(present)
    if not 2 <= len(here) <= _MATCHED or means.shape != classifier.shape:
        return {}
    if not np.isfinite(means).all():
        return {}
    means, rows = means[here].astype(np.float64), classifier[here].astype(np.float64)
    centred = means - means.mean(axis=0)
    cosines = unit_rows(centred) @ unit_rows(rows - rows.mean(axis=0)).T
    logits = means @ rows.T + (0 if bias is None else bias[here])
    decided, order = logits.argmax(axis=1), np.arange(len(here))
    if (decided == order).all() or (cosines.argmax(axis=1) == order).all():
        return {}  # without the import, which takes half a second
    from scipy.optimize import linear_sum_assignment

    _, best = linear_sum_assignment(cosines, maximize=True)
    moved = np.flatnonzero(best != order)
    if moved.size == 0:
        return {}
    before = np.mean(decided[moved] == moved)
    after = np.mean(decided[moved] == best[moved])
    gain = cosines[moved, best[moved]].mean() - cosines[moved, moved].mean()
    sure = gain > 0.3 and cosines[moved, best[moved]].mean() > 0.5
    if before < 0.5 <= after and sure:
        return {int(here[k]): int(here[best[k]]) for k in moved}
    return {}


def transposed(
    means: Float[np.ndarray, "K d"],
    present: np.ndarray,
    classifier: Float[np.ndarray, "K d"],
    bias: Float[np.ndarray, "K"] | None,
) -> bool:
    """Whether a square classifier seems to be the transpose of the one meant.

    The transpose is right on more of the class means, and its rows are much nearer to
    the centred means in angle.

    Args:
        means: class means mu_k [K, d].
        present: the classes that have samples [K].
        classifier: W [K, d].
        bias: b [K], or None.
    """
    here = np.flatnonzero(present)
    rows, columns = classifier.shape
    if len(here) < 2 or rows != columns or means.shape != classifier.shape:
        return False
    points = means[here].astype(np.float64)

    def fit(w: np.ndarray) -> tuple[float, float]:
        decided = (points @ w.T + (0 if bias is None else bias)).argmax(axis=1)
        directions = unit_rows(w[here] - w[here].mean(axis=0))
        cosines = directions * unit_rows(points - points.mean(axis=0))
        return float(np.mean(decided == here)), float(cosines.sum(axis=1).mean())

    given, turned = (fit(w.astype(np.float64)) for w in (classifier, classifier.T))
    return given[0] < turned[0] and turned[1] > max(0.5, given[1] + 0.3)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows of norm 1; rows of 0 stay 0."""
    largest = np.abs(rows).max(axis=1, keepdims=True)  # its square may not exist
    rows = rows / np.where(largest > 0, largest, 1)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def warnings_of(
    moments: ClassMoments,
    values: dict[str, float],
    classifier: np.ndarray | None,
    bias: np.ndarray | None,
    about: dict[str, Any],
) -> Iterator[str]:
    """What a reader of the numbers must know of these features and this classifier.

    What makes the numbers void comes first.

    Args:
        moments: class moments of the training features.
        values: the numbers, by their keys.
        classifier: W [K, d], or None.
        bias: b [K], or None.
        about: what was measured, see `Measurement.measured`.
    """
    count = np.asarray(moments.count)
    present = count > 0
    means = np.asarray(moments.pivot) + np.asarray(moments.offset)
    classes = about["classes_present"]
    if empty := np.flatnonzero(~present).tolist():
        text = (
            f"{len(empty):,} of {len(count):,} classes have no features and are left "
            f"out: {some(empty)}."
        )
        yield text + " If your labels begin at 1, subtract 1." * (empty == [0])
    spread = np.asarray(moments.spread)
    yield from _of_means(means, spread, values, classes)
    if lonely := int((count == 1).sum()):
        yield (
            f"{lonely:,} classes have a single feature, so no spread: NC1 is too small."
        )
    if about["n"] <= classes:
        yield "There are no more features than classes: NC1 has no meaning."
    accuracy = values.get("ncc_accuracy", 1.0)
    if accuracy < 0.9 and values.get("nc1", 1.0) < 0.1:
        yield (
            f"NC1 is small, but the nearest class mean is right in {accuracy:.1%} "
            "only: that is no collapse to a simplex."
        )
    if about["nc1_below_floor"]:
        yield (
            f"NC1 is below the precision of the features ({about['dtype']}): all "
            "it says is that it is no larger than the floor."
        )
    if classifier is None:
        return
    if zero := int((~classifier.any(axis=1)).sum()):
        yield (
            f"{zero:,} rows of the classifier are 0 and have no direction: what "
            "compares them with the class means is undefined."
        )
    if math.isinf(values.get("bias_collapse", 0.0)):
        yield (
            "bias_collapse overflows: the logits at the mean of all classes are beyond "
            f"{about['state_dtype']}."
        )
    yield from _of_rows(means, present, classifier, bias)


def _of_rows(means, present, classifier, bias) -> Iterator[str]:
    """Whether the rows of the classifier seem to be others than those meant."""
    if transposed(means, present, classifier, bias):
        yield (
            "The classifier seems to be transposed: it is square, and its transpose "
            "decides for the classes of these features as it does not itself. Kernels "
            "of Flax and Keras are [d, K]: transpose them. NC3 and NC4 are of the "
            "matrix given."
        )
    elif moved := permutation(means, present, classifier, bias):
        pairs = [f"class {k} is row {r}" for k, r in moved.items()]
        yield (
            f"The rows of the classifier seem to be in another order than the "
            f"classes: {some(pairs)}. NC3 and NC4 are of the order given."
        )


def _of_means(
    means: Float[np.ndarray, "K d"],
    spread: Float[np.ndarray, "K"],
    values: dict[str, float],
    classes: int,
) -> Iterator[str]:
    """Warnings of class means out of range, all equal, or without room or rank."""
    width, limits, largest = means.shape[1], np.finfo(means.dtype), np.abs(means).max()
    most = min(classes - 1, width)
    if not (np.isfinite(means).all() and np.isfinite(spread).all()):
        yield (
            f"The features are so large that sums of them overflow in {limits.dtype}: "
            "no number here can be trusted. Divide them by a constant."
        )
    elif 0 < largest < limits.tiny / limits.eps:
        yield (
            f"The class means are no larger than {largest:.1g}: their differences "
            f"underflow in {limits.dtype}, and no number here can be trusted. Multiply "
            "the features by a constant."
        )
    elif values["rank"] == 0:
        yield (
            "All class means are equal: metrics that compare them are undefined. Are "
            "these features constant, or the units dead?"
        )
    elif values["rank"] < most:
        rank = round(values["rank"])
        yield (
            f"The centred class means span {rank} dimension{'s' * (rank > 1)} of "
            f"{most}: some are equal, or lie on one line or plane. NC1 does not see "
            "the directions that are missing."
        )
    elif math.isnan(values.get("equiangularity", 0.0)):
        yield (
            "A class mean is the mean of all classes: it has no direction, and what "
            "compares directions is undefined."
        )
    if width < classes - 1:
        room = f"{width} dimension{'s' * (width > 1)}"
        text = f"{classes} classes have no simplex in {room}: NC2 cannot be"
        finite = math.isfinite(values.get("uniformity", 0.0))
        yield text + (" 0; uniformity is the measure to use." if finite else " 0.")


def some(items: list) -> str:
    """The first eight items, and how many more there are, as text."""
    more = f" and {len(items) - 8:,} more" if len(items) > 8 else ""
    return ", ".join(map(str, items[:8])) + more
