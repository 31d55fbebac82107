"""What a dataset is here: two splits of images and labels, checked once."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import Float32, Shaped

from ncjax.options import InputError, check_value

# A class name, or a tuple of trees (runtime type checks cannot recur).
Tree = str | tuple[Any, ...]

_CHUNK_BYTES = 1 << 25  # float64 work space of a streaming pass over images


class DataError(InputError):
    """A problem with data that the user can mend; the message says how."""


class DataTypeError(DataError, TypeError):
    """Data of a type that cannot be used."""


@dataclasses.dataclass(frozen=True, eq=False)
class Split:
    """Examples in a fixed order.

    Attributes:
      images: uint8 or float32 [n, h, w, c], possibly a read-only memory map.
      labels: labels [n, ...], as the target of the dataset has them; of the target
        "class" int32 [n], indices into the class names.
    """

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the images, known without decoding them."""
        return self.images.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the images, known without decoding them."""
        return self.images.dtype

    def take(self, rows: np.ndarray) -> "Split":
        """The examples in these rows [m], which increase; all of them are no copy."""
        whole = len(rows) == len(self)
        return Split(self.images if whole else self.images[rows], self.labels[rows])

    def labelled(self, labels: np.ndarray) -> "Split":
        """The same images with other labels."""
        return Split(self.images, labels)


@dataclasses.dataclass(frozen=True, eq=False)
class RandomLabels:
    """The training labels with any share of random ones, fixed by the seed of the data.

    The label of an example is its drawn one where its number is below the share.

    Attributes:
      own: The labels before any is replaced, [n].
      uniform: A number in [0, 1) for each example, [n].
      drawn: A label drawn uniformly from all classes for each example, [n].
    """

    own: np.ndarray
    uniform: np.ndarray
    drawn: np.ndarray

    def labels(self, share: float) -> np.ndarray:
        """The labels [n] with a share of random ones.

        Raises:
          ValueError: If the share is not in 0..1.
        """
        check_share(share)
        return np.where(self.uniform < share, self.drawn, self.own)


def check_share(share: float):
    """Raises `ValueError` for a share of random labels that is not in 0..1."""
    check_value("random_labels", share, lambda s: 0 <= s <= 1, "in 0..1")


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A train and a test split over the same classes.

    Attributes:
      name: The name in messages and plots.
      train: The training split; it has at least one example of every class.
      test: The test split; it may lack classes.
      class_names: The name of label 0, 1, ...; unique.  Of other targets than
        "class" the name of each output of a network: that of a coordinate.
      tree: The class tree where one is known: nested tuples with every class
        name once, such as `(("cat", "dog"), ("car",))`.
      target: What an example is labelled with: a name in `ncjax.targets.TARGETS`.
      random: The training labels with other shares of random ones, where known.
      tasks: Of the target "tasks" the number of classes of each task; `class_names` are
        those of the first task, then those of the second, and so on.

    Raises:
      DataTypeError: On a wrong dtype.
      DataError: On wrong shapes or values, or an unknown target.
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    tree: Tree | None = None
    target: str = "class"
    random: RandomLabels | None = None
    tasks: tuple[int, ...] = ()

    def __post_init__(self):
        self._check_class_names()
        for which, split in (("train", self.train), ("test", self.test)):
            self._check_split(f"{self.name}/{which}", split)
        if self.train.shape[1:] != self.test.shape[1:]:
            raise DataError(
                f"{self.name}: images are {self.train.shape[1:]} in train but "
                f"{self.test.shape[1:]} in test; resize or crop one of them."
            )
        if self.train.dtype != self.test.dtype:
            raise DataTypeError(
                f"{self.name}: images are {self.train.dtype} in train but "
                f"{self.test.dtype} in test; convert one of them."
            )
        self._check_all_there(self.train.labels)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        h, w, c = self.train.shape[1:]
        return h, w, c

    def train_labels(self, share: float) -> np.ndarray:
        """The training labels [n] with a share of random ones in place of its own.

        Raises:
          ValueError: If the share is not in 0..1.
          DataError: If the dataset does not know them, or a class is left without one.
        """
        if self.random is None:
            raise DataError(
                f"{self.name}: it is not known what random labels are drawn from. A "
                "dataset that `ncjax.data.select` returns knows it."
            )
        labels = self.random.labels(share)
        self._check_all_there(labels)
        return labels

    def _check_all_there(self, labels: np.ndarray):
        try:
            absent = self._target().absent(labels, self.num_classes)
        except ValueError as error:
            raise DataError(f"{self.name}/train: {error}") from error
        if absent:
            raise DataError(
                f"{self.name}: more classes than labels: {self.num_classes} class "
                f"names, but no training example of {_some(self.class_names, absent)}."
                " Drop these classes, or give each at least one example."
            )

    def _check_class_names(self):
        least = self._target().least
        if len(self.class_names) < least:
            raise DataError(
                f"{self.name}: got {len(self.class_names)} class name(s); the target "
                f"{self.target!r} needs at least {least}."
            )
        if len(set(self.class_names)) < len(self.class_names):
            raise DataError(f"{self.name}: class names repeat: {self.class_names}.")
        if self.tree is not None and (
            sorted(leaves(self.tree)) != sorted(self.class_names)
        ):
            raise DataError(
                f"{self.name}: the tree has the classes {sorted(leaves(self.tree))}, "
                f"but the class names are {sorted(self.class_names)}; each must "
                "occur in the tree exactly once."
            )

    def _check_split(self, where: str, split: Split):
        shape, labels = split.shape, split.labels
        if split.dtype not in (np.uint8, np.float32):
            raise DataTypeError(
                f"{where}: images are {split.dtype}, must be uint8 or float32; "
                "convert with `images.astype(np.float32)`."
            )
        if len(shape) != 4 or labels.shape[:1] != shape[:1]:
            raise DataError(
                f"{where}: images have shape {shape} and labels "
                f"{labels.shape}, must be [n, h, w, c] and [n]."
            )
        if 0 in shape:
            raise DataError(
                f"{where}: empty, images have shape {shape}; a split needs "
                "at least one example, and an image at least one pixel."
            )
        try:
            self._target().check(labels, self.num_classes)
        except (TypeError, ValueError) as error:
            kind = DataTypeError if isinstance(error, TypeError) else DataError
            raise kind(f"{where}: {error}") from error
        if split.dtype == np.float32:  # uint8 is finite: leave a map unread
            check_finite(where, split.images)

    def _target(self) -> Any:
        from ncjax.targets import get_target  # late: it imports JAX

        try:
            return get_target(self.target, self.tasks)
        except ValueError as error:
            raise DataError(f"{self.name}: {error}") from error


def leaves(tree: Tree) -> list[str]:
    """Class names of a tree, from left to right."""
    if isinstance(tree, str):
        return [tree]
    return [name for branch in tree for name in leaves(branch)]


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A random stream of one purpose: draws for other purposes do not shift it."""
    check_value("seed", seed, lambda s: s >= 0, "0 or larger")
    return np.random.default_rng([seed, *purpose.encode()])


