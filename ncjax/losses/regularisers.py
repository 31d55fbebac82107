"""Regularisers: what a batch adds to the mean of its losses, by name.

`config.loss.NAME` is the weight of each; at 0, where it is by default, the program is
that of the loss alone.  Any loss can be trained with any of them, and the networks of
one program may differ in their weights.

To add one: write its function of a `Batch`, add a line to `REGULARISERS`, add a test.
A function with a keyword `hierarchy` gets the class tree.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax

from ncjax.complexity import batch_complexity
from ncjax.hierarchy import Hierarchy
from ncjax.losses.cpcc import check_distances_differ, cpcc


@dataclasses.dataclass(frozen=True, eq=False)
class Batch:
    """What a regulariser may know of a training step.

    Attributes:
        features: features of the batch [n, d], float32.
        labels: their labels [n, ...].
        images: what the network was given [n, h, w, c], normalised images.
        network: images -> features [n, d], at the parameters of this step and in
            training mode: under BatchNorm each depends on all images.
        key: typed PRNG key, another at each step, the same for all networks.
    """

    features: jax.Array
    labels: jax.Array
    images: jax.Array
    network: Callable[[jax.Array], jax.Array]
    key: jax.Array


@dataclasses.dataclass(frozen=True, eq=False)
class Regulariser:
    """A regulariser, and what it asks for.

    Attributes:
        value: (batch) or (batch, hierarchy=...) -> what is added, times its weight [].
        sentence: what its weight is the weight of.
        least_batch: the least size of a batch that it makes sense of.
        why: the reason for that size.
        check: raises `ValueError` for a class tree that it makes no sense of.
    """

    value: Callable[..., jax.Array]
    sentence: str
    least_batch: int = 1
    why: str = ""
    check: Callable[[Hierarchy], None] = lambda hierarchy: None


def _cpcc(batch: Batch, *, hierarchy: Hierarchy) -> jax.Array:
    return cpcc(batch.features, batch.labels, hierarchy=hierarchy)


def _gc_penalty(batch: Batch) -> jax.Array:
    """The geometric complexity of the features, estimated with one vector of signs.

    Its mean over the vectors is |J|_F^2 / n, with J the Jacobian of all features of the
    batch with respect to all its images, also through the statistics of BatchNorm
    (`ncjax.complexity.batch_complexity`).  Munn, Dherin & Gonzalvo (NeurIPS 2024) add
    it with weights from 1e-7 to 1e-4.
    """
    return batch_complexity(batch.network, batch.images, batch.key)


REGULARISERS: dict[str, Regulariser] = {
    "cpcc": Regulariser(
        _cpcc,
        "1 - correlation of class means with the tree",
        least_batch=3,
        why="correlates the distances between the classes of a batch, which takes "
        "three of them",
        check=check_distances_differ,
    ),
    "gc_penalty": Regulariser(
        _gc_penalty, "mean squared Jacobian of the features, see ncjax.complexity"
    ),
}
