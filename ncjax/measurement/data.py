"""A set of features with its labels, checked and cut into batches."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np
from tqdm import tqdm

from ncjax.measurement.sources import (
    MeasureError,
    Pair,
    Source,
    Stored,
    as_source,
    batches,
    check_labels,
    shaped,
    to_numpy,
)

# Numbers in a batch: 8 MB of float32 stay in the caches; with very many classes each
# batch costs a sweep over all class means, and may have up to 128 MB.
_BATCH, _MOST = 2**21, 2**25


class Data:
    """A source of features with its labels, opened: what it holds is known.

    Attributes:
        source, name: where the features come from.
        labels: int32 [n], or None if the chunks bring them.
        names: of the classes, for labels that are text.
        width, dtype: of the features, as vectors.
        size: rows of a batch.
        seen: rows that the last complete pass has read.
        notes: what was done to features and labels, for the report.
    """

    def __init__(
        self, features, labels, name, *, pool, names, batch_size, progress, free=False
    ):
        """Reads the first rows and all labels; `free` features need none."""
        self.source: Source = as_source(features, name)
        self.name, self.pool, self.progress = self.source.name, pool, progress
        self.names = names
        self.seen, self.notes = 0, list(self.source.notes)
        self.labels = None
        if labels is not None:
            labels = labels.load() if isinstance(labels, Stored) else to_numpy(labels)
            title = name.replace("features", "labels")
            self.labels, notes = check_labels(labels, title, names)
            self.notes += notes
            rows = self.source.rows
            if rows is not None and rows != len(self.labels):
                raise _mismatch(self.name, rows, len(self.labels))
        first = self._peek()
        self.width, self.dtype = first[0].shape[1], first[0].dtype
        if self.width == 0:
            raise MeasureError(
                f"{self.name} have width 0: there is nothing to measure."
            )
        if self.labels is None and first[1] is None and not free:
            raise MeasureError(
                f"{self.name} come without labels. Give labels [n] of integers 0..K-1, "
                "or chunks that are pairs (features, labels)."
            )
        self.size = batch_size or int(np.clip(_BATCH // self.width, 256, 2**16))
        if batch_size is None and self.labels is not None and self.labels.size:
            classes = int(self.labels.max())
            self.size = max(self.size, min(classes, _MOST // self.width))
        if self.source.rows is not None:
            self.size = min(self.size, self.source.rows)

    def _peek(self) -> Pair:
        """The first rows, which tell the rest; an iterator does not lose them."""
        stream = self.source.read(1)
        first = next((pair for pair in stream if len(pair[0])), None)
        if first is None:
            raise MeasureError(
                f"{self.name} hold no rows: there is nothing to measure."
            )
        if not self.source.repeatable:
            held = itertools.chain([first], stream)
            self.source = dataclasses.replace(self.source, read=lambda size: held)
        return shaped(first[0], self.pool, self.name), first[1]

    @property
    def repeatable(self) -> bool:
        """Whether a second pass is possible."""
        return self.source.repeatable

    def read(self, what: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of features [size, d] and labels [size]; the last may be shorter."""
        stream = batches(self.source, self.size, self.pool)
        start = 0
        # Short passes show no bar, nor do those that nobody watches.
        disable = None if self.progress else True
        with tqdm(
            total=self.source.rows,
            desc=f"{self.name}: {what}",
            unit=" rows",
            unit_scale=True,
            delay=2,
            disable=disable,
        ) as bar:
            for features, labels in stream:
                if self.labels is not None:
                    labels = self.labels[start : start + len(features)]
                    if len(labels) < len(features):
                        rows = start + len(features) + sum(len(f) for f, _ in stream)
                        raise _mismatch(self.name, rows, len(self.labels))
                elif labels is None:
                    labels = np.zeros(len(features), np.int32)
                else:
                    labels, notes = check_labels(
                        labels, f"labels of {self.name}", self.names, start
                    )
                    self.notes += [note for note in notes if note not in self.notes]
                yield features, labels
                start += len(features)
                bar.update(len(features))
        if self.labels is not None and start != len(self.labels):
            raise _mismatch(self.name, start, len(self.labels))
        self.seen = start


def _mismatch(name: str, rows: int, labels: int) -> MeasureError:
    return MeasureError(
        f"{name} have {rows:,} rows, but there are {labels:,} labels; one for each row "
        "is needed, in the same order."
    )


def same_width(other: Data, train: Data) -> None:
    if other.width != train.width:
        raise MeasureError(
            f"{other.name} have width {other.width}, but the training features "
            f"{train.width}; both are of the same layer."
        )
