"""Datasets whose labels are vectors, of arrays that a user has."""

from collections.abc import Mapping, Sequence

import numpy as np

from ncjax.data.dataset import DataError, Dataset, Split
from ncjax.data.labelled import check_rows, cut_off


def assemble_vectors(
    name: str,
    splits: Mapping[str, Split],
    *,
    names: Sequence[str] = (),
    test_fraction: float,
    seed: int,
) -> Dataset:
    """A dataset of splits whose labels are numbers, [n, t] or [n].

    Args:
      name: Its name in messages.
      splits: Splits by where they come from, for messages: the training set, and the
        test set if there is one.
      names: Name of each of the t coordinates; by default y0, y1, ...
      test_fraction: Where there is no test set, the fraction of the examples that is
        cut off the training set.
      seed: Seed of the examples that are cut off.

    Raises:
      DataError: If labels are no numbers, do not fit their images, or are constant.
    """
    train, *test = (_columns(where, split) for where, split in splits.items())
    if not test:
        train, *test = cut_off(name, train, test_fraction, seed)
    names = tuple(names) or tuple(f"y{j}" for j in range(train.labels.shape[1]))
    return Dataset(name, train, test[0], names, target="vector")


def _columns(where: str, split: Split) -> Split:
    """The split with float32 labels [n, t]."""
    labels = np.asarray(split.labels)
    if labels.dtype.kind not in "biuf" or labels.ndim not in (1, 2):
        raise DataError(
            f"{where}: labels are {labels.dtype} of shape {labels.shape}; for "
            "config.data.target = 'vector' numbers are needed, [n, t] or [n]."
        )
    check_rows(where, labels, split)
    with np.errstate(over="ignore"):  # infinities are found with all others
        return split.labelled(labels.reshape(len(labels), -1).astype(np.float32))
