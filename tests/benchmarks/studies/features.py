"""Features of a trained network, as a data set of fixed vectors.

    python -m tests.benchmarks.studies.features RUN --per-class=100 --out=FEATURES.npz

The network has not seen the training images: they are others of the same data set, the
same number of each class.  The test set is whole.  FEATURES.npz has `x_train`,
`y_train`, `x_test`, `y_test` and `class_names`, which the data set `arrays` reads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

import ncjax
from ncjax.config.binding import load_data
from ncjax.io import open_whole


def unseen(
    images: np.ndarray, labels: np.ndarray, seen: np.ndarray, per_class: int
) -> np.ndarray:
    """The first rows of each class that are not among the images seen [K * per_class].

    Raises:
        ValueError: if a class has too few.
    """
    known = {image.tobytes() for image in seen}
    new = np.array([image.tobytes() not in known for image in images])
    rows = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(new & (labels == label))
        if len(of_class) < per_class:
            raise ValueError(
                f"Class {label} has {len(of_class)} images that the network has not "
                f"seen, of {per_class} asked for."
            )
        rows.append(of_class[:per_class])
    return np.sort(np.concatenate(rows))


def main() -> None:
    """Reads the network, computes the features and writes them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", help="folder of the run")
    parser.add_argument("--per-class", type=int, required=True, help="images of each")
    parser.add_argument("--out", type=Path, required=True, help="file to write, .npz")
    options = parser.parse_args()
    if options.out.exists():
        print(f"{options.out} is there already.")
        return
    run = ncjax.load(options.run)
    config = ConfigDict(run.config)
    with config.unlocked():
        config.data.examples_per_class = config.data.test_examples_per_class = 0
    whole = load_data(config)
    seen = np.asarray(run.dataset.train.images)
    images, labels = np.asarray(whole.train.images), np.asarray(whole.train.labels)
    rows = unseen(images, labels, seen, options.per_class)
    test = whole.test
    found = {
        "x_train": np.asarray(run(images[rows])[1]),
        "y_train": labels[rows],
        "x_test": np.asarray(run(test.images)[1]),
        "y_test": np.asarray(test.labels),
        "class_names": np.array(whole.class_names),
    }
    with open_whole(options.out) as file:
        np.savez(file, **found)
    sizes = ", ".join(f"{name} {value.shape}" for name, value in found.items())
    print(f"Wrote {options.out}: {sizes}.")


if __name__ == "__main__":
    main()
