"""A data set of one's own in NumPy files."""

import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.data.dataset import DataError, Dataset, Split, check_finite
from ncjax.data.labelled import assemble, list_names, say
from ncjax.data.sets import assemble_sets
from ncjax.data.tasks import assemble_tasks
from ncjax.data.vectors import assemble_vectors
from ncjax.options import unknown

# Names that arrays have in files of others, small letters or not: images, labels.
_PAIRS = (
    ("images", "labels"),
    ("x", "y"),
    ("data", "target"),
    ("data", "targets"),
    ("data", "labels"),
    ("features", "labels"),
)
_PATTERNS = {"train": ("train_{}", "{}_train"), "test": ("test_{}", "{}_test")}


def arrays(
    *,
    path: str = "",
    test_path: str = "",
    images: str = "",
    labels: str = "",
    test_images: str = "",
    test_labels: str = "",
    class_names: tuple[str, ...] = (),
    target: str = "class",
    test_fraction: float = 0.2,
    seed: int = 0,
) -> Dataset:
    """Images and labels in an .npz file, or in .npy files of one folder.

    Images are [n, h, w, c]; [n, h, w], which are grey; or vectors [n, d], taken as
    images [n, 1, d, 1].  Images of PyTorch, [n, c, h, w] with 1 or 3 channels and more
    than 4 pixels each way, become [n, h, w, c], and a line says so.  uint8 stays; all
    other numbers become float32.  Labels are class numbers 0..K-1 [n] or [n, 1], or
    class names.

    Args:
      path: The .npz file, or the folder of the .npy files; "" is the current folder.
      test_path: The file or folder of the test set, if it has one of its own.
      images: Name of the array of training images: a key of the .npz file, or an .npy
        file.  By default `train_images`, `x_train`, `images`, `x` or `data`.
      labels: Name of the array of their labels; by default `train_labels`, `y_train`,
        `labels`, `y` or `target`, the one that goes with the images.
      test_images: Name of the array of test images; by default `test_images`, `x_test`,
        or with `test_path` also those of `images`.
      test_labels: Name of the array of their labels, likewise.
      class_names: The class names in the order of the labels; by default an array
        `class_names` beside the others, else the labels themselves.  Of vectors the
        names of their coordinates.
      target: What the labels are: "class"; "ordinal" for classes that are levels with
        an order; "vector" for regression on numbers [n, t] or [n]; "set" for zeros and
        ones [n, K], of which an example may have some; or "tasks" for class numbers of
        several tasks [n, T], 0..K_t - 1 with K_t one more than the largest of a task.
      test_fraction: Where there is no test set, the fraction of each class that becomes
        one.
      seed: Seed of the examples that become the test set.

    Raises:
      DataError: If a file or an array is missing or damaged, or is not as above.
    """
    if not (path or images):
        raise DataError(
            "The data set arrays has no file: set config.data.path to an .npz file "
            "with images and labels, or to a folder of .npy files."
        )
    if target not in _ASSEMBLE:
        raise ValueError(unknown("target", target, _ASSEMBLE))
    train = _Arrays(path)
    splits = {f"{train.path}, train": train.split("train", images, labels)}
    if test_path:
        test = _Arrays(test_path)
        names = test_images or images, test_labels or labels
        splits[f"{test.path}, test"] = test.split("test", *names)
    elif test_images or test_labels or train.find("test", plain=False):
        test = train.split("test", test_images, test_labels, plain=False)
        splits[f"{train.path}, test"] = test
    if not class_names and "class_names" in train.names:
        class_names = tuple(map(str, np.ravel(train.read("class_names")).tolist()))
    return _ASSEMBLE[target](
        train.path.stem or "arrays",
        splits,
        names=class_names,
        test_fraction=test_fraction,
        seed=seed,
    )


def _of_classes(*args: Any, names: tuple[str, ...], **options: Any) -> Dataset:
    return assemble(*args, class_names=names, **options)


_ASSEMBLE: dict[str, Callable[..., Dataset]] = {
    "class": _of_classes,
    "ordinal": _of_classes,  # `select` gives them their order
    "vector": assemble_vectors,
    "set": assemble_sets,
    "tasks": assemble_tasks,
}


