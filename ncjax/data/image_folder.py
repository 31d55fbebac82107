"""A data set of one's own in folders: one for each class, with its images in it."""

from pathlib import Path

import numpy as np

from ncjax.data.dataset import DataError, Dataset
from ncjax.data.labelled import TEST_NAMES, assemble, list_names
from ncjax.data.pictures import Pictures, to_splits

ENDINGS = (
    *(".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm"),
)


def image_folder(
    *,
    path: str = "",
    test_path: str = "",
    train_split: str = "train",
    test_split: str = "",
    test_fraction: float = 0.2,
    size: int = 0,
    channels: int = 0,
    seed: int = 0,
) -> Dataset:
    """Image files in a folder for each class, which has the name of the class.

    `path` holds the folders of the classes, or folders `train` and `test` which hold
    them.  Classes are in the order of their sorted names; images may lie in folders
    below that of their class.  They are uint8 [n, h, w, c], with one channel where all
    are grey, else RGB.  Only the images that a run uses are decoded, at each start.

    Args:
      path: The folder.
      test_path: The folder of the test set, if it does not lie in `path`.
      train_split: Name of the folder in `path` with the training set.
      test_split: Name of that with the test set; by default the first that is there of
        test, val, validation, valid.
      test_fraction: Where there is no test set, the fraction of each class that becomes
        one.
      size: Height and width in pixels that images are brought to: the largest centred
        square of each, scaled.  0 leaves them, and all must have the same.
      channels: 1 makes all images grey, 3 makes all RGB and drops transparency; 0
        leaves them, and all must be of the same kind.
      seed: Seed of the examples that become the test set.

    Raises:
      ValueError: If an option is out of range.
      DataError: If there is no such folder, a class without images, or an image that
        cannot be read or does not fit the others.
    """
    if not path:
        raise DataError(
            "The data set image_folder has no folder: set config.data.path to one that "
            "holds a folder of images for each class."
        )
    folder = Path(path).expanduser().absolute()
    _check_folder(folder, "path")
    train, test = folder, None
    if any(p.is_dir() for p in (folder / train_split).glob("*")):
        train = folder / train_split
        names = (test_split,) if test_split else TEST_NAMES
        test = next((folder / n for n in names if (folder / n).is_dir()), None)
    if test_path:
        test = Path(test_path).expanduser().absolute()
        _check_folder(test, "test_path")
    if test_split and test is None:
        found = sorted(p.name for p in folder.iterdir() if p.is_dir())
        raise DataError(
            f"{folder} has no folders {train_split!r} and {test_split!r} with the "
            f"classes in them. It has {list_names(found)}."
        )
    parts = [_read(part) for part in (train, test) if part is not None]
    return assemble(
        folder.name,
        to_splits(parts, size=size, channels=channels),
        test_fraction=test_fraction,
        seed=seed,
    )


def _check_folder(folder: Path, option: str) -> None:
    if not folder.is_dir():
        raise DataError(
            f"There is no folder {folder}. config.data.{option} must be one that holds "
            "a folder of images for each class."
        )


def _read(folder: Path) -> Pictures:
    """The images in the folders of the classes."""
    entries = sorted(p for p in folder.iterdir() if not p.name.startswith("."))
    classes = [p for p in entries if p.is_dir()]
    if beside := [p for p in entries if _is_image(p)]:
        raise DataError(
            f"{beside[0]} lies in no folder of a class. Put each image into the folder "
            "of its class."
        )
    if not classes:
        raise DataError(
            f"{folder} holds no folders: there must be one for each class, with its "
            "images in it."
        )
    files: list[Path] = []
    labels: list[str] = []
    for name in classes:
        images = sorted(filter(_is_image, name.rglob("*")))
        if not images:
            raise DataError(
                f"The folder {name} of the class {name.name!r} holds no images. Remove "
                f"it, or put images into it: {', '.join(ENDINGS)}."
            )
        files += images
        labels += [name.name] * len(images)
    return Pictures(
        str(folder), np.array(labels), files.__getitem__, lambda i: str(files[i])
    )


def _is_image(path: Path) -> bool:
    hidden = path.name.startswith(".")  # such as "._cat.jpg" of macOS
    return path.suffix.lower() in ENDINGS and not hidden and path.is_file()
