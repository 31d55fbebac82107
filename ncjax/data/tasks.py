"""Datasets with a label for each of several tasks, of arrays that a user has."""

from collections.abc import Mapping, Sequence

import numpy as np

from ncjax.data.dataset import DataError, Dataset, Split
from ncjax.data.labelled import check_rows, hold_out, say


def assemble_tasks(
    name: str,
    splits: Mapping[str, Split],
    *,
    names: Sequence[str] = (),
    test_fraction: float,
    seed: int,
) -> Dataset:
    """A dataset of splits whose labels are class numbers of T tasks, [n, T].

    Task t has K_t classes, one more than its largest number in any split.

    Args:
      name: Its name in messages.
      splits: Splits by where they come from, for messages: the training set, and the
        test set if there is one.
      names: Names of the classes of all tasks, those of the first task first; by
        default task0 0, task0 1, ..., task1 0, ...
      test_fraction: Where there is no test set, the fraction of the examples that is
        cut off the training set.
      seed: Seed of the examples that are cut off.

    Raises:
      DataError: If labels are no class numbers, do not fit their images, or lack a
        class in the training set.
    """
    train, *test = (_columns(where, split) for where, split in splits.items())
    if len({split.labels.shape[1] for split in (train, *test)}) > 1:
        shapes = " and ".join(str(split.labels.shape) for split in (train, *test))
        raise DataError(
            f"{name}: labels have shapes {shapes}; the training and the test set need "
            "the same tasks, a column for each."
        )
    largest = np.max([split.labels.max(0) for split in (train, *test)], axis=0)
    sizes = tuple((largest + 1).tolist())
    if not test:
        alike = np.zeros(len(train), np.int32)
        chosen = hold_out(alike, 1, test_fraction, seed)
        test = [train.take(np.flatnonzero(chosen))]
        train = train.take(np.flatnonzero(~chosen))
        say(
            f"{name} has no test set: {len(test[0]):,} of {len(chosen):,} examples, "
            f"drawn with seed {seed}, become one (config.data.test_fraction)."
        )
    usual = (f"task{task} {k}" for task, size in enumerate(sizes) for k in range(size))
    about = {"target": "tasks", "tasks": sizes}
    return Dataset(name, train, test[0], tuple(names) or tuple(usual), **about)


def _columns(where: str, split: Split) -> Split:
    """The split with int32 labels [n, T]."""
    labels = np.asarray(split.labels)
    if labels.dtype.kind not in "iu" or labels.ndim != 2 or not labels.size:
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; for "
            "config.data.target = 'tasks' whole numbers [n, T] are needed, a column "
            "for each task."
        )
    check_rows(where, labels, split)
    if labels.min() < 0 or labels.max() >= 2**20:
        raise DataError(
            f"{where}: labels lie in {labels.min()}..{labels.max()}; class numbers "
            "0, 1, ... of each task are needed."
        )
    return split.labelled(labels.astype(np.int32))
