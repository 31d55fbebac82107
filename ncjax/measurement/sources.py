"""Where features come from: arrays, files, iterables and functions.

Nothing here knows of metrics.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from ncjax.labels import out_of_range
from ncjax.options import InputError

POOLS = ("mean", "mean_channels_first", "flatten")
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
        repeatable: whether each call of `chunks` starts at the first row.
    """

    name: str
    chunks: Callable[[int], Iterator[Any]]
    shape: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()
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
            raise _no_rows(features.name, features.shape)
        return features
    if callable(features):
        return Source(name, lambda size: _pairs(features(), name))
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


def _pairs(chunks: Iterable, name: str) -> Iterator[Pair]:
    """Chunks as pairs, once they are NumPy arrays."""
    for chunk in chunks:
        pair = isinstance(chunk, list | tuple) and len(chunk) == 2
        features, labels = chunk if pair else (chunk, None)
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
    return np.asarray(array)


def shaped(features: np.ndarray, pool: str | None, name: str) -> np.ndarray:
    """A chunk [m, ...] as floats [m, d].

    Raises:
        MeasureError: for a shape that is none, or a dtype that is no number.
    """
    return _floats(_rows(features, pool, name), name)


def _no_rows(name: str, shape: tuple[int, ...]) -> MeasureError:
    return MeasureError(
        f"{name} have shape {tuple(shape)}; [n, d] is needed, one row for each sample."
    )


def _rows(features: np.ndarray, pool: str | None, name: str) -> np.ndarray:
    """[m, ...] -> [m, d]."""
    if features.ndim == 2:
        return features
    if features.ndim < 2:
        raise _no_rows(name, features.shape)
    trivial = max(features.shape[1:]) == math.prod(features.shape[1:])
    if pool == "flatten" or (pool is None and trivial):  # such as [n, d, 1, 1]
        return features.reshape(len(features), -1)
    if pool is None:
        raise MeasureError(
            f"{name} have shape {features.shape}, but [n, d] is needed. Say how "
            "feature maps become vectors: pool='mean' averages all axes but the first "
            "and the last (channels last, as in JAX), pool='mean_channels_first' all "
            "but the first two (as in PyTorch), pool='flatten' averages none."
        )
    first = 1 if pool == "mean" else 2
    last = features.ndim - (1 if pool == "mean" else 0)
    if features.dtype.itemsize < 4:
        features = features.astype(np.float32)
    return features.mean(axis=tuple(range(first, last)))


def _floats(features: np.ndarray, name: str) -> np.ndarray:
    """Features in a floating-point type that JAX has, in native byte order."""
    if jnp.issubdtype(features.dtype, jnp.floating):
        if features.dtype == np.longdouble and features.dtype.itemsize > 8:
            return features.astype(np.float64)
        return features.astype(features.dtype.newbyteorder("="), copy=False)
    if features.dtype.kind in "bui":
        return features.astype(np.float64 if features.itemsize > 2 else np.float32)
    raise MeasureTypeError(
        f"{name} are {features.dtype}; real numbers are needed (bfloat16, float16, "
        "float32, float64 or integers)."
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
            "hot rows, take the argmax)."
        )
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
    text = np.asarray([x.decode() if isinstance(x, bytes) else str(x) for x in labels])
    if class_names is None:
        raise MeasureTypeError(
            f"{name} are text such as {str(text[0])!r}. Give the class names, in the "
            "order of the rows of the classifier, as class_names (--class-names=FILE, "
            "one a line)."
        )
    place = {class_name: index for index, class_name in enumerate(class_names)}
    unknown = sorted(set(text.tolist()) - place.keys())
    if unknown:
        raise MeasureError(
            f"{name} hold {unknown[0]!r}, which is none of the {len(class_names)} "
            "class names."
        )
    return np.asarray([place[x] for x in text.tolist()], np.int32)
