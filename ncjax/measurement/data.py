"""A set of features with its labels, checked and cut into batches."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from tqdm import tqdm

from ncjax.measurement.pooling import POOLS, shaped
from ncjax.measurement.sources import (
    MeasureError,
    Source,
    as_source,
    check_labels,
    to_numpy,
)

# Numbers in a batch: 8 MB of float32 stay in the caches of a processor.  With very many
# classes each batch costs a pass over all class means, so it may have up to 128 MB.
_BATCH, _MOST = 2**21, 2**25
Pair = tuple[np.ndarray, np.ndarray]  # features [m, d], labels [m]


def batch_rows(width: int, num_classes: int = 0) -> int:
    """Number of rows of a batch of features that stays in the caches.

    Args:
        width: width d of the features.
        num_classes: number of classes K, or 0 where it is not known.
    """
    rows = int(np.clip(_BATCH // width, np.clip(_MOST // width, 1, 256), 2**16))
    return max(rows, min(num_classes - 1, _MOST // width))


class Data:
    """A set of features with its labels, opened: width, type and size are known.

    Attributes:
        source: where the features come from.
        name: what messages call them.
        labels: labels [n] as int32, or None if they come with the chunks of features.
        num_classes: number of classes K that labels may have, or None: not known yet.
        width: width d of the features as vectors.
        dtype: floating-point type of the features.
        size: number of rows of a batch.
        seen: number of rows that the last complete pass has read.
        notes: what was done to features and labels, for the report.
    """

    def __init__(
        self,
        features: Any,
        labels: Any,
        name: str,
        *,
        pool: str | None,
        mask: Any = None,
        names: tuple[str, ...] | None,
        num_classes: int | None,
        batch_size: int | None,
        progress: bool,
        free: bool = False,
        beside: Data | None = None,
    ):
        """Reads the first rows and all labels.

        Args:
            features: anything that `measure` takes as features.
            labels: anything that `measure` takes as labels.
            name: what messages call the features.
            pool: how feature maps become vectors.
            mask: which tokens [n, tokens] of the features count, or None: all.
            names: names of the classes, for labels that are text.
            num_classes: K, or None if it is not known yet.
            batch_size: number of rows of a batch; None: as many as stay in the caches.
            progress: whether a long pass shows a bar.
            free: whether the features need no labels, as outliers do not.
            beside: the training features, which must have the same width.

        Raises:
            MeasureError: for features or labels that cannot be measured.
        """
        if pool is not None and pool not in POOLS:
            raise MeasureError(f"Unknown pool {pool!r}. Available: {', '.join(POOLS)}.")
        if batch_size is not None and batch_size < 1:
            raise MeasureError(f"batch_size must be at least 1, got {batch_size}.")
        self.mask = None if mask is None else to_numpy(mask)
        self.source = as_source(features, name)
        self.name, self.title = self.source.name, name.replace("features", "labels")
        self.pool, self.progress, self.free = pool, progress, free
        self.names, self.num_classes = names, num_classes
        self.seen, self.notes = 0, list(self.source.notes)
        self.labels = None
        if labels is not None:
            self.labels = self._checked(self._loaded(labels), self.title)
            if self.source.rows not in (None, len(self.labels)):
                raise _mismatch(self.name, self.source.rows, len(self.labels))
        self._check_mask(self.source.rows)
        first = self._peek()
        self.width, self.dtype = first.shape[1], first.dtype
        if self.width == 0:
            raise MeasureError(
                f"{self.name} have width 0: there is nothing to measure."
            )
        if beside is not None and beside.width != self.width:
            raise MeasureError(
                f"{self.name} have width {self.width}, but the training features "
                f"{beside.width}; both are of the same layer."
            )
        classes = 0 if self.labels is None else int(self.labels.max(initial=0)) + 1
        self.size = batch_size or batch_rows(self.width, classes)
        if self.source.rows is not None:
            # Sets of about as many rows share compiled programs.
            self.size = min(self.size, _shared(self.source.rows))

    def _peek(self) -> np.ndarray:
        """The first rows, which tell width and type; no row of an iterator is lost."""
        stream = self.source.pairs(1)
        first = next((pair for pair in stream if len(pair[0])), None)
        if first is None:
            raise MeasureError(
                f"{self.name} hold no rows: there is nothing to measure."
            )
        if self.labels is None and first[1] is None and not self.free:
            raise MeasureError(
                f"{self.name} come without labels. Give labels [n] of integers 0..K-1, "
                "or chunks that are pairs (features, labels)."
            )
        if not self.source.repeatable:
            held = itertools.chain([first], stream)
            self.source = dataclasses.replace(self.source, chunks=lambda _: held)
        return self._shaped(first[0], 0)

    def _shaped(self, chunk: np.ndarray, start: int) -> np.ndarray:
        """The chunk that begins at row `start`, as vectors."""
        mask = None if self.mask is None else self.mask[start : start + len(chunk)]
        return shaped(chunk, self.pool, self.name, self.source.shape, mask)

    def _check_mask(self, rows: int | None) -> None:
        """Refuses a mask that is not [n, tokens] for the n rows of the features."""
        if self.mask is None:
            return
        if self.mask.ndim != 2 or rows not in (None, len(self.mask)):
            raise MeasureError(
                f"The mask of the tokens of {self.name} has shape {self.mask.shape}; "
                f"[n, tokens] is needed, for n = {rows or 'all'} rows."
            )

    def _loaded(self, labels: Any) -> np.ndarray:
        """All labels; without the first, where that is the name of their column."""
        if not isinstance(labels, Source):
            return to_numpy(labels)
        self.notes += labels.notes
        # A file may say that it has any number of them: they are not loaded to count.
        rows = {labels.rows, self.source.rows} - {None}
        if len(rows) > 1 and not labels.headed:
            raise _mismatch(self.name, self.source.rows, labels.rows)
        loaded = labels.load()
        if labels.headed:
            count = self.source.count
            rows = self.source.rows or (count() if count is not None else None)
            if rows == len(loaded) - 1:
                self.notes.append(
                    f"The first line of {labels.name}, 0, is taken for the name of the "
                    "column: there is one label more than there are features."
                )
                return loaded[1:]
        return loaded

    def expect(self, num_classes: int) -> None:
        """Refuses labels of K and more, those that are known and those to come."""
        self.num_classes = num_classes
        if self.labels is not None:
            self._checked(self.labels, self.title)

    def read(self, what: str) -> Iterator[Pair]:
        """Batches of features [size, d] and labels [size]; the last may be shorter.

        Args:
            what: name of the pass, for the bar.

        Raises:
            MeasureError: for features or labels that cannot be measured.
        """
        bar = tqdm(
            total=self.source.rows,
            desc=f"{self.name}: {what}",
            unit=" rows",
            unit_scale=True,
            delay=2,  # short passes show no bar, nor do those that nobody watches
            disable=None if self.progress else True,
        )
        held: list[Pair] = []
        count = 0
        with bar:
            for features, labels in self._chunks():
                while len(features):
                    taken = min(self.size - count, len(features))
                    held.append((features[:taken], labels[:taken]))
                    features, labels = features[taken:], labels[taken:]
                    count += taken
                    if count == self.size:
                        yield _join(held)
                        bar.update(count)
                        held, count = [], 0
            if held:
                yield _join(held)
                bar.update(count)

    def _chunks(self) -> Iterator[Pair]:
        """Chunks of any size, checked: features [m, d] as floats, labels [m]."""
        start = 0
        stream = self.source.pairs(self.size)
        for features, labels in stream:
            rows = len(features)
            if rows == 0:
                continue
            features = self._shaped(features, start)
            if features.shape[1] != self.width:
                raise MeasureError(
                    f"Chunks of {self.name} have different widths, {self.width} and "
                    f"{features.shape[1]}."
                )
            if self.labels is not None:
                labels = self.labels[start : start + rows]
                if len(labels) < rows:
                    rest = sum(len(features) for features, _ in stream)
                    raise _mismatch(self.name, start + rows + rest, len(self.labels))
            elif labels is None or self.free:
                labels = np.zeros(rows, np.int32)
            elif len(labels) != rows:
                raise MeasureError(
                    f"A chunk of {self.name} has {rows} features but {len(labels)} "
                    "labels."
                )
            else:
                labels = self._checked(labels, f"labels of {self.name}", start)
            yield features.astype(self.dtype, copy=False), labels
            start += rows
        if self.labels is not None and start != len(self.labels):
            raise _mismatch(self.name, start, len(self.labels))
        self._check_mask(start)
        self.seen = start

    def _checked(self, labels: np.ndarray, title: str, start: int = 0) -> np.ndarray:
        labels, notes = check_labels(
            labels, title, self.names, start=start, num_classes=self.num_classes
        )
        self.notes += [note for note in notes if note not in self.notes]
        return labels


def _shared(rows: int) -> int:
    """A number that is little more, of few: 8 to 16 times a power of 2."""
    step = 2 ** max(0, (rows - 1).bit_length() - 4)
    return -(-rows // step) * step


def _mismatch(name: str, rows: int | None, labels: int | None) -> MeasureError:
    return MeasureError(
        f"{name} have {rows:,} rows, but there are {labels:,} labels; one for "
        "each row is needed, in the same order."
    )


def _join(held: list[Pair]) -> Pair:
    if len(held) == 1:
        return held[0]
    features, labels = map(np.concatenate, zip(*held, strict=True))
    return features, labels
