"""Features, labels and the last layer of `measure_labelled`, checked."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from ncjax import ordinal
from ncjax.measurement.checks import real
from ncjax.measurement.sources import MeasureError, as_source, to_numpy
from ncjax.options import unknown
from ncjax.targets import DEFAULT, TARGETS, Target, get_target


def read_features(features: Any, name: str) -> Any:
    """Features [n, d] that can be cut; only those in chunks are loaded.

    Args:
        features: an array, or chunks of one.
        name: what messages call them.

    Raises:
        MeasureError: for another shape.
    """
    if not (hasattr(features, "__array__") and hasattr(features, "shape")):
        features = as_source(features, name).load()
    if len(features.shape) != 2 or 0 in features.shape:
        raise MeasureError(
            f"{name} have shape {tuple(features.shape)}; [n, d] is needed, one row for "
            "each sample."
        )
    return features


def read_labels(
    labels: Any, rows: int, name: str, classifier: Any
) -> tuple[np.ndarray, Target]:
    """Labels in the type of their target, and the target.

    Args:
        labels: labels of any numbers [n, ...].
        rows: number n of features.
        name: name of the target.
        classifier: W, whose rows must be those of all tasks, or None.

    Raises:
        MeasureError: for a name that is no target, or is "class"; for numbers that are
            no labels of the target, or too few or many of them.
    """
    if name not in TARGETS or name == DEFAULT:
        others = [key for key in TARGETS if key != DEFAULT]
        raise MeasureError(unknown("target", name, others))
    found, known = TARGETS[name], _typed(labels, rows, name)
    if isinstance(found, Target):
        return known, found
    if known.ndim != 2:
        raise MeasureError(
            f"labels have shape {known.shape}; [n, T] is needed, a class of each task."
        )
    return known, _tasks(known, name, classifier)


def _typed(labels: Any, rows: int, name: str) -> np.ndarray:
    """Labels in the type of their target, as many as there are features."""
    known = to_numpy(labels.load() if hasattr(labels, "load") else labels)
    if known.ndim == 0 or len(known) != rows:
        raise MeasureError(
            f"There are {rows:,} features, but labels of shape {known.shape}."
        )
    target = TARGETS[name]
    wanted = target.example(2).dtype if isinstance(target, Target) else np.int32
    if wanted == np.float32 and known.ndim == 1:
        known = known[:, None]
    return _cast(known, np.dtype(wanted), name)


def _tasks(labels: np.ndarray, name: str, classifier: Any) -> Target:
    """The target of several tasks, whose sizes are told by the labels."""
    sizes = tuple(int(k) + 1 for k in labels.max(0))
    total = sum(sizes)
    if classifier is not None and len(classifier) != total:
        raise MeasureError(
            f"The labels of {len(sizes)} tasks are of {sizes} classes, {total} in all, "
            f"but the classifier has {len(classifier)} rows: one for each class of "
            "each task is needed, and each class needs an example."
        )
    try:
        return get_target(name, sizes)
    except ValueError as error:
        raise MeasureError(str(error)) from error


def _cast(labels: np.ndarray, wanted: np.dtype, target: str) -> np.ndarray:
    """Labels as floats, integers or True and False, if that changes no number."""
    if labels.dtype.kind not in "biuf":
        raise MeasureError(f"labels are {labels.dtype}; numbers are needed.")
    if wanted.kind == "f":
        return labels.astype(wanted)
    same = np.isin(labels, (0, 1)) if wanted.kind == "b" else labels == labels // 1
    if not same.all():
        what = "zeros and ones" if wanted.kind == "b" else "integers"
        raise MeasureError(
            f"labels hold {labels[~same][0]}; those of the target {target!r} are "
            f"{what}. Were features and labels swapped, or is it another target?"
        )
    return labels.astype(wanted)


def _outputs(labels: np.ndarray, target: Target) -> int:
    """The number of outputs that these labels speak of."""
    if target.sizes:
        return sum(target.sizes)
    return labels.shape[1] if labels.ndim == 2 else int(labels.max(initial=0)) + 1


def read_classifier(
    classifier: Any, bias: Any, labels: np.ndarray, target: Target, name: str
) -> tuple[np.ndarray | None, np.ndarray]:
    """W [M, d], or None, and b [M] in float32; of ordered levels a row for each level.

    Args:
        classifier: W, or the one row of an ordinal classifier, or None.
        bias: b, or the thresholds of that row, or None.
        labels: labels in the type of their target.
        target: the target.
        name: name of the target.

    Raises:
        MeasureError: for shapes that do not fit each other or the labels.
    """
    needed = _outputs(labels, target)
    if classifier is None:
        if bias is not None:
            raise MeasureError("There is a bias, but no classifier.")
        return None, np.zeros(needed, np.float32)
    weights = real(classifier, "classifier").astype(np.float32)
    if weights.ndim != 2:
        raise MeasureError(
            f"The classifier has shape {weights.shape}; [outputs, d] is needed."
        )
    given = None if bias is None else real(bias, "bias").astype(np.float32)
    if name == "ordinal" and len(weights) == 1:
        if given is None or given.ndim != 1:
            raise MeasureError(
                "The classifier is one row; of ordered levels its thresholds [K - 1] "
                "are needed as the bias."
            )
        weights, given = map(
            np.asarray, ordinal.to_rows(*map(jnp.asarray, (weights[0], given)))
        )
    if len(weights) < needed or (labels.ndim == 2 and len(weights) > needed):
        raise MeasureError(
            f"The labels speak of {needed} outputs, and the classifier has "
            f"{len(weights)} rows; it must have one for each."
        )
    none = np.zeros(len(weights), np.float32)
    given = none if given is None else given
    if given.shape != none.shape:
        raise MeasureError(
            f"The bias has shape {given.shape}; [{len(weights)}] is needed, a number "
            "for each row of the classifier."
        )
    return weights, given


def read_test(
    features: Any, labels: Any, name: str, target: Target, sizes: tuple[int, int]
) -> tuple[Any, np.ndarray]:
    """Features and labels of another set.

    Args:
        features: test features [n, d].
        labels: their labels.
        name: name of the target.
        target: the target of the training set.
        sizes: number of outputs, and width d of the training features.

    Raises:
        MeasureError: if they do not fit the training set.
    """
    rows = read_features(features, "test features")
    if labels is None or rows.shape[1] != sizes[1]:
        raise MeasureError(
            f"Test features need labels of their own, and the width {sizes[1]} of the "
            f"training features; theirs is {rows.shape[1]}."
        )
    known = _typed(labels, len(rows), name)
    try:
        target.check(known, sizes[0])
    except (TypeError, ValueError) as error:
        raise MeasureError(f"Of the test set: {error}") from error
    return rows, known
