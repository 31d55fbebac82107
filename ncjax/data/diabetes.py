"""The diabetes data of scikit-learn: one number to tell of ten."""

from typing import Any

import numpy as np

from ncjax.data.dataset import Dataset, Split, generator
from ncjax.options import check_value


def diabetes(*, test_share: float = 0.2, seed: int = 0) -> Dataset:
    """442 patients: ten measurements at the start, how ill they are a year later.

    The ten are age, sex, body mass index, blood pressure and six values of blood serum.
    It has one target, for which NRC3 says nothing; NRC1 and NRC2 do.

    Args:
      test_share: Share of the patients in the test set, above 0 and below 1.
      seed: Seed of the split.

    Returns:
      Float32 images [n, 1, 10, 1], each measurement with mean 0 and variance 1 over
      the training set, and float32 labels [n, 1] of the target "vector", with mean 0
      and variance 1 there, too.

    Raises:
      ValueError: If the share is out of range.

    References:
      Efron, Hastie, Johnstone and Tibshirani. Least Angle Regression. Annals of
      Statistics, 2004.
    """
    from sklearn.datasets import load_diabetes  # late: it takes a second

    inside = "above 0 and below 1"
    check_value("test_share", test_share, lambda s: 0 < s < 1, inside)
    check_value("seed", seed, lambda s: s >= 0, "0 or larger")
    found: Any = load_diabetes(scaled=False)
    rows = np.concatenate([found.data, found.target[:, None]], axis=1)
    rows = generator(seed, "split").permutation(rows)
    count = min(max(round(test_share * len(rows)), 1), len(rows) - 2)
    train = rows[count:]
    rows = ((rows - train.mean(0)) / train.std(0)).astype(np.float32)
    train, test = (
        Split(part[:, None, :-1, None], part[:, -1:])
        for part in (rows[count:], rows[:count])
    )
    return Dataset("diabetes", train, test, ("progression",), target="vector")