def channel_statistics(
    images: Shaped[np.ndarray, "n h w c"],
) -> tuple[Float32[np.ndarray, "c"], Float32[np.ndarray, "c"]]:
    """Mean and standard deviation of each channel, in the units of the array.

    Two passes in float64 over chunks of bounded size: exact to rounding, for
    memory maps too.

    Args:
      images: uint8 (0..255, not rescaled) or float32 [n, h, w, c].

    Returns:
      Mean [c] and population standard deviation [c], float32. The deviation of a
      constant channel is 1, so that `(images - mean) / std` is 0 there.
    """
    count = images.size // images.shape[-1]
    mean = sum(_channel_sum(x.astype(np.float64)) for x in _chunks(images)) / count
    variance = sum(_channel_sum((x - mean) ** 2) for x in _chunks(images)) / count
    # Sums of 24-bit numbers are exact in float64: a constant channel gives 0 exactly.
    std = np.where(variance > 0, np.sqrt(variance), 1.0)
    return mean.astype(np.float32), std.astype(np.float32)


def _channel_sum(x: np.ndarray) -> np.ndarray:
    return x.sum(axis=0).sum(axis=(0, 1))  # 8 times as fast as all at once


def _chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    """Consecutive parts of the images, each small enough for float64 work space."""
    step = max(1, _CHUNK_BYTES // (8 * images[0].size))
    return (images[i : i + step] for i in range(0, len(images), step))


def check_finite(where: str, images: np.ndarray):
    """Raises `DataError` for NaN and infinity; memory maps are read in parts.

    Args:
      where: Names the images in the message.
      images: float32 [n, h, w, c].
    """
    bad = [(~np.isfinite(x)).sum(axis=(1, 2, 3)) for x in _chunks(images)]
    counts = np.concatenate(bad)
    if counts.any():
        first = np.flatnonzero(counts).tolist()
        raise DataError(
            f"{where}: {counts.sum()} NaN or infinite values in {len(first)} of "
            f"{len(images)} images, first in {_some(range(len(images)), first)}; drop "
            "these images or fill the values in."
        )


def _some(items, indices: list[int], limit: int = 5) -> str:
    """The items at the first few indices, for a message."""
    text = ", ".join(str(items[i]) for i in indices[:limit])
    return text + (f", ... ({len(indices)} in all)" if len(indices) > limit else "")
