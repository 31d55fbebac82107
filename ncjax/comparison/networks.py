"""Trained networks, read back from the folders of their runs; nothing is written.

The features of a network go through the same first pass, `ClassMoments`, as in every
other measurement; a comparison with theory needs no more than the class means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax.collapse import centred_means
from ncjax.comparison.runs import CompareError, Run
from ncjax.config import ConfigError
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.config.stored import to_config
from ncjax.data import DataError, Dataset
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments
from ncjax.runs.workdir import WorkdirError
from ncjax.training.experiment import Experiment
from ncjax.training.stored import load_states

_update = jax.jit(ClassMoments.update)


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
    experiment = Experiment(config, dataset, jax.devices()[:1])
    images, labels = np.asarray(dataset.train.images), np.asarray(dataset.train.labels)
    networks, size = [], config.eval.batch_size
    subject = experiment.network.subject()
    features_of = jax.jit(subject.features)
    try:
        for epoch, state in load_states([run.path for run in runs], experiment):
            variables = state.variables()
            classifier, bias = map(np.asarray, subject.classifier(variables))
            width = classifier.shape[1]
            moments = ClassMoments.empty(dataset.num_classes, width, scatter="none")
            for start in range(0, len(labels), size):
                rows = slice(start, start + size)
                features = features_of(variables, jnp.asarray(images[rows]))
                moments = _update(moments, features, jnp.asarray(labels[rows]))
            classifier, bias = classifier.astype(np.float64), bias.astype(np.float64)
            network = Network(
                epoch=epoch,
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
