"""Handwritten 8x8 digits that come with scikit-learn: nothing to download."""

from typing import Any

import numpy as np

from ncjax.data.dataset import Dataset, Split


def digits() -> Dataset:
    """The 1,797 digits of `sklearn.datasets.load_digits`, split 1,437 / 360.

    The split is fixed and stratified. Images are uint8 [n, 8, 8, 1] with the
    original grey values 0..16.

    References:
      E. Alpaydin and C. Kaynak. Optical recognition of handwritten digits. UCI
      Machine Learning Repository, 1998 (its test part).
    """
    # Late: scikit-learn takes a second to import.
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch: Any = load_digits()
    images = bunch.images.astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int32)
    train_images, test_images, train_labels, test_labels = train_test_split(
        images, labels, test_size=0.2, stratify=labels, random_state=0
    )
    return Dataset(
        name="digits",
        train=Split(train_images, train_labels),
        test=Split(test_images, test_labels),
        class_names=tuple("0123456789"),
    )
