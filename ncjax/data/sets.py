"""Datasets whose labels are sets, of arrays that a user has."""

from collections.abc import Mapping, Sequence

import numpy as np

from ncjax.data.dataset import DataError, Dataset, Split
from ncjax.data.labelled import check_rows, cut_off


def assemble_sets(
    name: str,
    splits: Mapping[str, Split],
    *,
    names: Sequence[str] = (),
    test_fraction: float,
    seed: int,
) -> Dataset:
    """A dataset of splits whose labels are sets, zeros and ones [n, K].

    Args:
      name: Its name in messages.
      splits: Splits by where they come from, for messages: the training set, and the
        test set if there is one.
      names: Name of each of the K labels; by default 0, 1, ...
      test_fraction: Where there is no test set, the fraction of the examples that is
        cut off the training set.
      seed: Seed of the examples that are cut off.

    Raises:
      DataError: If labels are not zeros and ones, do not fit their images, or are
        empty sets.
    """
    train, *test = (_bool(where, split) for where, split in splits.items())
    if not test:
        train, *test = cut_off(name, train, test_fraction, seed)
    names = tuple(names) or tuple(str(k) for k in range(train.labels.shape[1]))
    return Dataset(name, train, test[0], names, target="set")


def _bool(where: str, split: Split) -> Split:
    """The split with labels True and False [n, K]."""
    labels = np.asarray(split.labels)
    if labels.dtype.kind not in "biuf" or labels.ndim != 2:
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; for "
            "config.data.target = 'set' zeros and ones are needed, [n, K]."
        )
    check_rows(where, labels, split)
    wrong = labels[(labels != 0) & (labels != 1)]
    if wrong.size:
        raise DataError(
            f"{where}: {wrong.size:,} entries of the labels are neither 0 nor 1, such "
            f"as {wrong[0]}; a label is in the set of an example, or it is not."
        )
    return split.labelled(labels.astype(bool))
