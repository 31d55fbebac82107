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

# Numbers in a batch: 8 MB of float32 stay in the caches of a processor.  With very many
# classes each batch costs a pass over all class means, so it may have up to 128 MB.
_BATCH, _MOST = 2**21, 2**25


class Data:
    """A set of features with its labels, opened: width, type and size are known.

    Attributes:
        source: where the features come from.
        name: what messages call them.
        pool: how feature maps become vectors, see `measure`.
        progress: whether a long pass shows a bar.
        labels: labels [n] as int32, or None if they come with the chunks of features.
        names: names of the classes, for labels that are text.
        width: width d of the features as vectors.
        dtype: floating-point type of the features.
        size: number of rows of a batch.
        seen: number of rows that the last complete pass has read.
        notes: what was done to features and labels, for the report.
    """

    def __init__(
        self, features, labels, name, *, pool, names, batch_size, progress, free=False
    ):
        """Reads the first rows and all labels.

        Args:
            features: anything that `measure` takes as features.
            labels: anything that `measure` takes as labels.
            name: what messages call the features.
            pool: how feature maps become vectors.
            names: names of the classes.
            batch_size: number of rows of a batch; None: as many as stay in the caches.
            progress: whether a long pass shows a bar.
            free: whether the features need no labels, as outliers do not.

        Raises:
            MeasureError: for features or labels that cannot be measured.
        """
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
        """The first rows, which tell width and type; no row of an iterator is lost."""
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

    def read(self, what: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Batches of features [size, d] and labels [size]; the last may be shorter.

        Args:
            what: name of the pass, for the bar.

        Raises:
            MeasureError: for features or labels that cannot be measured.
        """
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


def same_width(train: Data, *others: Data | None) -> None:
    """Refuses features of another width than those of the training set.

    Args:
        train: the training features.
        others: other features; None where there are none.

    Raises:
        MeasureError: naming both widths.
    """
    for other in others:
        if other is not None and other.width != train.width:
            raise MeasureError(
                f"{other.name} have width {other.width}, but the training features "
                f"{train.width}; both are of the same layer."
            )
