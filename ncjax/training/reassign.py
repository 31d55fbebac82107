"""Classes on other vectors of a fixed frame between two epochs: `assign = "linear"`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from ncjax import cluster
from ncjax.classifiers import LAYER
from ncjax.classifiers.assigned import reassigned
from ncjax.evaluation.passes import Variables
from ncjax.evaluation.shares import Arrays
from ncjax.moments import ClassMoments
from ncjax.probes.probe import TRAIN, Probe, Reader, make_probes
from ncjax.training.network import Network
from ncjax.training.step import TrainState

_NAME = "reassign"


class Reassign:
    """Gives each class the vector closest to its mean, after some epochs.

    The frame of a network lies in its variables, so that a checkpoint has its order.
    """

    def __init__(self, network: Network, mesh: Mesh, **how: Any):
        """Takes the networks; `how` they are measured is as for `make_probes`."""
        self._epochs = frozenset(network.objective.classifier.assign_epochs)
        probe = Probe(_measure(network))
        self._run, self._sets = make_probes({_NAME: probe}, mesh, **how)

    def __call__(
        self, state: TrainState, epoch: int, variables: Mapping, train: Arrays
    ) -> TrainState:
        """The state after an epoch, with other rows in the frame if it is one of these.

        Args:
            state: the networks, with a leading axis [S] if they are many.
            epoch: number of the epoch that is done.
            variables: variables of the networks, as evaluation takes them.
            train: images and labels of the training set.
        """
        if epoch not in self._epochs:
            return state
        found = self._run(variables, train, train, self._sets)
        means, frames = (
            np.asarray(jax.device_get(found[f"probe/{_NAME}/{key}"]))
            for key in ("means", "frame")
        )
        moved = cluster.from_first(lambda: _reassigned(frames, means))
        layer = state.batch_stats[LAYER]
        frame = cluster.put(moved, layer["frame"].sharding)
        changed = {**state.batch_stats, LAYER: {**layer, "frame": frame}}
        return dataclasses.replace(state, batch_stats=changed)


def _reassigned(frames: np.ndarray, means: np.ndarray) -> np.ndarray:
    """The frames [K, d] or [S, K, d] with their rows in a new order."""
    if frames.ndim == 2:
        return reassigned(frames, means)
    return np.stack([reassigned(*both) for both in zip(frames, means, strict=True)])


def _measure(network: Network) -> Any:
    """What finds the class means and the frame of one network."""
    count = network.dataset.num_classes
    subject = network.subject()

    def update(moments, variables, images, labels, weights):
        return moments.update(subject.features(variables, images), labels, weights)

    def measure(variables: Variables, reader: Reader) -> dict[str, jax.Array]:
        frame = variables["batch_stats"][LAYER]["frame"]
        empty = ClassMoments.empty(count, frame.shape[1], scatter="none")
        moments = reader.fold(update, empty, variables, TRAIN)
        return {"means": moments.means, "frame": frame}

    return measure
