"""Image files of all kinds as arrays of one shape, decoded when they are asked for."""

import contextlib
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ncjax.data.dataset import DataError
from ncjax.data.undecoded import Undecoded, decode_all
from ncjax.options import check_value

# Pillow's modes that are one of the two kinds without a loss: number of channels.
_CHANNELS = {"1": 1, "L": 1, "RGB": 3, "P": 3}
_CONVERTIBLE = {*_CHANNELS, "LA", "PA", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
_THREADS = 8


class Pictures(NamedTuple):
    """Image files of one split.

    Attributes:
      where: Names the split in messages.
      labels: Labels [n].
      open: Number of an image -> a file name, or a file, that Pillow opens.
      name: Number of an image -> how messages call it.
    """

    where: str
    labels: np.ndarray
    open: Callable[[int], Any]
    name: Callable[[int], str]


def to_splits(
    pictures: Sequence[Pictures], *, size: int, channels: int
) -> dict[str, Undecoded]:
    """The splits, whose images have one shape.

    Args:
      pictures: The image files of each split.
      size: Height and width that images are brought to: the largest centred square of
        each, scaled.  0 leaves them, and all must have the same.
      channels: 1 makes all images grey, 3 makes all RGB and drops transparency; 0
        leaves them, and all must be of the same kind.

    Raises:
      ValueError: If an option is out of range.
      DataError: Naming the first image that cannot be read or does not fit the others.
    """
    check_value("size", size, lambda s: s >= 0, "0 or larger")
    check_value("channels", channels, lambda c: c in (0, 1, 3), "0, 1 or 3")
    shape = (size, size, channels)
    if not (size and channels):
        shape = _common_shape(pictures, size, channels)
    splits = {}
    for part in pictures:

        def decode(rows: np.ndarray, part: Pictures = part) -> np.ndarray:
            def one(i: int) -> np.ndarray:
                return _decode(part, i, shape, size)

            with ThreadPoolExecutor(_THREADS) as pool:
                return decode_all(
                    part.where, rows, shape, lambda rows: pool.map(one, rows.tolist())
                )

        splits[part.where] = Undecoded(part.labels, shape, decode)
    return splits


def _common_shape(
    pictures: Sequence[Pictures], size: int, channels: int
) -> tuple[int, int, int]:
    """The shape [h, w, c] that all images have; looks at nothing but their headers."""
    first: tuple[tuple[int, int, int], str] | None = None
    for part in pictures:
        for i in range(len(part.labels)):
            with _opened(part, i) as image:
                width, height = (size, size) if size else image.size
                kind = channels or _kind(image.mode, part.name(i))
            shape = height, width, kind
            if first is None:
                first = shape, part.name(i)
            elif shape != first[0]:
                raise DataError(_differ(*first, shape, part.name(i)))
    assert first is not None, "no images"
    return first[0]


def _differ(a: tuple[int, ...], name_a: str, b: tuple[int, ...], name_b: str) -> str:
    """What two images differ in, and the option that mends it."""
    if a[:2] != b[:2]:
        return (
            f"Images differ in size: {name_a} is {a[0]} x {a[1]} pixels (height x "
            f"width), {name_b} {b[0]} x {b[1]}. Set config.data.size, such as "
            "config.data.size = 64: the centred square of each image is scaled to it."
        )
    kinds = {1: "grey", 3: "in colour"}
    return (
        f"Images differ in mode: {name_a} is {kinds[a[2]]}, {name_b} {kinds[b[2]]}. "
        "Set config.data.channels = 3 to make all RGB, or 1 to make all grey."
    )


def _kind(mode: str, name: str) -> int:
    """The number of channels of a mode of Pillow."""
    if mode not in _CHANNELS:
        _check_mode(mode, name)
        raise DataError(
            f"{name} has the mode {mode}; grey and RGB images are taken as they are. "
            "Set config.data.channels = 3 to make all RGB, which drops transparency, "
            "or 1 to make all grey."
        )
    return _CHANNELS[mode]


def _check_mode(mode: str, name: str) -> None:
    if mode not in _CONVERTIBLE:
        raise DataError(
            f"{name} has the mode {mode}, more than 8 bits a channel, which would be "
            "cut off. Scale such images yourself and give them as config.data.name = "
            "'arrays', float32."
        )


def _decode(part: Pictures, i: int, shape: Sequence[int], size: int) -> np.ndarray:
    """One image, uint8 [h, w, c]."""
    from PIL import Image

    with _opened(part, i) as image:
        _check_mode(image.mode, part.name(i))
        image = image.convert("L" if shape[2] == 1 else "RGB")
        if size:
            side = min(image.size)
            left, top = ((length - side) // 2 for length in image.size)
            image = image.crop((left, top, left + side, top + side))
            image = image.resize((size, size), Image.Resampling.BILINEAR)
    return np.asarray(image).reshape(shape)


@contextlib.contextmanager
def _opened(part: Pictures, i: int) -> Generator[Any]:
    """An image, of which Pillow has read the header."""
    from PIL import Image

    try:
        with Image.open(part.open(i)) as image:
            yield image
    except DataError:
        raise
    # Pillow raises what comes to its decoders: OSError, SyntaxError, ValueError, ...
    except Exception as error:
        raise DataError(
            f"{part.name(i)} is no image that can be read, or is damaged: {error}. "
            "Replace or remove it."
        ) from error
