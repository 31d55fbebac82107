"""Trained networks, read back from the folders of their runs; nothing is written.

The features of a network go through the same first pass, `ClassMoments`, as in every
other measurement; a comparison with theory needs no more than the class means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.classifiers import LAYER
from ncjax.collapse import centred_means
from ncjax.comparison.runs import CompareError, Run
from ncjax.config import ConfigError
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.config.stored import to_config
from ncjax.data import DataError, Dataset
from ncjax.hierarchy import Hierarchy
from ncjax.runs.workdir import WorkdirError
from ncjax.training.loaded import LoadedRun, load_runs


class Network(NamedTuple):
    """The last layer of a trained network on its training set, in float64.

    Attributes:
        epoch: epoch of the checkpoint.
        counts: number of samples of each class [K].
        centred_means: class means of the features minus the global mean [K, d].
        classifier: weights W [K, d] of the last layer.
        outputs: outputs of the classifier at the class means, bias included [K, M]; the
            logits, as a rule.
    """

    epoch: int
    counts: np.ndarray
    centred_means: np.ndarray
    classifier: np.ndarray
    outputs: np.ndarray


def data_of(run: Run) -> tuple[ConfigDict, Dataset, Hierarchy | None]:
    """The configuration of a run, its data set and its class tree.

    Raises:
        CompareError: if they cannot be had here.
    """
    try:
        config = to_config(run.config)
        dataset = load_data(config)
        return config, dataset, load_hierarchy(config, dataset)
    except (ConfigError, DataError) as error:
        raise CompareError(
            f"The run {run.path} cannot be measured again: {error}"
        ) from error


def read_networks(
    runs: Sequence[Run], config: ConfigDict, dataset: Dataset
) -> list[Network]:
    """The networks of runs that differ in nothing but the seed, at their last epochs.

    Raises:
        CompareError: naming the run that has no checkpoint, or one that does not fit.
    """
    networks = []
    for loaded in loaded_networks(runs, config, dataset):
        moments = loaded.class_moments(scatter="none")
        means = np.asarray(moments.means, np.float64)
        classifier = np.asarray(loaded.classifier[0], np.float64)
        network = Network(
            epoch=loaded.epoch,
            counts=np.asarray(moments.count, np.float64),
            centred_means=np.asarray(centred_means(moments), np.float64),
            classifier=classifier,
            outputs=_outputs(loaded, means),
        )
        networks.append(network)
    return networks


def loaded_networks(
    runs: Sequence[Run], config: ConfigDict, dataset: Dataset
) -> list[LoadedRun]:
    """Runs that differ in nothing but the seed, as `ncjax.load` has them.

    Raises:
        CompareError: naming the run that has no checkpoint, or one that does not fit.
    """
    try:
        return list(load_runs([run.path for run in runs], config, dataset))
    except WorkdirError as error:
        raise CompareError(
            f"{error} Leave it out, or compare without theory."
        ) from error


def _outputs(loaded: LoadedRun, means: np.ndarray) -> np.ndarray:
    """What a last layer makes of the class means [K, M]."""
    measured = loaded.network.objective.classifier.measured
    if measured == "outputs":
        return means
    layer = loaded.variables["params"].get(LAYER, {})
    if measured == "directions" or "kernel" not in layer:  # on the sphere, or fixed
        weights, bias = (np.asarray(x, np.float64) for x in loaded.classifier)
        if measured == "directions":
            means = means / np.linalg.norm(means, axis=1, keepdims=True)
        return means @ weights.T + bias
    kernel, bias = (np.asarray(layer[name], np.float64) for name in ("kernel", "bias"))
    return means @ kernel + bias
