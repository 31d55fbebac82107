"""A data set of the Hugging Face Hub, or a local folder that `datasets` reads."""

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ncjax.data.dataset import DataError, Dataset
from ncjax.data.labelled import TEST_NAMES, assemble, list_names
from ncjax.data.pictures import Pictures, to_splits
from ncjax.extras import install


def hf(
    *,
    path: str = "",
    subset: str = "",
    train_split: str = "train",
    test_split: str = "",
    images: str = "",
    labels: str = "",
    test_fraction: float = 0.2,
    class_names: tuple[str, ...] = (),
    size: int = 0,
    channels: int = 0,
    download: bool = True,
    seed: int = 0,
) -> Dataset:
    """Images and labels of a data set of Hugging Face `datasets`.

    Args:
      path: Its name on the Hub, such as "ylecun/mnist", or a local folder: one that
        `Dataset.save_to_disk` has written, or one that `load_dataset` reads.
      subset: Name of its subset (its configuration), if it has several.
      train_split: Name of the split with the training set.
      test_split: Name of that with the test set; by default the first that is there of
        test, val, validation, valid.
      images: Name of the column of images; by default the only one of type `Image`.
      labels: Name of the column of labels, class numbers or names; by default the only
        one of type `ClassLabel`.
      test_fraction: Where there is no test set, the fraction of each class that becomes
        one.
      class_names: The class names in the order of the labels; by default those of the
        column.
      size: Height and width in pixels that images are brought to, as in `image_folder`.
      channels: 1 makes all images grey, 3 makes all RGB; see `image_folder`.
      download: Whether it is downloaded where it is not in the cache of `datasets`.
      seed: Seed of the examples that become the test set.

    Raises:
      ValueError: If an option is out of range.
      DataError: If the package is missing, the data set cannot be had, or lacks such a
        split or column, or an image does not fit the others.
    """
    if not path:
        raise DataError(
            "The data set hf has no name: set config.data.path to its name on the "
            "Hugging Face Hub, or to a local folder."
        )
    found = _load(path, subset, download)
    chosen = [_split_name(path, found, train_split)]
    if test_split:
        chosen.append(_split_name(path, found, test_split))
    else:
        others = (n for n in TEST_NAMES if n in found and n != train_split)
        chosen += [n for n in (next(others, None),) if n is not None]
    features = found[train_split].features
    names = class_names or _class_names(features, labels)
    return assemble(
        Path(path).name,
        to_splits(
            [_read(f"{path}/{name}", found[name], images, labels) for name in chosen],
            size=size,
            channels=channels,
        ),
        class_names=names,
        test_fraction=test_fraction,
        seed=seed,
    )


def _load(path: str, subset: str, download: bool) -> Any:
    """The splits of a data set by name."""
    try:
        import datasets
    except ImportError as error:
        raise DataError(
            f"The data set hf needs a package that is not installed: {error}. "
            f"`{install('hf')}`"
        ) from error
    if not sys.stderr.isatty():  # its bars would break the lines of a log
        datasets.disable_progress_bars()
    folder = Path(path).expanduser()
    try:
        if (folder / "dataset_dict.json").is_file() or (
            folder / "state.json"
        ).is_file():
            found: Any = datasets.load_from_disk(str(folder))
        else:
            if not folder.is_dir():
                print(
                    f"Loading {path} from the cache of Hugging Face in "
                    f"{datasets.config.HF_DATASETS_CACHE}"
                    f"{', or from their Hub' if download else ''}.",
                    file=sys.stderr,
                    flush=True,
                )
            local = datasets.DownloadConfig(local_files_only=not download)
            found = datasets.load_dataset(
                str(folder) if folder.is_dir() else path,
                subset or None,
                download_config=local,
            )
    # It raises what its readers, the Hub and the network raise.
    except Exception as error:
        reason = str(error).splitlines()[0].rstrip(".") or type(error).__name__
        raise DataError(
            f"The data set {path!r} of Hugging Face cannot be had: {reason}. "
            "config.data.path is its name on the Hub, such as 'ylecun/mnist', or a "
            "local folder; without the network it must be in the cache, or local."
        ) from error
    return found if isinstance(found, dict) else {"train": found}


def _split_name(path: str, found: Any, name: str) -> str:
    if name not in found:
        raise DataError(f"{path} has no split {name!r}. It has {list_names([*found])}.")
    return name


def _column(features: Any, given: str, kind: str, option: str, where: str) -> str:
    """The column of this name, else the only one of a type."""
    if given and given not in features:
        raise DataError(
            f"{where} has no column {given!r}. It has {list_names([*features])}."
        )
    columns = [n for n, f in features.items() if type(f).__name__ == kind]
    if not given and len(columns) != 1:
        raise DataError(
            f"{where} has {list_names(columns)} of type {kind}, and one is needed. "
            f"Name the column by config.data.{option}: {list_names([*features])}."
        )
    return given or columns[0]


def _class_names(features: Any, labels: str) -> tuple[str, ...]:
    """The names that a column `ClassLabel` gives to its classes."""
    columns = [f for n, f in features.items() if n == labels or not labels]
    named = [f for f in columns if type(f).__name__ == "ClassLabel"]
    return tuple(named[0].names) if len(named) == 1 else ()


def _read(where: str, split: Any, images: str, labels: str) -> Pictures:
    """The images of a split, as stored, and its labels."""
    import datasets

    column = _column(split.features, images, "Image", "images", where)
    label = _column(split.features, labels, "ClassLabel", "labels", where)
    if type(split.features[column]).__name__ != "Image":
        raise DataError(
            f"The column {column!r} of {where} is {split.features[column]}, must be of "
            "type Image. Convert it with `cast_column(NAME, datasets.Image())`."
        )
    stored = split.select_columns([column]).cast_column(
        column, datasets.Image(decode=False)
    )

    def open_image(i: int) -> Any:
        found = stored[i][column] or {}
        data = found.get("bytes")
        return io.BytesIO(data) if data is not None else found.get("path")

    try:
        values = np.array(split.with_format(None)[label][:])
    except ValueError as error:
        raise DataError(
            f"The column {label!r} of {where} holds lists of different lengths; one "
            "class for each image is needed."
        ) from error
    return Pictures(where, values, open_image, lambda i: f"Image {i} of {where}")
