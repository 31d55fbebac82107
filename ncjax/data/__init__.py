"""Datasets as NumPy arrays, checked once; configs and flags stay outside.

Every builder in `DATASETS` takes keyword arguments with defaults only; `select` takes
a part of what it returns.
"""

from collections.abc import Callable

from ncjax.data.arrays import arrays
from ncjax.data.dataset import (
    DataError as DataError,
    Dataset as Dataset,
    Split as Split,
    channel_statistics as channel_statistics,
)
from ncjax.data.diabetes import diabetes
from ncjax.data.digits import digits
from ncjax.data.digits_regression import digits_regression
from ncjax.data.hf import hf
from ncjax.data.image_folder import image_folder
from ncjax.data.pairs import pair_sets, pair_tasks
from ncjax.data.select import select as select
from ncjax.data.synthetic import synthetic
from ncjax.data.synthetic_regression import synthetic_regression
from ncjax.data.tfds import cifar10, cifar100, fashion_mnist, mnist
from ncjax.options import unknown

DATASETS: dict[str, Callable[..., Dataset]] = {
    "digits": digits,
    "synthetic": synthetic,
    "digits_regression": digits_regression,
    "diabetes": diabetes,
    "synthetic_regression": synthetic_regression,
    "pair_sets": pair_sets,
    "pair_tasks": pair_tasks,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "cifar100": cifar100,
    "arrays": arrays,
    "image_folder": image_folder,
    "hf": hf,
}


def load(name: str, **options) -> Dataset:
    """The dataset of this name; options are those of its builder in `DATASETS`."""
    if name not in DATASETS:
        raise DataError(unknown("dataset", name, DATASETS))
    return DATASETS[name](**options)
