"""Several tasks: the loss alone predicts the angles between their classes."""

from __future__ import annotations

import math

import jax
import numpy as np

from ncjax.comparison.overlays.both import Both
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError, class_loss, match_loss
from ncjax.ufm.tasks import class_gram, cross_cosine, task_cosines, tasks_path

NOTE = (
    "tasks: the certified optimum for the labels of the training set, with a free "
    "bias, at the c for which it has the loss of the network at the mean feature of "
    "each combination of labels. Cosines are those of class vectors minus their mean "
    "over the classes of a task, of all pairs of classes, within a task and across."
)
_MOST = 1024  # combinations of labels, each with a feature to solve for


def values(network: LoadedRun) -> dict[str, Both]:
    """Cosines of class means and of rows of W, all and the mean across tasks.

    Raises:
        OptimumError: for a single task, too many combinations of labels, a loss with
            options that the optimum does not have, or if nothing certified is found.
    """
    sizes, loss = network.dataset.tasks, network.config.loss
    _check(sizes, loss)
    counts, features = _combinations(network, sizes)
    weights, bias = (np.asarray(x, np.float64) for x in network.classifier)
    path = tasks_path(counts, task_weights=tuple(loss.task_weights))
    outputs = features @ weights.T + bias
    own = float(class_loss(path.fit, outputs, counts[counts > 0]))
    match, proof = path.prove(match_loss(path, own))
    if proof.kind != "certified":
        raise OptimumError(f"its optimum is {proof}.")
    optimum, grams = match.optimum, {}
    grams["class means"] = class_gram(features @ features.T, counts)
    grams["rows of W"] = weights @ weights.T
    predicted = class_gram(optimum.gram, counts), optimum.classifier_gram
    found = {}
    for (what, gram), theory in zip(grams.items(), predicted, strict=True):
        pair = [
            task_cosines(x, sizes)[np.triu_indices(len(gram), 1)]
            for x in (gram, theory)
        ]
        found[f"cosines of {what}"] = Both.of(*pair)
        # What the solver leaves of 0 is no size to compare with.
        across = [round(cross_cosine(x, sizes), 6) for x in (gram, theory)]
        found[f"|cosine| of {what} across tasks"] = Both.of(*across)
    return found


def _check(sizes, loss) -> None:
    """Raises `OptimumError` for networks of which no optimum is known."""
    if len(sizes) < 2:
        raise OptimumError("its examples have a single task: there is nothing across.")
    if math.prod(sizes) > _MOST:
        raise OptimumError(
            f"tasks of {sizes} classes have {math.prod(sizes):,} combinations of "
            f"labels; theory is solved for at most {_MOST:,}."
        )
    if loss.label_smoothing or loss.temperature != 1:
        raise OptimumError(
            "theory is that of `sum_of_tasks` without label smoothing, at temperature "
            "1."
        )


def _combinations(
    network: LoadedRun, sizes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of examples [K_1, ..., K_T], and mean features [P, d] where there are."""
    train, size = network.dataset.train, network.config.eval.batch_size
    place = np.ravel_multi_index(tuple(train.labels.T), sizes)
    counts = np.bincount(place, minlength=math.prod(sizes)).astype(np.float64)
    sums: np.ndarray | None = None
    for start in range(0, len(train), size):
        rows = slice(start, start + size)
        features = np.asarray(
            jax.device_get(network(train.images[rows])[1]), np.float64
        )
        if sums is None:
            sums = np.zeros((len(counts), features.shape[1]))
        np.add.at(sums, place[rows], features)
    assert sums is not None  # a training set has examples
    there = counts > 0
    return counts.reshape(sizes), sums[there] / counts[there, None]