class _Arrays:
    """The arrays of an .npz file or a folder, by name, read when they are asked for."""

    def __init__(self, path: str):
        self.path = Path(path).expanduser().absolute()
        if self.path.is_dir():
            self.names = sorted(p.stem for p in self.path.glob("*.npy"))
            self._open: Callable[[str], np.ndarray] = self._map
            return
        if self.path.suffix.lower() != ".npz":
            raise DataError(
                f"{self.path} is no .npz file and no folder. config.data.path is an "
                ".npz file with images and labels, or a folder of .npy files."
            )
        try:
            file = np.load(self.path)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{self.path} cannot be read: {_said(error)}.") from error
        self.names, self._open = file.files, file.__getitem__

    def find(self, which: str, plain: bool = True) -> tuple[str, str] | None:
        """The names of images and labels of a split; `plain` names say no split."""
        known = {name.lower(): name for name in self.names}
        patterns = (*_PATTERNS[which], *(["{}"] if plain else []))
        for pattern in patterns:
            for pair in _PAIRS:
                first, second = (pattern.format(part) for part in pair)
                if first in known and second in known:
                    return known[first], known[second]
        return None

    def split(
        self, which: str, images: str, labels: str, *, plain: bool = True
    ) -> Split:
        """Images and labels of a split, of these names where they are given."""
        if not (images and labels):
            pair = self.find(which, plain)
            if pair is None:
                option = "test_" if which == "test" else ""
                raise DataError(
                    f"{self.path} has no {which} images and labels under a name that "
                    f"is known, such as {which}_images and {which}_labels: it has "
                    f"{list_names(self.names)}. Name them by "
                    f"config.data.{option}images and config.data.{option}labels."
                )
            images, labels = images or pair[0], labels or pair[1]
        where = f"{self.path}: {images}"
        found = to_images(self.read(images), where)
        if found.dtype == np.float32 and found.size:
            # Here, not only in `Dataset`: a test set that is cut off shifts the places.
            check_finite(where, found)
        return Split(found, self.read(labels))

    def read(self, name: str) -> np.ndarray:
        """An array."""
        try:
            return self._open(name)
        except (KeyError, FileNotFoundError) as error:
            raise DataError(
                f"{self.path} has no array {name!r}. It has {list_names(self.names)}."
            ) from error
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            if "allow_pickle" in str(error) or "Python objects" in str(error):
                raise DataError(
                    f"The array {name!r} of {self.path} holds Python objects, as NumPy "
                    "makes of images of different sizes and of text from pandas. Save "
                    "numbers, np.stack(images), or text, labels.astype(str)."
                ) from error
            raise DataError(
                f"The array {name!r} of {self.path} cannot be read: {_said(error)}."
            ) from error

    def _map(self, name: str) -> np.ndarray:
        path = self.path / f"{name.removesuffix('.npy')}.npy"
        return np.load(path, mmap_mode="r")


def _said(error: Exception) -> str:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return reason.splitlines()[0].rstrip(".")


def to_images(array: np.ndarray, where: str) -> np.ndarray:
    """The images [n, h, w, c] that an array holds, uint8 or float32.

    Args:
      array: Images [n, h, w, c], [n, c, h, w], [n, h, w], or vectors [n, d].
      where: Names the array in messages.

    Raises:
      DataError: If it holds no numbers, or has another shape.
    """
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{where} holds {array.dtype}; numbers are needed, uint8 or any that "
            "float32 can hold."
        )
    if array.ndim == 2:
        array = array[:, None, :, None]
    elif array.ndim == 3:
        array = array[..., None]
    elif array.ndim != 4:
        raise DataError(
            f"{where} has shape {array.shape}; [n, h, w, c], [n, h, w] or [n, d] is "
            "needed."
        )
    elif _channels_first(array.shape):
        say(f"{where} has shape {array.shape}: taken as [n, channels, height, width].")
        array = np.moveaxis(array, 1, 3)
    if array.dtype in (np.uint8, np.float32):
        return array
    with np.errstate(over="ignore"):  # infinities are found with all others
        return array.astype(np.float32)


def _channels_first(shape: Sequence[int]) -> bool:
    """Whether images are [n, c, h, w]; feature maps such as [n, 1, 1, d] are not."""
    return shape[1] in (1, 3) and min(shape[2:]) > 4
