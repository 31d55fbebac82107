"""What data sets of one's own have in common: named classes, a split of one's own."""

import reprlib
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int32

from ncjax.data.dataset import DataError, Dataset, Split, generator
from ncjax.labels import out_of_range
from ncjax.options import check_value

# Names of a test set, where the user gives none: the first that is there.
TEST_NAMES = ("test", "val", "validation", "valid")


def assemble(
    name: str,
    splits: Mapping[str, Split],
    *,
    class_names: Sequence[str] = (),
    test_fraction: float,
    seed: int,
) -> Dataset:
    """A dataset of splits whose labels are numbers or text.

    Args:
      name: Its name in messages.
      splits: Splits by where they come from, for messages: the training set, and the
        test set if there is one.  Labels are class numbers 0..K-1 or class names.
      class_names: The class names in the order of the labels; by default those of the
        training set, sorted, or the numbers.
      test_fraction: Where there is no test set, the fraction of each class that is cut
        off the training set.
      seed: Seed of the examples that are cut off.

    Raises:
      DataError: If labels do not fit their images, each other or the class names.
    """
    for where, split in splits.items():
        _check(where, split)
    labels = {where: np.asarray(split.labels) for where, split in splits.items()}
    labels = {w: x[:, 0] if x.ndim == 2 else x for w, x in labels.items()}
    names = tuple(class_names) or _class_names(labels)
    train, *test = (
        _numbered(where, split, labels[where], names) for where, split in splits.items()
    )
    if not test:
        chosen = hold_out(train.labels, len(names), test_fraction, seed)
        test = [train.take(np.flatnonzero(chosen))]
        train = train.take(np.flatnonzero(~chosen))
        say(
            f"{name} has no test set: {len(test[0]):,} of {len(chosen):,} examples, "
            f"{test_fraction:.0%} of each class drawn with seed {seed}, become one "
            "(config.data.test_fraction)."
        )
    elif alone := sorted({*test[0].labels.tolist()} - {*train.labels.tolist()}):
        raise DataError(
            f"{name}: the test set alone has the class(es) "
            f"{list_names([names[k] for k in alone])}. Add training examples of them, "
            "or leave them out."
        )
    return Dataset(name=name, train=train, test=test[0], class_names=names)


def hold_out(
    labels: Int32[np.ndarray, "n"], num_classes: int, fraction: float, seed: int
) -> Bool[np.ndarray, "n"]:
    """Which examples become the test set: a fraction of each class, at random.

    Raises:
      ValueError: If the fraction is not between 0 and 1.
      DataError: If so few examples leave no test set.
    """
    allowed = "between 0 and 1, both excluded"
    check_value("test_fraction", fraction, lambda f: 0 < f < 1, allowed)
    keys = generator(seed, "test split").random(len(labels))
    chosen = np.zeros(len(labels), bool)
    for k in range(num_classes):
        members = np.flatnonzero(labels == k)
        count = min(round(fraction * len(members)), len(members) - 1)
        chosen[members[np.argsort(keys[members])[: max(count, 0)]]] = True
    if not chosen.any():
        raise DataError(
            f"A test_fraction of {fraction} of the {len(labels)} examples leaves no "
            "test set. Give a larger config.data.test_fraction, or a test set."
        )
    return chosen


def check_rows(where: str, labels: np.ndarray, split: Split) -> None:
    """Raises `DataError` unless there is a row of labels for each image of a split.

    Args:
      where: What messages call the split.
      labels: Labels [n, ...].
      split: The images.
    """
    if len(labels) != split.shape[0]:
        raise DataError(
            f"{where}: {split.shape[0]} images, but labels of shape {labels.shape}; "
            "one row for each image is needed."
        )


def cut_off(name: str, split: Split, fraction: float, seed: int) -> tuple[Split, Split]:
    """The training and the test set of examples without classes, and a line about it.

    Args:
      name: Name of the dataset in the message.
      split: All examples.
      fraction: The fraction of them that becomes the test set.
      seed: Seed of the examples that do.
    """
    chosen = hold_out(np.zeros(len(split), np.int32), 1, fraction, seed)
    train, test = (split.take(np.flatnonzero(x)) for x in (~chosen, chosen))
    say(
        f"{name} has no test set: {len(test):,} of {len(chosen):,} examples, drawn "
        f"with seed {seed}, become one (config.data.test_fraction)."
    )
    return train, test


def _check(where: str, split: Split) -> None:
    """Raises `DataError` unless there is a label for each image."""
    labels = np.asarray(split.labels)
    shape = labels.shape
    if len(shape) == 2 and shape[1] > 1:
        raise DataError(
            f"{where}: labels have shape {shape}; one class for each image is needed, "
            "[n]. Of one-hot rows or scores take labels.argmax(1)."
        )
    if len(shape) not in (1, 2) or shape[0] != split.shape[0]:
        raise DataError(
            f"{where}: {split.shape[0]} images, but labels of shape {shape}; one label "
            "for each image is needed, [n]."
        )
    if not shape[0]:
        raise DataError(f"{where}: there are no examples in it.")
    if labels.dtype.kind not in "biuUT" and not _is_text(labels):
        raise DataError(
            f"{where}: labels are {labels.dtype}, such as "
            f"{reprlib.repr(labels.ravel()[0])}; class numbers 0..K-1 or class names "
            "are needed. Convert them with labels.astype(np.int32)."
        )


def _is_text(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "UT" or (
        labels.dtype.kind == "O" and all(isinstance(x, str) for x in labels.flat)
    )


def _class_names(labels: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The names of classes that have no other names than their labels."""
    train = next(iter(labels.values()))
    if _is_text(train):
        return tuple(map(str, sorted({*train.tolist()})))
    for where, numbers in labels.items():
        if not _is_text(numbers) and (
            fault := out_of_range(numbers, None, f"{where}: labels")
        ):
            raise DataError(fault)
    most = int(train.max())
    present = np.unique(train)  # one wrong label may be huge: no array of its size
    some = np.arange(min(most + 1, 2 * len(present) + 1))
    if missing := np.setdiff1d(some, present).tolist():
        hint = "Number the classes 0..K-1 without gaps."
        if missing == [0]:
            hint = "If they run from 1 on, subtract 1."
        raise DataError(
            f"{next(iter(labels))}: labels go up to {most}, but no training example "
            f"has the label {list_names(missing)}. {hint}"
        )
    return tuple(map(str, range(most + 1)))


def _numbered(
    where: str, split: Split, labels: np.ndarray, names: Sequence[str]
) -> Split:
    """The split with class numbers, int32, for labels."""
    if _is_text(labels):
        number = {name: k for k, name in enumerate(names)}
        found, inverse = np.unique(labels.astype(str), return_inverse=True)
        if unknown := [x for x in found.tolist() if x not in number]:
            raise DataError(
                f"{where}: the class {unknown[0]!r} is none of those to learn, "
                f"{list_names(names)}. Add training examples of it, or leave it out."
            )
        numbers = np.array([number[x] for x in found.tolist()])[inverse]
    elif fault := out_of_range(labels, len(names), f"{where}: labels"):
        raise DataError(fault)
    else:
        numbers = labels
    return split.labelled(numbers.astype(np.int32))


def list_names(names: Sequence[object], most: int = 12) -> str:
    """The first names of a list, for a message."""
    shown = ", ".join(map(str, names[:most])) or "nothing"
    return shown + (f", ... ({len(names)} in all)" if names[most:] else "")


def say(message: str) -> None:
    """Prints a message on standard error, once for all processes."""
    from ncjax import cluster  # late: it imports JAX

    cluster.say(message)
