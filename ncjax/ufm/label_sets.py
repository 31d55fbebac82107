"""The unconstrained-features model of multi-label classification."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ncjax.options import unknown
from ncjax.ufm.fits import Entropic, Logistic
from ncjax.ufm.model import number
from ncjax.ufm.problem import Problem
from ncjax.ufm.theory.pick_all_label import PerSet, check_per_set

LOSSES = ("pick_all_label", "bce")


def sets_of(num_classes: int, per_set: PerSet) -> np.ndarray:
    """The sets of labels that have samples, bool [R, K], by their number of labels.

    Args:
        num_classes: number K of labels.
        per_set: number of samples of each set of 1, 2, ... labels; see `label_sets`.
    """
    chosen = [
        labels
        for size, count in enumerate(check_per_set(num_classes, per_set), 1)
        if count > 0
        for labels in itertools.combinations(range(num_classes), size)
    ]
    found = np.zeros((len(chosen), num_classes), bool)
    for row, labels in zip(found, chosen, strict=True):
        row[list(labels)] = True
    return found


def label_sets(
    num_classes: int,
    per_set: PerSet,
    *,
    lambda_w: Any,
    lambda_h: Any,
    lambda_b: Any = None,
    loss: str = "pick_all_label",
    average_labels: bool = False,
    feature_dim: int | None = None,
) -> Problem:
    """Multi-label classification with all sets of a size equally frequent.

    One feature row stands for each set that has samples, in the order of `sets_of`.

    Args:
        num_classes: number K >= 2 of labels.
        per_set: number n_m >= 0 of samples of each set of m = 1, 2, ... labels:
            (200, 44) are 200 of each label alone and 44 of every two together.
        lambda_w: lW > 0, weight decay of W with the convention (lW/2) |W|^2.
        lambda_h: lH > 0, weight decay of the features, with the same convention.
        lambda_b: lb >= 0, weight decay of the bias; 0 for a free bias, None for no
            bias.  No bias changes the optimum of the pick-all-label loss.
        loss: "pick_all_label" or "bce", as in `ncjax.losses.sets`.
        average_labels: the option of these losses.
        feature_dim: width d of the features; by default K, enough for every optimum.

    Raises:
        ValueError: for an unknown loss, or input outside these ranges.
    """
    if loss not in LOSSES:
        raise ValueError(unknown("loss of sets", loss, LOSSES))
    counts = check_per_set(num_classes, per_set)
    labels = sets_of(num_classes, per_set)
    sizes, rows = labels.sum(1), len(labels)
    targets = labels.astype(np.float64)
    if loss == "bce":
        terms = num_classes if average_labels else 1
        fit: Any = Logistic(targets, np.asarray(1 / terms))
    else:
        terms = sizes if average_labels else np.ones(rows)
        fit = Entropic(
            targets=targets / terms[:, None],
            factors=(sizes / terms)[None],
            groups=np.zeros((1, num_classes), int),
            own=np.zeros((1, rows), int),
            offset=np.zeros(rows),
            temperature=np.asarray(1.0),
        )
    return Problem(
        fit=fit,
        counts=counts[sizes - 1],
        lambda_w=number("lambda_w", lambda_w, positive=True),
        lambda_h=number("lambda_h", lambda_h, positive=True),
        lambda_b=None if lambda_b is None else number("lambda_b", lambda_b),
        num_classes=num_classes,
        feature_dim=num_classes if feature_dim is None else feature_dim,
    )
