"""What a target is: everything that depends on how an example is labelled."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from ncjax.targets import class_passes


@dataclasses.dataclass(frozen=True)
class Target:
    """What an example is labelled with, such as a class.

    A run asks it, in this order: `check` and `absent` of the labels, `example` to try
    a loss out, `error` in the training step, then in a measurement `moments` (the first
    pass, over the training set), `second` (the second pass, over both sets), and
    `metrics` and `of_sets` of what they have summed.  The defaults from `decide` on are
    those of classes, so a target whose labels are class indices [n] needs the first
    five at most.

    Moments have the methods `update(features, labels, weights)`, `residual(features,
    labels)` and `all_reduce(axis_name)`; see `ClassMoments`.  Second passes have
    `update(features, labels, decisions, weights)`, `residual_deviations(residuals,
    labels, moments)`, `update_deviations(deviations, labels, decisions, weights)`,
    `merge` and `all_reduce(axis_name)`; see `ncjax.collapse.SecondPass`.

    Attributes:
        check: (labels of a split, number of classes K) -> None; raises `TypeError` for
            labels of a wrong type and `ValueError` for wrong shapes or values, with
            what is there, what must be, and how to mend it.
        error: (scores [n, K], labels [n, ...]) -> error of each example [n]; its mean
            is `running/error` in training, and in measurements `train/ERROR` and
            `test/ERROR`, where ERROR is `error_key`.
        moments: (number of classes K, number of features d, scatter=...,
            largest_norm=...) -> moments of no features, to be updated with features,
            labels and weights.
        metrics: (moments, W [K, d], b [K], convention=..., and what `about` returns) ->
            metrics of the features by name, `nc/NAME` in a run.
        values: (scores, labels) -> further values of each example [n] by name, whose
            means are `train/NAME` and `test/NAME`; none by default.
        absent: (labels of the training split, number of classes K) -> indices of the
            classes that must have an example there and have none; none by default.
            May raise `ValueError` for labels from which nothing can be learned.
        decide: scores [n, K] -> what the second pass is told that the network says of
            each example [n, ...]; by default the class of the largest score.
        second: (moments, classifier=W or None, hierarchy=..., convention=...,
            training=...) -> second pass that has seen no features.
        about: second pass over the training set -> keywords of `metrics`.
        of_sets: (moments, second passes over the training and the test set, convention)
            -> metrics by the whole name under which a run logs them, `test/NAME`.
        kept: (number of classes K, number of features d) -> how many numbers of each
            feature a measurement keeps for the second pass, besides the feature.
        example: number of classes K -> labels of one example [1, ...].
        ranks: whether scores rank K classes, so that top-k errors, calibration and
            confusion mean something.
        error_key: name of the error in measurements.
        least: least number of classes K, or of outputs.
        classifiers: names of the classifiers that can be trained on it; None: all.
        sizes: number of classes of each task; () where an example has one label.
    """

    check: Callable[[np.ndarray, int], None]
    error: Callable[[jax.Array, jax.Array], jax.Array]
    moments: Callable[..., Any]
    metrics: Callable[..., Mapping[str, jax.Array]]
    values: Callable[[jax.Array, jax.Array], Mapping[str, jax.Array]] = (
        lambda scores, labels: {}
    )
    absent: Callable[[np.ndarray, int], list[int]] = lambda labels, num_classes: []
    decide: Callable[[jax.Array], jax.Array] = lambda scores: scores.argmax(1)
    second: Callable[..., Any] = class_passes.second
    about: Callable[[Any], dict[str, Any]] = class_passes.about
    of_sets: Callable[..., Mapping[str, jax.Array]] = class_passes.of_sets
    kept: Callable[[int, int], int] = lambda num_classes, width: min(
        num_classes - 1, width
    )
    example: Callable[[int], np.ndarray] = lambda num_classes: np.zeros(1, np.int32)
    ranks: bool = True
    error_key: str = "error"
    least: int = 2
    classifiers: tuple[str, ...] | None = None
    sizes: tuple[int, ...] = ()
