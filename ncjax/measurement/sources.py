"""Where features come from: arrays, files, iterables and functions.

Nothing here knows of metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from ncjax.labels import out_of_range
from ncjax.options import InputError

Pair = tuple[np.ndarray, np.ndarray | None]


class MeasureError(InputError):
    """Features, labels or a classifier that cannot be measured; says how to mend it."""


class MeasureTypeError(MeasureError, TypeError):
    """An array of a dtype that cannot be measured; says how to mend it."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Rows that are read chunk by chunk, and never whole unless asked.

    Attributes:
        name: what messages call it, such as `run.npz[features]`.
        chunks: (rows at a time) -> arrays [m, ...], or pairs of features [m, ...] and
            labels [m] or None.
        shape: shape of the whole, or None where only reading it can tell.
        notes: what was done to the rows, for the report.
        count: counts the rows, where `shape` does not tell and it is quick.
        headed: whether the first row may be the name of a column, 0, as pandas writes
            it above numbers; only the number of rows can tell.
        repeatable: whether each call of `chunks` starts at the first row.
    """

    name: str
    chunks: Callable[[int], Iterator[Any]]
    shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
    count: Callable[[], int] | None = None
    headed: bool = False
    repeatable: bool = True

    @property
    def rows(self) -> int | None:
        """Number of rows, if it is known before reading."""
        return self.shape[0] if self.shape else None

    def pairs(self, size: int) -> Iterator[Pair]:
        """Features [m, ...] and the labels [m] that come along, or None."""
        for chunk in self.chunks(size):
            yield chunk if isinstance(chunk, tuple) else (chunk, None)

    def load(self) -> np.ndarray:
        """The whole array, in memory."""
        parts = list(self.chunks(2**18))
        if not parts:
            raise MeasureError(f"{self.name} is empty.")
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


def as_source(features: Any, name: str) -> Source:
    """A `Source` of an array, an iterable of chunks or a function.

    Args:
        features: a `Source`, which is returned as it is; an array [n, ...] of any
            framework; or chunks, either arrays [m, ...] or pairs of those and labels
            [m], in a list or any other iterable, or from a function without arguments
            that returns one.
        name: what messages call the features.

    Raises:
        MeasureError: for anything else.
    """
    if hasattr(features, "__array__") and hasattr(features, "shape"):
        features = in_memory(name, features)
    if isinstance(features, Source):
        if features.shape is not None and len(features.shape) < 2:
            raise no_rows(features.name, features.shape)
        return features
    if callable(features):
        return _of_function(features, name)
    if isinstance(features, list | tuple) and features and np.isscalar(features[0]):
        raise MeasureError(f"{name} are a list of numbers; [n, d] is needed.")
    if isinstance(features, Iterable) and not isinstance(features, str | bytes | dict):
        # An iterator is spent by the first pass; a list or a data loader is not.
        again = iter(features) is not features
        return Source(name, lambda size: _pairs(features, name), repeatable=again)
    raise MeasureTypeError(
        f"{name} are a {type(features).__name__}. Give an array [n, d], an iterable of "
        "such chunks (or of pairs with their labels), or a function that returns one."
    )


def _of_function(function: Callable, name: str) -> Source:
    """The chunks that a function without arguments returns, each time anew."""
    how = (
        "Give the features themselves, or a function without arguments that returns "
        "chunks: def features(): return ((net(x), y) for x, y in loader), where net "
        "ends before its last layer."
    )
    if hasattr(function, "apply") or hasattr(function, "call"):
        kind = type(function).__name__
        raise MeasureTypeError(f"{name} are a network ({kind}), no arrays. {how}")

    def chunks(size: int) -> Iterator[Pair]:
        try:
            found = function()
        except TypeError as error:  # a generator has not run yet
            text = f"{name} are a function that cannot be called so: {error}. {how}"
            raise MeasureTypeError(text) from error
        if not isinstance(found, Iterable):
            kind = type(found).__name__
            raise MeasureTypeError(f"The function of {name} returned {kind}. {how}")
        yield from _pairs(found, name)

    return Source(name, chunks)


def _pair(chunk: Any, name: str) -> tuple[Any, Any]:
    """Features and labels, or None, of a chunk of any kind that is understood."""
    if isinstance(chunk, list | tuple):
        first = getattr(chunk[0], "ndim", 0) if chunk else 0
        if len(chunk) == 1 and first >= 2:  # of a hook, or of a data set without labels
            return chunk[0], None
        if len(chunk) == 2:
            return chunk[0], chunk[1]
        shapes = [tuple(getattr(part, "shape", ())) for part in chunk]
        if len(set(shapes)) > 1:
            raise MeasureError(
                f"A chunk of {name} has {len(chunk)} parts, of the shapes "
                f"{', '.join(map(str, shapes[:4]))}; an array [m, d] or a pair "
                "(features, labels) is needed, such as ((x, y) for x, y, *_ in loader)."
            )
    return chunk, None


def _pairs(chunks: Iterable, name: str) -> Iterator[Pair]:
    """Chunks as pairs, once they are NumPy arrays."""
    for chunk in chunks:
        features, labels = _pair(chunk, name)
        if hasattr(features, "keys") and not hasattr(features, "__array__"):
            raise MeasureError(
                f"A chunk of {name} is a {type(features).__name__} of "
                f"{', '.join(map(repr, features.keys()))}; an array [m, d] or a pair "
                "(features, labels) is needed, such as ((batch['x'], batch['y']) for "
                "batch in loader)."
            )
        features = to_numpy(features)
        if features.ndim < 2:
            raise MeasureError(
                f"A chunk of {name} has shape {features.shape}; [m, d] is needed. "
                "An iterable gives chunks of many rows, or pairs (chunk, labels)."
            )
        yield features, None if labels is None else to_numpy(labels)


def in_memory(name: str, array: Any) -> Source:
    """An array of any framework that is in memory already, or mapped to it."""
    return Source(
        name, lambda size: map(to_numpy, sliced(array, size)), tuple(array.shape)
    )


def sliced(array: Any, size: int) -> Iterator[Any]:
    """The rows of an array of any framework, `size` at a time."""
    for start in range(0, array.shape[0], size):
        yield array[start : start + size]


def to_numpy(array: Any) -> np.ndarray:
    """An array of any framework on the host; torch tensors leave graph and device."""
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":  # NumPy alone has no such type
            return np.asarray(jnp.from_dlpack(array.contiguous()))
    try:
        return np.asarray(array)
    except (TypeError, ValueError) as error:  # rows of many lengths, or a foreign type
        kind = getattr(array, "dtype", type(array).__name__)
        raise MeasureTypeError(
            f"NumPy cannot read an array of {kind}: {error}. Give arrays of numbers, "
            "of float32 for instance."
        ) from error


def no_rows(name: str, shape: tuple[int, ...]) -> MeasureError:
    return MeasureError(
        f"{name} have shape {tuple(shape)}; [n, d] is needed, one row for each sample."
    )


def check_labels(
    labels: np.ndarray,
    name: str,
    class_names: tuple[str, ...] | None = None,
    *,
    start: int = 0,
    num_classes: int | None = None,
) -> tuple[Int32[np.ndarray, "n"], tuple[str, ...]]:
    """Labels as int32 [n], and what was done to them.

    Args:
        labels: the labels of any dtype, [n] or [n, 1].
        name: what messages call them.
        class_names: names of the classes, for labels that are text.
        start: row of the first label in the whole set.
        num_classes: K, or None if it is not known yet.

    Raises:
        MeasureError: for a wrong shape, text without class names, fractions, labels
            that are negative or K and more.
    """
    notes = ()
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise MeasureError(
            f"{name} have shape {labels.shape}; [n] integers 0..K-1 are needed (of one-"
            "hot rows, take the argmax; of regression, sets of labels or several tasks "
            "say so: --target, or `ncjax.measurement.labelled`)."
        )
    if labels.dtype.kind == "O" and all(map(np.isscalar, labels)):
        labels = np.asarray(labels.tolist())  # integers that a table kept as objects
    if labels.dtype.kind in "OSUT":
        return _named(labels, name, class_names), notes
    if jnp.issubdtype(labels.dtype, jnp.floating):
        labels = labels.astype(np.float64)
        wrong = np.flatnonzero(labels != np.floor(labels))
        if wrong.size:
            raise MeasureTypeError(
                f"{name} hold {labels[wrong[0]]} in row {start + wrong[0]:,}: labels "
                "are integers 0..K-1. Were features and labels swapped?"
            )
        notes = (f"{name} are floating-point numbers; all are integers, and so taken.",)
    elif labels.dtype.kind not in "bui":
        raise MeasureTypeError(f"{name} are {labels.dtype}; integers are needed.")
    if fault := out_of_range(labels, num_classes, name, start):
        raise MeasureError(fault)
    return labels.astype(np.int32), notes


def _named(labels, name, class_names):
    """Text labels by their place among the class names."""
    decoded = (
        x.decode(errors="replace") if isinstance(x, bytes) else str(x) for x in labels
    )
    text = np.asarray([x.strip() for x in decoded])
    if class_names is None:
        raise MeasureTypeError(
            f"{name} are text such as {str(text[0])!r}. Give the class names, in the "
            "order of the rows of the classifier, as class_names."
        )
    place = {class_name: index for index, class_name in enumerate(class_names)}
    if len(place) < len(class_names):
        twice = next(n for i, n in enumerate(class_names) if place[n] != i)
        first = class_names.index(twice)
        raise MeasureError(
            f"The class name {twice!r} stands for class {first} and for class "
            f"{place[twice]}, so that labels that are text do not tell them apart. "
            "Give each class a name of its own."
        )
    unknown = sorted(set(text.tolist()) - place.keys())
    if unknown:
        raise MeasureError(
            f"{name} hold {unknown[0]!r}, which is none of the {len(class_names)} "
            "class names."
        )
    return np.asarray([place[x] for x in text.tolist()], np.int32)
