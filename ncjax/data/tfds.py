"""MNIST, Fashion-MNIST and CIFAR through TensorFlow Datasets, without TensorFlow.

Reads folders that `ncjax prepare`, or tfds itself, has prepared in the array_record
format. Images are decoded once and cached beside the prepared files, in
`<name>/<version>/ncjax-cache/`, which later calls open as read-only memory maps. Where
that folder cannot be written, each call decodes the images again, and warns.
"""

import io
import os
import pathlib
import sys
import warnings
from typing import Any

import numpy as np
from tqdm import tqdm

from ncjax.data.dataset import DataError, Dataset, Split
from ncjax.extras import install
from ncjax.io import open_whole

NAMES = ("mnist", "fashion_mnist", "cifar10", "cifar100")

_BATCH = 500  # records read at once: three times as fast as one by one


def mnist(*, dir: str = "") -> Dataset:
    """MNIST: 60,000 + 10,000 grey images [28, 28, 1] of handwritten digits.

    Examples are in the order of `tfds.data_source`, here and in the other datasets.

    Args:
      dir: The data folder; see `data_dir` for the default.

    Raises:
      DataError: If the dataset is not prepared there, or cannot be read.
    """
    return _load("mnist", dir)


def fashion_mnist(*, dir: str = "") -> Dataset:
    """Fashion-MNIST: 60,000 + 10,000 grey images [28, 28, 1] of clothes."""
    return _load("fashion_mnist", dir)


def cifar10(*, dir: str = "") -> Dataset:
    """CIFAR-10: 50,000 + 10,000 colour images [32, 32, 3]."""
    return _load("cifar10", dir)


def cifar100(*, dir: str = "") -> Dataset:
    """CIFAR-100: 50,000 + 10,000 colour images [32, 32, 3], with the fine labels."""
    return _load("cifar100", dir)


def data_dir(dir: str = "") -> pathlib.Path:
    """The folder `dir`, else that of TFDS_DATA_DIR, else the default folder of tfds."""
    dir = dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(dir).expanduser().absolute()


def _load(name: str, dir: str) -> Dataset:
    folder = data_dir(dir)
    advice = (
        f"Either `python -m ncjax prepare {name}`, or point `config.data.dir` or the "
        "environment variable TFDS_DATA_DIR to a folder in which tfds has prepared "
        f"{name} as array_record."
    )
    try:
        import tensorflow_datasets as tfds

        if name not in os.listdir(folder):
            raise FileNotFoundError(f"it has no folder {name!r}")
        builder = tfds.builder(name, data_dir=folder)
        if not builder.is_prepared():
            raise FileNotFoundError(f"it has no version {builder.version} of {name}")
        class_names = tuple(builder.info.features["label"].names)
        train, test = _split(builder, "train"), _split(builder, "test")
    except (ImportError, NotImplementedError, OSError) as error:
        problem = f"Cannot read {name} in {folder}: {error}"
        if isinstance(error, ImportError):
            problem = f"{name} needs packages that are not installed: {error}"
            prepared = (folder / name).is_dir()
            then = "" if prepared else f" && python -m ncjax prepare {name}"
            advice = f"Install them by `{install('tfds')}{then}`."
        elif isinstance(error, FileNotFoundError):
            problem = f"{name} is not prepared in {folder}: {error}"
        elif isinstance(error, NotImplementedError):
            problem = f"{name} in {folder} has a format that cannot be read row by row"
        raise DataError(f"{problem}. {advice}") from error
    return Dataset(name=name, train=train, test=test, class_names=class_names)


def _split(builder: Any, which: str) -> Split:
    """A split of a tfds builder, from the cache; fills the cache where it is empty."""
    info = builder.info
    shape = (info.splits[which].num_examples, *info.features["image"].shape)
    cache = pathlib.Path(builder.data_dir) / "ncjax-cache"
    try:
        return _open(cache, which, shape)
    except (OSError, EOFError, ValueError):
        pass  # absent, unreadable, cut off or of other data: write it again
    split = _decode(builder, which, shape)
    try:
        cache.mkdir(exist_ok=True)
        for kind, array in vars(split).items():
            with open_whole(cache / f"{which}_{kind}.npy") as file:
                np.save(file, array)
        return _open(cache, which, shape)
    except OSError as error:
        warnings.warn(
            f"Cannot cache {builder.name}/{which}, so that each run decodes it again: "
            f"{error}",
            stacklevel=2,
        )
        return split


def _open(cache: pathlib.Path, which: str, shape: tuple[int, ...]) -> Split:
    images = np.load(cache / f"{which}_images.npy", mmap_mode="r")
    labels = np.load(cache / f"{which}_labels.npy", mmap_mode="r")
    found = images.shape, images.dtype, labels.shape, labels.dtype
    if found != (shape, np.uint8, shape[:1], np.int32):
        raise ValueError(f"{cache} holds other arrays: {found}")
    return Split(images, labels)


def _decode(builder: Any, which: str, shape: tuple[int, ...]) -> Split:
    import tensorflow_datasets as tfds
    from PIL import Image

    # Bytes rather than images: the decoder of tfds asks for OpenCV at each call.
    source = builder.as_data_source(
        which, decoders={"image": tfds.decode.SkipDecoding()}
    )
    images, labels = np.empty(shape, np.uint8), np.empty(shape[0], np.int32)
    told = f"Decoding {builder.name}/{which}"
    live = sys.stderr.isatty()
    if not live:  # the bar would break the lines of a log
        print(f"{told}: {shape[0]:,} images, once.", file=sys.stderr, flush=True)
    batches = range(0, shape[0], _BATCH)
    starts = tqdm(batches, desc=told, unit_scale=_BATCH, disable=not live)
    for start in starts:
        batch = range(start, min(start + _BATCH, shape[0]))
        for i, record in zip(batch, source.__getitems__(batch)):
            image = Image.open(io.BytesIO(record["image"]))
            images[i] = np.asarray(image).reshape(shape[1:])
            labels[i] = record["label"]
    return Split(images, labels)
