"""What the study of steered geometries trains on: images at half resolution, a square.

    python -m tests.benchmarks.studies.steering_data --out=runs/steering/data

Writes `cifar10.npz` (four classes, 16 x 16 pixels), `fashion.npz` (ten classes, 14 x 14
pixels) and `fashion_tuning.npz`, in which the test images are training images that
`fashion.npz` does not hold, so that options are not chosen by the test set.  The data
set `arrays` reads them.  `square.npy` has four unit vectors at right angles, of which
the first is opposite the third, and the second the fourth.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from ncjax.data import load
from ncjax.data.dataset import Split
from ncjax.io import open_whole

CIFAR10 = ("automobile", "cat", "dog", "truck")
SQUARE = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
TRAIN, HELD_OUT = 1000, 300  # images of a class, for training and for tuning


def halve(images: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels, rounded: uint8 [n, h, w, c] -> uint8 [n, h/2, w/2, c]."""
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // 2, 2, width // 2, 2, channels)
    return np.rint(blocks.mean((2, 4))).astype(np.uint8)


def rows_of(labels: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The examples start to stop of each class, counted in their order [K * number]."""
    each = [np.flatnonzero(labels == k)[start:stop] for k in np.unique(labels)]
    return np.sort(np.concatenate(each))


def main() -> None:
    """Reads the data sets and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/steering/data"))
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    with open_whole(out / "square.npy") as file:
        np.save(file, SQUARE)

    whole = load("fashion_mnist")
    labels = whole.train.labels
    parts = {
        "fashion": (whole.test, np.arange(len(whole.test))),
        "fashion_tuning": (whole.train, rows_of(labels, TRAIN, TRAIN + HELD_OUT)),
    }
    kept = whole.train.take(rows_of(labels, 0, TRAIN))
    for name, (source, rows) in parts.items():
        test = source.take(rows)
        _write(out / f"{name}.npz", (kept, test), whole.class_names)

    whole = load("cifar10")
    classes = [whole.class_names.index(name) for name in CIFAR10]
    splits = []
    for split in (whole.train, whole.test):
        part = split.take(np.flatnonzero(np.isin(split.labels, classes)))
        splits.append(part.labelled(np.searchsorted(classes, part.labels)))
    _write(out / "cifar10.npz", (splits[0], splits[1]), CIFAR10)


def _write(
    path: Path, splits: tuple[Split, Split], class_names: tuple[str, ...]
) -> None:
    train, test = splits
    found = {
        "x_train": halve(np.asarray(train.images)),
        "y_train": np.asarray(train.labels),
        "x_test": halve(np.asarray(test.images)),
        "y_test": np.asarray(test.labels),
        "class_names": np.array(class_names),
    }
    with open_whole(path) as file:
        np.savez(file, **found)
    sizes = ", ".join(f"{name} {value.shape}" for name, value in found.items())
    print(f"Wrote {path}: {sizes}.")


if __name__ == "__main__":
    main()
