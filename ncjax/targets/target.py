"""What a target is: everything that depends on how an example is labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np


@dataclasses.dataclass(frozen=True)
class Target:
    """What an example is labelled with, such as a class.

    Attributes:
        check: (labels of a split, number of classes K) -> None; raises `TypeError` for
            labels of a wrong type and `ValueError` for wrong shapes or values, with
            what is there, what must be, and how to mend it.
        error: (scores [n, K], labels [n]) -> error of each example [n]; its mean is
            `running/error` in training, `train/error` and `test/error` in measurements.
        moments: (number of classes K, number of features d, scatter=...) -> moments of
            no features, to be updated with features, labels and weights.
        metrics: (moments, W [K, d], b [K], within_variance=..., normalised=...,
            convention=...) -> metrics of the features by name, `nc/NAME` in a run.
        values: (scores, labels) -> further values of each example [n] by name, whose
            means are `train/NAME` and `test/NAME`; none by default.
        absent: (labels of the training split, number of classes K) -> indices of the
            classes that must have an example there and have none; none by default.
    """

    check: Callable[[np.ndarray, int], None]
    error: Callable[[jax.Array, jax.Array], jax.Array]
    moments: Callable[..., Any]
    metrics: Callable[..., Mapping[str, jax.Array]]
    values: Callable[[jax.Array, jax.Array], Mapping[str, jax.Array]] = (
        lambda scores, labels: {}
    )
    absent: Callable[[np.ndarray, int], list[int]] = lambda labels, num_classes: []
