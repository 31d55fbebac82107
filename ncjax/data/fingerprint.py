"""What tells a data set from others, without reading all its images."""

import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from ncjax.data.dataset import Dataset

_IMAGES = 64  # of each split, evenly spaced
_PARTS = {"shape": "shape of the images", "labels": "labels", "images": "images"}


def fingerprint(dataset: Dataset) -> dict[str, Any]:
    """Checksums of all labels and some images of both splits, as plain values.

    Labels are those before any is replaced by a random one, which the configuration
    decides.  Of a memory map only the images of the sample are read.
    """
    random = dataset.random
    own = dataset.train.labels if random is None else random.own
    splits = {
        "train": (dataset.train, own),
        "test": (dataset.test, dataset.test.labels),
    }
    found: dict[str, Any] = {"name": dataset.name}
    for which, (split, labels) in splits.items():
        rows = np.unique(np.linspace(0, len(split) - 1, _IMAGES).astype(int))
        found[which] = {
            "shape": list(split.shape),
            "labels": _checksum(labels),
            "images": _checksum(split.images[rows]),
        }
    return found


def differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of two fingerprints is not the same, in words; "" if they are the same.

    Only what both have is compared.
    """
    names = {"train": "training", "test": "test"}
    found = [
        f"the {name} {words}"
        for which, name in names.items()
        for part, words in _PARTS.items()
        if None is not _part(then, which, part) != _part(now, which, part)
    ]
    return " and ".join(found)


def _part(known: Mapping[str, Any], which: str, part: str) -> Any:
    split = known.get(which)
    return split.get(part) if isinstance(split, Mapping) else None


def _checksum(array: np.ndarray) -> int:
    """CRC-32 of the numbers of an array, and of their type."""
    return zlib.crc32(
        np.ascontiguousarray(array).tobytes(), zlib.crc32(array.dtype.str.encode())
    )
