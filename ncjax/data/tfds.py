"""MNIST, Fashion-MNIST and CIFAR through TensorFlow Datasets, without TensorFlow.

Reads folders that tfds has prepared in the array_record format; what is not there is
downloaded and prepared at first use (`ncjax.data.prepare`). Labels are read, and images
decoded, once and cached beside the prepared files, in `<name>/<version>/ncjax-cache/`,
which later calls open as read-only memory maps. Where that folder cannot be written,
each call decodes again, and warns. A few images are decoded without the cache.
"""

import functools
import io
import pathlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ncjax.data.dataset import DataError, Dataset
from ncjax.data.prepare import data_dir, prepare, quiet
from ncjax.data.undecoded import Undecoded, decode_all
from ncjax.extras import install
from ncjax.io import open_whole

_BATCH = 500  # records read at once: three times as fast as one by one
_FEW = 2000  # images that take no longer to decode than a second


def mnist(*, dir: str = "", download: bool = True) -> Dataset:
    """MNIST: 60,000 + 10,000 grey images [28, 28, 1] of handwritten digits.

    Examples are in the order of `tfds.data_source`, here and in the other datasets.

    Args:
      dir: The data folder; see `ncjax.data.prepare.data_dir` for the default.
      download: Whether the dataset is downloaded where it is not prepared.

    Raises:
      DataError: If the dataset is not there and cannot be had, or cannot be read.
    """
    return _load("mnist", dir, download)


def fashion_mnist(*, dir: str = "", download: bool = True) -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 grey images [28, 28, 1] of clothes."""
    return _load("fashion_mnist", dir, download)


def cifar10(*, dir: str = "", download: bool = True) -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour images [32, 32, 3]."""
    return _load("cifar10", dir, download)


def cifar100(*, dir: str = "", download: bool = True) -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour images [32, 32, 3], with the fine labels."""
    return _load("cifar100", dir, download)


def _load(name: str, dir: str, download: bool) -> Dataset:
    folder = data_dir(dir)
    advice = (
        f"Either `python -m ncjax prepare {name}`, or point `config.data.dir` or the "
        "environment variable TFDS_DATA_DIR to a folder in which tfds has prepared "
        f"{name} as array_record."
    )
    try:
        builder = _builder(name, folder, download)
        class_names = tuple(builder.info.features["label"].names)
        train, test = _split(builder, "train"), _split(builder, "test")
    except (ImportError, NotImplementedError, OSError) as error:
        problem = f"Cannot read {name} in {folder}: {error}"
        if isinstance(error, ImportError):
            problem = f"{name} needs packages that are not installed: {error}"
            advice = f"Install them by `{install('tfds')}`."
        elif isinstance(error, FileNotFoundError):
            problem = f"{name} is not prepared in {folder}: {error}"
        elif isinstance(error, NotImplementedError):
            problem = f"{name} in {folder} has a format that cannot be read row by row"
        raise DataError(f"{problem}. {advice}") from error
    return Dataset(name=name, train=train, test=test, class_names=class_names)


def _builder(name: str, folder: pathlib.Path, download: bool) -> Any:
    """The tfds builder of a prepared dataset, which is downloaded if need be."""
    import tensorflow_datasets as tfds

    with quiet():
        builder = tfds.builder(name, data_dir=folder)
        if builder.is_prepared():
            return builder
    if not download:
        raise FileNotFoundError(
            f"it has no version {builder.version} of {name}, and config.data.download "
            "is False"
        )
    prepare([name], dir=str(folder))
    return tfds.builder(name, data_dir=folder)


def _split(builder: Any, which: str) -> Undecoded:
    """A split of a tfds builder, from the cache where it is filled."""
    count = builder.info.splits[which].num_examples
    shape = builder.info.features["image"].shape
    decode = functools.partial(_decode, builder, which, shape)

    def few_or_all(rows: np.ndarray) -> np.ndarray:
        whole = count, *shape
        try:
            images = _open(_file(builder, which, "images"), whole, np.uint8)
        except (OSError, EOFError, ValueError):
            if len(rows) <= min(_FEW, count - 1):
                return decode(rows)
            images = _cached(
                builder, which, "images", whole, lambda: decode(np.arange(count))
            )
        return images if len(rows) == count else images[rows]

    def read_labels() -> np.ndarray:
        records = _records(builder, which, np.arange(count))
        labels = (r.feature["label"].int64_list.value[0] for r in records)
        return np.fromiter(labels, np.int32, count)

    labels = _cached(builder, which, "labels", (count,), read_labels)
    return Undecoded(labels, shape, few_or_all)


def _cached(
    builder: Any,
    which: str,
    kind: str,
    shape: tuple[int, ...],
    make: Callable[[], np.ndarray],
) -> np.ndarray:
    """The images or labels of a split, from the cache; fills it where it is empty."""
    path, dtype = (
        _file(builder, which, kind),
        np.int32 if kind == "labels" else np.uint8,
    )
    try:
        return _open(path, shape, dtype)
    except (OSError, EOFError, ValueError):
        pass  # absent, unreadable, cut off or of other data: write it again
    array = make()
    try:
        path.parent.mkdir(exist_ok=True)
        with open_whole(path) as file:
            np.save(file, array)
        return _open(path, shape, dtype)
    except OSError as error:
        warnings.warn(
            f"Cannot cache the {kind} of {builder.name}/{which}, so each run reads "
            f"them again: {error}",
            stacklevel=2,
        )
        return array


def _file(builder: Any, which: str, kind: str) -> pathlib.Path:
    return pathlib.Path(builder.data_dir) / "ncjax-cache" / f"{which}_{kind}.npy"


def _open(path: pathlib.Path, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    array = np.load(path, mmap_mode="r")
    if (array.shape, array.dtype) != (shape, dtype):
        raise ValueError(f"{path} holds another array: {array.shape}, {array.dtype}")
    return array


def _decode(
    builder: Any, which: str, shape: tuple[int, ...], rows: np.ndarray
) -> np.ndarray:
    from PIL import Image

    def read(batch: np.ndarray) -> Iterator[np.ndarray]:
        for record in _records(builder, which, batch):
            (data,) = record.feature["image"].bytes_list.value
            yield np.asarray(Image.open(io.BytesIO(data))).reshape(shape)

    return decode_all(f"{builder.name}/{which}", rows, shape, read)


def _records(builder: Any, which: str, rows: np.ndarray) -> Iterator[Any]:
    """The features of records as they are stored; tfds takes five times as long."""
    import tensorflow_datasets as tfds
    from tensorflow_datasets.proto import tf_example_pb2

    proto: Any = tf_example_pb2  # its messages are not declared
    skip = {"image": tfds.decode.SkipDecoding()}
    source = builder.as_data_source(which, decoders=skip).data_source
    for start in range(0, len(rows), _BATCH):
        batch = rows[start : start + _BATCH].tolist()
        for record in source.__getitems__(batch):
            yield proto.Example.FromString(record).features
