"""Images that are decoded when they are asked for: only those that a run uses."""

import functools
import sys
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from jaxtyping import Int, Shaped, UInt8
from tqdm import tqdm

from ncjax.data.dataset import Split

Decode = Callable[[np.ndarray], np.ndarray]  # rows [m] -> uint8 images [m, h, w, c]

_BATCH = 500  # images decoded between two steps of the bar
_FEW = 2000  # images that are decoded before a bar would be of use


class Undecoded(Split):
    """A split of uint8 images.  `take` decodes nothing, `images` all, once."""

    def __init__(
        self, labels: Shaped[np.ndarray, "n"], shape: Sequence[int], decode: Decode
    ):
        """Keeps what is needed to decode.

        Args:
          labels: Labels [n].
          shape: Shape [h, w, c] of an image.
          decode: Rows [m], which increase -> uint8 images [m, h, w, c].
        """
        # The base class is frozen.
        vars(self).update(labels=labels, _shape=tuple(shape), _decode=decode)

    @functools.cached_property
    def images(self) -> np.ndarray:
        """The images [n, h, w, c]."""
        return vars(self)["_decode"](np.arange(len(self)))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the images."""
        return (len(self), *vars(self)["_shape"])

    @property
    def dtype(self) -> np.dtype:
        """The type of the images: uint8."""
        return np.dtype(np.uint8)

    def take(self, rows: Int[np.ndarray, "m"]) -> "Undecoded":
        """The examples in these rows, which increase, still undecoded."""
        decode, shape = vars(self)["_decode"], vars(self)["_shape"]
        return Undecoded(self.labels[rows], shape, lambda part: decode(rows[part]))

    def labelled(self, labels: Shaped[np.ndarray, "n"]) -> "Undecoded":
        """The same images, still undecoded, with other labels."""
        return Undecoded(labels, vars(self)["_shape"], vars(self)["_decode"])


def decode_all(
    name: str,
    rows: Int[np.ndarray, "m"],
    shape: Sequence[int],
    read: Callable[[np.ndarray], Iterable[np.ndarray]],
) -> UInt8[np.ndarray, "m h w c"]:
    """Decodes images, with a bar where somebody looks on, else with a line.

    Args:
      name: What is decoded, for the bar.
      rows: Numbers of the images.
      shape: Shape [h, w, c] of an image.
      read: Some of the rows -> their images.
    """
    images = np.empty((len(rows), *shape), np.uint8)
    told, many = f"Decoding {name}", len(rows) > _FEW
    live = many and sys.stderr.isatty()
    if many and not live:  # the bar would break the lines of a log
        print(f"{told}: {len(rows):,} images.", file=sys.stderr, flush=True)
    starts = range(0, len(rows), _BATCH)
    for start in tqdm(starts, desc=told, unit_scale=_BATCH, disable=not live):
        batch = rows[start : start + _BATCH]
        for i, image in enumerate(read(batch), start):
            images[i] = image
    return images
