"""Images of other data sets, and noise, as a probe brings them to a trained network."""

from __future__ import annotations

import numpy as np

from ncjax import data
from ncjax.data.dataset import DataError, Dataset, generator
from ncjax.options import check_value, takes, unknown
from ncjax.transfer.episodes import equal_parts

NOISES = ("noise", "gaussian")


def foreign_images(
    name: str,
    known: Dataset,
    *,
    dir: str = "",
    resize: bool = False,
    examples: int = 0,
) -> np.ndarray:
    """Test images of another data set [m, h, w, c], of the shape and type of the known.

    Args:
        name: a data set of `ncjax.data.DATASETS` that needs no options; "noise", with
            pixels uniform between the least and the largest of the known ones; or
            "gaussian", with pixels of the mean and the standard deviation of each
            channel, cut to the same range.
        known: the data set that the network is trained on.
        dir: data folder of the other set; see `ncjax.data.prepare.data_dir`.
        resize: resize images of another size (with an antialiased linear filter), make
            grey ones colour by three equal channels, and colour ones grey by their
            mean.
        examples: number of images to keep, evenly spread; 0 for all.

    Raises:
        ValueError: for an unknown name, or a number below 0.
        DataError: for a set that cannot be read, that shares classes with the known
            one, or whose images have another type, or another shape without `resize`.
    """
    check_value("examples", examples, lambda n: n >= 0, "0 or larger")
    if name in NOISES:
        return _noise(name, known, examples or len(known.test))
    if name not in data.DATASETS:
        raise ValueError(unknown("data set", name, [*data.DATASETS, *NOISES]))
    other = _load(name, dir)
    _check_foreign(name, other, known)
    return _fitting(_spread(other.test.images, examples), name, known, resize)


def foreign_classes(
    name: str,
    known: Dataset,
    *,
    dir: str = "",
    resize: bool = False,
    most: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Test images of new classes, equally many of each, and their labels from 0 on.

    Args:
        name: a data set of `ncjax.data.DATASETS` that needs no options; or "held_out",
            the classes of the known data set itself that its selection of classes has
            left out.
        known: the data set that the network is trained on.
        dir: data folder of the other set; see `ncjax.data.prepare.data_dir`.
        resize: resize images of another shape, instead of refusing them.
        most: images of each class at most; 0 for as many as the smallest class has.

    Returns:
        Images [C m, h, w, c], class after class, and labels int32 [C m].

    Raises:
        ValueError: for an unknown name.
        DataError: as in `foreign_images`; or if fewer than two classes are new.
    """
    own = name == "held_out"
    source = known.name if own else name
    if source not in data.DATASETS:
        raise ValueError(unknown("data set", source, [*data.DATASETS, "held_out"]))
    other = _load(source, dir)
    new = [
        k for k, c in enumerate(other.class_names) if c not in set(known.class_names)
    ]
    if own and len(new) < 2:
        raise DataError(
            f"Of the {len(other.class_names)} classes of {source} {len(new)} are held "
            "out, and two are needed. Choose those to train on with "
            "config.data.classes, or name another data set."
        )
    if not own:
        _check_foreign(name, other, known)
    rows = equal_parts(np.asarray(other.test.labels), len(other.class_names), most)[new]
    images = np.asarray(other.test.images)[rows.ravel()]
    labels = np.repeat(np.arange(len(new), dtype=np.int32), rows.shape[1])
    return _fitting(images, source, known, resize), labels


def resized(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images of another height, width and number of channels (1 or 3).

    Args:
        images: uint8 or float32 [n, h, w, c].
        shape: the new (h, w, c).

    Raises:
        DataError: for channels that are neither 1 nor 3.
    """
    import jax  # late: the rest is NumPy

    height, width, channels = shape
    if {images.shape[-1], channels} - {1, 3} and images.shape[-1] != channels:
        raise DataError(
            f"Images of {images.shape[-1]} channels cannot be made into {channels}."
        )
    found = np.empty((len(images), *shape), images.dtype)
    for start in range(0, len(images), 1000):
        part = np.asarray(images[start : start + 1000], np.float32)
        if part.shape[-1] != channels:
            part = part.mean(-1, keepdims=True).repeat(channels, -1)
        size = (len(part), height, width, channels)
        part = np.asarray(jax.image.resize(part, size, "linear", antialias=True))
        if images.dtype == np.uint8:
            part = np.clip(np.rint(part), 0, 255)
        found[start : start + 1000] = part.astype(images.dtype)
    return found


def _load(name: str, dir: str) -> Dataset:
    options = {"dir": dir} if dir and takes(data.DATASETS[name], "dir") else {}
    return data.load(name, **options)


def _fitting(images: np.ndarray, name: str, known: Dataset, resize: bool) -> np.ndarray:
    """The images, of the shape of the known ones."""
    if images.shape[1:] == known.image_shape:
        return images
    if not resize:
        raise DataError(
            f"The images of {name} have shape {images.shape[1:]}, those of "
            f"{known.name} {known.image_shape}. To resize them, ask for it with the "
            "option that ends in `resize`."
        )
    return resized(images, known.image_shape)


def _check_foreign(name: str, other: Dataset, known: Dataset) -> None:
    """Raises `DataError` for a data set that is not foreign, or of another type."""
    shared = [c for c in other.class_names if c in set(known.class_names)]
    if shared:
        raise DataError(
            f"{name} shares {len(shared)} classes with {known.name}, such as "
            f"{shared[0]!r}: its images are no outliers. Choose another data set."
        )
    if other.train.dtype != known.train.dtype:
        raise DataError(
            f"The images of {name} are {other.train.dtype}, those of {known.name} "
            f"{known.train.dtype}: their values mean something else. Choose another "
            f"data set, or one of {', '.join(NOISES)}."
        )


def _spread(images: np.ndarray, examples: int) -> np.ndarray:
    if not 0 < examples < len(images):
        return np.asarray(images)
    rows = np.arange(examples) * len(images) // examples
    return np.asarray(images[rows])


def _noise(name: str, known: Dataset, examples: int) -> np.ndarray:
    rng = generator(0, f"ood {name}")
    shape = (examples, *known.image_shape)
    sample = np.asarray(_spread(known.train.images, 1000), np.float32)
    low, high = sample.min(), sample.max()
    if name == "noise":
        pixels = rng.uniform(low, high, shape)
    else:
        axes = (0, 1, 2)
        pixels = rng.normal(sample.mean(axes), sample.std(axes), shape).clip(low, high)
    if known.train.dtype == np.uint8:
        pixels = np.rint(pixels)
    return pixels.astype(known.train.dtype)
