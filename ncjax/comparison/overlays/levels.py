"""Ordered levels: one pull towards 0 predicts where all levels lie, and the loss."""

from __future__ import annotations

import jax
import numpy as np

from ncjax.comparison.overlays.both import Both
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError
from ncjax.ufm.theory.ordinal import match_pull, pulled_latent

NOTE = (
    "ordinal: the optimum of a cumulative link model between the thresholds that the "
    "network has. The latent number z of a level is where the slope of its loss is "
    "-pull times z; the pull, which grows with the decays, is the one number that is "
    "fitted, to z of all levels. For a pull of 0 inner levels lie in the middle of "
    "their thresholds."
)


def values(network: LoadedRun) -> dict[str, Both]:
    """Latent number of the mean of each level, and the training loss.

    Raises:
        OptimumError: for w = 0, which no decay below the transition gives.
    """
    weights, bias = (np.asarray(x, np.float64) for x in network.classifier)
    direction, thresholds = weights[1] - weights[0], -np.diff(bias)
    if not direction.any():
        raise OptimumError("its classifier is 0, so that its levels are one point.")
    found = np.asarray(network.moments.means, np.float64) @ direction
    link = network.config.loss.link
    pull = match_pull(found, thresholds, link)
    predicted, losses = pulled_latent(thresholds, pull, link)
    share = np.asarray(network.moments.count, np.float64)
    return {
        "z of the levels": Both.of(found, predicted),
        "loss of training": Both.of(_loss(network), share @ losses / share.sum()),
    }


def _loss(network: LoadedRun) -> float:
    """Mean over the training set of minus the log-probability of the level."""
    total, train = 0.0, network.dataset.train
    size = network.config.eval.batch_size
    for start in range(0, len(train), size):
        rows = slice(start, start + size)
        scores = np.asarray(jax.device_get(network(train.images[rows])[0]), np.float64)
        total -= np.sum(np.take_along_axis(scores, train.labels[rows, None], axis=1))
    return total / len(train)
