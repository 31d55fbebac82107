"""Scores of outliers: how well the last layer parts foreign features from test ones."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import ood
from ncjax.compiling import quick_jit
from ncjax.measurement.data import Data
from ncjax.measurement.passes import Known, padded
from ncjax.ood import Bank

_BANK = 10_000  # training features that KNN, ViM and ReAct look at, at most
_NEIGHBOURS = 50
_ROWS = 2048  # scored at a time: KNN has the distances of each to the whole bank

Detection = Mapping[str, Mapping[str, float]]

# Compiled once for all measurements of the same shapes.
_fit = quick_jit(ood.fit, static_argnames=("neighbours",))
_update = quick_jit(Bank.update)


def detection(
    known: Known,
    train: Data,
    test: Data | None,
    outliers: Data | None,
    warned: list[str],
) -> Detection:
    """Each score's AUROC, FPR at 95 % TPR and AUPR, with the test features as known.

    Training features are read once more, for the sample that KNN, ViM and ReAct look
    at.  Positives are the test features.

    Args:
        known: what the first reading told.
        train: the training features.
        test: the test features, or None: nothing is scored.
        outliers: the out-of-distribution features, or None.
        warned: warnings, to which is added what is missing.

    Returns:
        Name of the score in `ncjax.ood.SCORES` -> "auroc", "fpr95", "aupr".
    """
    if test is None or outliers is None:
        return {}
    moments, rows = known.moments, train.seen
    if moments.scatter is None or moments.feature_dim < 2:
        warned.append("Scores of outliers need features of width 2 to 4,096.")
        return {}
    if not (train.source.repeatable and test.source.repeatable):
        warned.append(
            "Scores of outliers need a second reading of training and test features, "
            "which could be read only once."
        )
        return {}
    names = list(ood.SCORES)
    weights, bias = known.classifier, known.bias
    classes, width = moments.num_classes, moments.feature_dim
    if weights is None:
        names = [name for name in names if name in ood.OF_FEATURES]
        warned.append(
            f"Without a classifier there are only the scores {', '.join(names)}."
        )
        weights = jnp.zeros((classes, width), moments.count.dtype)
    if bias is None:
        bias = jnp.zeros(classes, moments.count.dtype)
    bank = _sample(train, rows, moments.count.dtype)
    found = _fit(moments, weights, bias, bank, neighbours=min(_NEIGHBOURS, len(bank)))
    chosen = tuple(names)
    inside, outside = (_scores(found, data, chosen) for data in (test, outliers))
    return dict(zip(names, _apart(inside, outside), strict=True))


def _sample(train: Data, rows: int, dtype: Any) -> jax.Array:
    """An even sample of the training features."""
    bank = Bank.empty(rows, train.width, min(_BANK, rows), dtype)
    for features, labels in train.read("sample"):
        bank = _update(bank, *_weighted(features, labels, train.size))
    return bank.rows[: int(bank.there.sum())]


def _weighted(
    features: np.ndarray, labels: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    features, _, weights = padded(features, labels, size)
    return features, weights


@functools.partial(jax.jit, static_argnames="names")
def _scored(found: ood.Known, rows: Any, *, names: tuple[str, ...]) -> jax.Array:
    """The scores of rows [n, d] by their names [n, S]."""
    return jnp.stack([ood.SCORES[name](found, rows) for name in names], 1)


def _scores(found: ood.Known, data: Data, names: tuple[str, ...]) -> jax.Array:
    """The scores of all features of a set [n, S]."""
    parts, step = [], min(data.size, _ROWS)
    for features, labels in data.read("scores"):
        for start in range(0, len(features), step):
            part = slice(start, start + step)
            rows, _ = _weighted(features[part], labels[part], step)
            scored = np.asarray(_scored(found, rows, names=names))
            parts.append(scored[: len(features) - start])
    return jnp.asarray(np.concatenate(parts))


@jax.jit
def _numbers(inside: jax.Array, outside: jax.Array) -> dict[str, jax.Array]:
    of = {"auroc": ood.auroc, "fpr95": ood.fpr_at_tpr, "aupr": ood.aupr}
    return {key: jax.vmap(f, (1, 1))(inside, outside) for key, f in of.items()}


def _apart(inside: jax.Array, outside: jax.Array) -> list[dict[str, float]]:
    """How well each score [n, S] parts the two, in the order of the scores."""
    found = {key: np.asarray(x) for key, x in _numbers(inside, outside).items()}
    return [
        {key: float(values[index]) for key, values in found.items()}
        for index in range(inside.shape[1])
    ]
