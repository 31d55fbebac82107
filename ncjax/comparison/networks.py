"""Trained networks, read back from the folders of their runs; nothing is written.

The features of a network go through the same first pass, `ClassMoments`, as in every
other measurement; a comparison with theory needs no more than the class means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from ncjax.collapse import centred_means
from ncjax.comparison.runs import CompareError, Run
from ncjax.config import ConfigError
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.config.stored import to_config
from ncjax.data import DataError, Dataset
from ncjax.hierarchy import Hierarchy
from ncjax.runs.workdir import WorkdirError
from ncjax.training.loaded import load_runs


class Network(NamedTuple):
    """The last layer of a trained network on its training set, in float64.

    Attributes:
        epoch: epoch of the checkpoint.
        counts: number of samples of each class [K].
        centred_means: class means of the features minus the global mean [K, d].
        classifier: weights W [K, d] of the last layer.
        logits: logits of the class means, bias included [K, K].
    """

    epoch: int
    counts: np.ndarray
    centred_means: np.ndarray
    classifier: np.ndarray
    logits: np.ndarray


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
    try:
        for loaded in load_runs([run.path for run in runs], config, dataset):
            moments = loaded.class_moments(scatter="none")
            classifier, bias = (np.asarray(x, np.float64) for x in loaded.classifier)
            network = Network(
                epoch=loaded.epoch,
                counts=np.asarray(moments.count, np.float64),
                centred_means=np.asarray(centred_means(moments), np.float64),
                classifier=classifier,
                logits=np.asarray(moments.means, np.float64) @ classifier.T + bias,
            )
            networks.append(network)
    except WorkdirError as error:
        raise CompareError(
            f"{error} Leave it out, or compare without theory."
        ) from error
    return networks
