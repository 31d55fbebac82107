"""`Recorder`: anybody's training loop leaves what a run of ncjax leaves."""

from __future__ import annotations

import os
import re
import time
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.collapse import Convention, get_convention
from ncjax.config.stored import RECORDER
from ncjax.hierarchy import Hierarchy
from ncjax.measurement import checks
from ncjax.measurement.core import about_features, below_floor
from ncjax.measurement.epoch import Columns, Kept, meter
from ncjax.measurement.given import (
    check_test,
    classes_of,
    digest,
    integer,
    logits_of,
    losses_of,
    stored_config,
)
from ncjax.measurement.pooling import POOLS, shaped
from ncjax.measurement.sources import MeasureError, check_labels, to_numpy
from ncjax.options import suggest
from ncjax.report.live import live_report
from ncjax.runs.classes import Classes
from ncjax.runs.history import History, Row
from ncjax.runs.record import Record

SPLITS = ("train", "test")
_REDRAWN = 60.0  # seconds after which collapse.png is drawn anew while training goes on


class Recorder:
    """Measures the networks of a training loop of any framework, epoch by epoch.

    Each epoch is added in batches and ended; then its metrics, those of
    `ncjax.measure` and the errors of the network, stand under the keys of every run
    (`nc/nc1`, `test/nc1`, `train/error`, ...) in `history`, in metrics.jsonl and in the
    TensorBoard events of the workdir.  collapse.png and report.html are written by
    `close`, and before that at most once a minute.  `ncjax.compare` takes the workdir.

    The examples of an epoch are kept in memory until it is ended, because the final
    class means are needed for a second pass over them: n d numbers of features in the
    type in which they come, and n K of logits in float32 if these are given.  50,000
    features of width 512 take 100 MB in float32, half in bfloat16.  Where that is too
    much, record a part of the training set, the same in each epoch.

    Opening the same workdir again goes on after the last epoch that was ended.  Of
    several processes that train together one alone records, with the features of all.

    Attributes:
        workdir: folder of the recorded run, or None.

    Example:
        >>> import numpy as np, ncjax
        >>> rng, labels = np.random.default_rng(0), np.arange(60) % 3
        >>> with ncjax.Recorder("runs/mine", num_classes=3) as recorder:
        ...     for epoch in range(recorder.latest + 1, 3):
        ...         features = np.eye(3)[labels] + rng.normal(size=(60, 3)) / epoch
        ...         recorder.add(epoch, features, labels)
        ...         recorder.add(epoch, features[:9], labels[:9], split="test")
        ...         row = recorder.end(epoch, classifier=np.eye(3))
        >>> recorder.history["epoch"]
        array([1, 2])
        >>> bool(row["nc/nc1"] < recorder.history["nc/nc1"][0])
        True
    """

    def __init__(
        self,
        workdir: str | os.PathLike | None,
        num_classes: int,
        *,
        class_names: Sequence[str] | None = None,
        hierarchy: Hierarchy | None = None,
        preset: str | Convention = "default",
        pool: str | None = None,
        confusion: bool = False,
        config: Mapping[str, Any] | None = None,
        after: int | None = None,
    ):
        """Opens the folder of a new run, or of the same run recorded before.

        Args:
            workdir: folder of the run; None writes nothing.
            num_classes: number of classes K.
            class_names: names of class 0, 1, ..., for labels that are text and for
                confusion.png; by default those of the tree.
            hierarchy: class tree over the K classes, to measure its superclasses and
                the severity of mistakes; its leaves are in the order of the labels, or
                are brought into that of `class_names`.
            preset: a convention of `ncjax.collapse.PRESETS`, by name, or one's own.
            pool: how feature maps and tokens become vectors, see `ncjax.measure`.
            confusion: also count which class is taken for which in the test set.
            config: what was trained, for config.json and for `ncjax.compare`: runs
                that differ in nothing but its field `seed` are one group, and the
                others are named by the fields in which they differ, such as
                {"seed": 1, "loss": "mse", "model": "resnet18", "lr": 0.1}.
            after: epoch after which the run goes on, such as that of the checkpoint
                from which it is trained again; what was recorded of later epochs is
                dropped.  By default nothing is.

        Raises:
            MeasureError: for an option that cannot be used.
            WorkdirError: if the folder cannot be written, holds something else, or was
                recorded with another `num_classes`, another config or other options.
        """
        self._num_classes = integer(num_classes, "num_classes", 2)
        names, tree = classes_of(num_classes, class_names, hierarchy)
        if pool is not None and pool not in POOLS:
            raise MeasureError(f"Unknown pool {pool!r}. Available: {', '.join(POOLS)}.")
        convention = get_convention(preset)
        own = {
            "num_classes": self._num_classes,
            "class_names": None if class_names is None else list(names or ()),
            "hierarchy": None if tree is None else digest(tree),
            "preset": preset if isinstance(preset, str) else vars(preset),
            "pool": pool,
            "confusion": confusion,
        }
        self._names, self._tree = names, tree
        self._pool, self._confusion = pool, confusion
        self._meter = meter(self._num_classes, tree, confusion, convention)
        self._kept = {split: Kept(num_classes) for split in SPLITS}
        self._epoch: int | None = None  # the one that is not ended
        self._closed, self._warned = False, set()
        self._number: int | None = None  # of train features in the last epoch
        if after is not None:
            after = integer(after, "after", 0)
        self._record = Record(workdir, stored_config(config) | {RECORDER: own}, keep=0)
        self._record.resume(self._record.written if after is None else after)
        self._record.keep_classes(Classes(names or (), tree))
        self.workdir = self.history.workdir
        self._report = live_report(self.workdir)
        self._drawn = time.monotonic()

    @property
    def history(self) -> History:
        """The metrics of all epochs that were ended; `print(recorder.history)`."""
        return self._record.history

    @property
    def latest(self) -> int:
        """The last epoch that was ended; 0 before the first."""
        rows = self.history.rows
        return int(rows[-1]["epoch"]) if rows else 0

    def add(
        self,
        epoch: int,
        features: Any,
        labels: Any,
        *,
        logits: Any = None,
        loss: Any = None,
        mask: Any = None,
        split: str = "train",
    ) -> None:
        """Takes in a copy of a batch, or of the whole split; any number of rows n.

        The arrays may be of NumPy, JAX, PyTorch (on any device) or anything else that
        NumPy can read.  Nothing is measured before `end`.

        Args:
            epoch: number of the epoch, from 1 on; epochs may be left out.
            features: inputs of the last layer [n, d]; the network is in evaluation
                mode.  Feature maps and tokens need `pool`.
            labels: class of each example [n], integers 0..K-1, or names.
            logits: outputs of the network [n, K].  By default they are computed from
                the classifier that is given to `end`.
            loss: loss of each example [n], or their mean.  By default it is the
                cross-entropy of the logits, whatever the network was trained with.
            mask: which tokens [n, tokens] count, 0 where one is padding.
            split: "train" or "test".

        Raises:
            MeasureError: for an epoch that is not the open one or not after the last,
                labels out of range, wrong shapes or types; nothing is taken in.
        """
        epoch = self._check_epoch(epoch)
        if split not in SPLITS:
            raise MeasureError(
                f"Unknown split {split!r}. Available: train, test."
                f"{suggest(str(split), SPLITS)}"
            )
        if self._epoch is None:
            for name, kept in self._kept.items():
                kept.clear(f"{name} features of epoch {epoch}")
        kept = self._kept[split]
        rows = shaped(to_numpy(features), self._pool, kept.name, mask=mask)
        classes, _ = check_labels(
            to_numpy(labels),
            kept.name.replace("features", "labels"),
            self._names,
            start=kept.seen,
            num_classes=self._num_classes,
        )
        if len(classes) != len(rows) or not rows.shape[1]:
            raise MeasureError(
                f"{kept.name} have shape {rows.shape}, their labels {classes.shape}; "
                "[n, d] and [n] are needed."
            )
        columns = Columns(
            rows,
            classes,
            None if logits is None else logits_of(logits, kept, len(rows)),
            None if loss is None else losses_of(loss, len(rows)),
        )
        other = self._kept["test" if split == "train" else "train"]
        if other.seen and other.width != rows.shape[1]:
            raise MeasureError(
                f"{kept.name} have width {rows.shape[1]}, {other.name} {other.width}; "
                "both are of the same layer."
            )
        kept.add(columns)
        self._epoch = epoch

    def end(self, epoch: int, *, classifier: Any = None, bias: Any = None) -> Row:
        """Measures the epoch, writes its metrics and returns them.

        The metrics of the test set are NaN if the epoch has none, which is refused
        where its confusion is asked for.

        Args:
            epoch: number of the epoch whose examples were added.
            classifier: W [K, d] of the last layer after this epoch (transpose a Flax
                kernel), for NC3; None if the last layer is not linear.
            bias: b [K] of the last layer.

        Raises:
            MeasureError: if there are no training features, or neither logits nor a
                classifier; for features that are not finite, a class in the test set
                alone, or a classifier that does not fit.  The epoch then stays open, to
                be ended with other arguments or forgotten with `discard`.
            TrainingError: if the workdir cannot be written any more.
        """
        epoch = self._check_epoch(epoch)
        train, test = (self._kept[split] for split in SPLITS)
        if self._epoch is None or not train.seen:
            raise MeasureError(
                f"Epoch {epoch} has no train features: add them with "
                f"add({epoch}, features, labels) before end({epoch})."
            )
        if self._confusion and not test.seen:
            raise MeasureError(
                f"Epoch {epoch} has no test features, in which confusion=True counts "
                f"the decisions: add({epoch}, features, labels, split='test')."
            )
        weights, offsets = checks.check_classifier(classifier, bias)
        self._check_classifier(weights)
        check_test(train, test)
        values, moments = self._meter(train, test, weights, offsets)
        row = self._record.add([{"epoch": epoch} | values])
        self.discard()
        self._warn(row, moments, train.dtype, weights, offsets)
        if time.monotonic() - self._drawn > _REDRAWN:
            self._draw()
        return row

    def discard(self) -> None:
        """Forgets what was added of an epoch that is not ended."""
        self._epoch = None

    def close(self) -> None:
        """Writes what is left and draws collapse.png, and confusion.png if asked for.

        An epoch that is not ended is forgotten, with a warning.
        """
        if self._closed:
            return
        self._closed = True
        self._record.close()
        self._draw()
        if self._epoch is not None:
            warnings.warn(
                f"Epoch {self._epoch} was added but not ended: it is not recorded.",
                stacklevel=2,
            )
            self.discard()

    def __enter__(self) -> Recorder:
        """The recorder itself; it is closed at the end of the `with` block."""
        return self

    def __exit__(self, kind: Any, *_: Any) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def _draw(self) -> None:
        names = self._names or tuple(map(str, range(self._num_classes)))
        self._record.draw(names, self._tree)
        self._report.write()
        self._drawn = time.monotonic()

    def _check_epoch(self, epoch: Any) -> int:
        """The number of an epoch that can be added to or ended now."""
        epoch = integer(epoch, "epoch", 1)
        if self._closed:
            raise MeasureError(
                "This recorder is closed. Open its workdir again to go on."
            )
        if self._epoch not in (None, epoch):
            raise MeasureError(
                f"Epoch {epoch} was given while epoch {self._epoch} is open: one epoch "
                f"is recorded at a time. Call end({self._epoch}) first, or discard() "
                "to forget what was added of it."
            )
        if epoch <= self.latest:
            raise MeasureError(
                f"Epoch {epoch} goes back: epoch {self.latest} is recorded already. Go "
                f"on with epoch {self.latest + 1}, choose another workdir, or open "
                f"this one with Recorder(..., after={epoch - 1}), which drops what was "
                "recorded of later epochs."
            )
        return epoch

    def _check_classifier(self, weights: np.ndarray | None) -> None:
        """Refuses a classifier that does not fit, or that is missing."""
        missing = [kept.name for kept in self._kept.values() if kept.lacks_logits]
        if weights is None:
            if missing:
                raise MeasureError(
                    f"The {missing[0]} have no logits: give add(..., logits=...), or "
                    "the last layer, end(..., classifier=W, bias=b), from which they "
                    "are computed."
                )
        else:
            checks.check_width(weights, self._kept["train"].width)
            if len(weights) != self._num_classes:
                raise MeasureError(
                    f"The classifier has {len(weights)} rows, but there are "
                    f"{self._num_classes} classes; W [K, d] is needed."
                )
        before = self.history
        if before.rows and (weights is None) == ("nc/nc3" in before):
            has = "has one" if weights is None else "has none"
            raise MeasureError(
                f"Epoch {self._epoch} has {'no' if weights is None else 'a'} "
                f"classifier, but epoch {self.latest} {has}: all epochs of a run have "
                "the same metrics."
            )

    def _warn(self, row, moments, dtype, weights, offsets) -> None:
        """Warns, once for each reason, of what makes numbers void."""
        numbers = {k: v for k, v in row.items() if not isinstance(v, list)}
        values = {k[3:]: value for k, value in numbers.items() if k.startswith("nc/")}
        values["ncc_accuracy"] = row["train/ncc_accuracy"]
        about = about_features(moments, dtype)
        about["nc1_below_floor"] = below_floor(values)
        texts = list(checks.warnings_of(moments, values, weights, offsets, about))
        if self._number not in (None, about["n"]):
            texts.append(
                f"There are {about['n']:,} train features, and {self._number:,} in the "
                "epoch before: were some added twice, or left out?"
            )
        self._number = about["n"]
        for text in texts:
            if (reason := re.sub(r"[\d.,]+", "", text)) not in self._warned:
                self._warned.add(reason)
                warnings.warn(f"Epoch {row['epoch']}: {text}", stacklevel=3)
