"""What a probe is, what it may use, and how it reads data sets.

A probe is written once, for one network, as ordinary code.  Wherever it needs a pass
over a data set it calls `Reader.fold`, which hides how many devices share the images
and whether these lie on the devices or are streamed to them; many networks are measured
by the same code, mapped over them.  What the devices found is merged at the end of each
pass.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from ncjax.cluster import put
from ncjax.cluster.members import Over
from ncjax.data import Dataset
from ncjax.evaluation.passes import Classifier, Variables
from ncjax.evaluation.shares import (
    AXIS,
    CHUNK,
    OWN,
    SHARED,
    Arrays,
    Shares,
    Visit,
    fold,
    scan_chunk,
    train_parts,
)
from ncjax.hierarchy import Hierarchy

Sets = dict[str, Mapping[str, Arrays]]  # probe -> what it brings

TRAIN, TEST = "train", "test"  # names of the data sets that every probe can read


@dataclasses.dataclass(frozen=True)
class Reader:
    """Reads data sets for a probe.

    Attributes:
        sets: images and labels of each data set, by name.
        run: (update, state, variables, images, labels, *more) -> what `fold` returns.
    """

    sets: Mapping[str, Arrays]
    run: Callable[..., Any]

    def fold(
        self,
        update: Callable[..., Any],
        state: Any,
        variables: Variables,
        name: str,
        *more: Any,
    ) -> Any:
        """The state that has seen every example of a data set.

        Args:
            update: (state, variables, images [n, h, w, c], labels [n], weights [n],
                *more) -> state with one more batch; weights are 1, or 0 for padding.
                It must be the same function at every call, as each is compiled once.
            state: a state that has seen no example; each device starts from it.  It is
                a pytree with a method `all_reduce(axis_name)`, as of `ClassMoments`,
                that merges the states of all devices inside `shard_map`.
            variables: variables of the network.
            name: name of the data set: "train", "test" or one of `Probe.sets`.
            *more: arrays that `update` takes besides, such as the result of an earlier
                pass.
        """
        return self.run(update, state, variables, *self.sets[name], *more)


@dataclasses.dataclass(frozen=True, eq=False)
class Subject:
    """What is known of the networks before they are trained; see the attributes.

    The functions are of one network, in evaluation mode, and take its `Variables`.

    Attributes:
        features: (variables, raw images [n, h, w, c]) -> features [n, d] that the
            classifier sees.
        scores: (variables, raw images) -> a score for each class [n, K]; the largest is
            the decision.
        classifier: variables -> weights W [K, d] and bias b [K] of the last layer.
        weight_decay: variables -> weight decay lambda, if training adds the penalty
            (lambda/2)|theta|^2 to the loss; 0 if it adds no such penalty.
        dataset: the data set, with the names of its classes.
        hierarchy: the class tree, or None.
        prepare: raw images -> inputs of the network, such as normalised images.
        layers: (variables, inputs) -> output [n, width] of every block by name, and of
            the last two under "features" (what the classifier sees) and "outputs".
        widths: () -> the names of these layers, and their widths.
    """

    features: Callable[[Variables, jax.Array], jax.Array]
    scores: Callable[[Variables, jax.Array], jax.Array]
    classifier: Classifier
    weight_decay: Callable[[Variables], float | jax.Array]
    dataset: Dataset
    hierarchy: Hierarchy | None = None
    prepare: Callable[[jax.Array], jax.Array] = lambda images: images
    layers: Callable[[Variables, jax.Array], dict[str, jax.Array]] = (
        lambda variables, inputs: {}
    )
    widths: Callable[[], dict[str, int]] = dict


@dataclasses.dataclass(frozen=True, eq=False)
class Probe:
    """A measurement on a trained network.

    Attributes:
        measure: (variables of one network, reader) -> metrics by name, each [].
        sets: further data sets that `measure` reads, by name: images and labels on the
            host.
    """

    measure: Callable[[Variables, Reader], Mapping[str, jax.Array]]
    sets: Mapping[str, Arrays] = dataclasses.field(default_factory=dict)


def make_probes(
    probes: Mapping[str, Probe],
    mesh: Mesh,
    *,
    batch_size: int,
    streamed: bool = False,
    many: Over | None = None,
    own_labels: bool = False,
) -> tuple[Callable, Sets]:
    """Makes one program of some probes; several, if the data are streamed.

    Args:
        probes: name -> probe.
        mesh: devices, with an axis "data"; variables, and data that are not streamed,
            are replicated over it.
        batch_size: examples per forward pass of a network, over all its devices.
        streamed: the data lie on the host.
        many: how one program measures many networks (`ncjax.cluster.members`):
            variables and metrics then have a leading axis [S], variables over the mesh
            axis "seeds"; None for a single network.
        own_labels: each of many networks has training labels of its own [S, n].

    Returns:
        (variables, train, test, sets) -> {"probe/NAME/KEY": []}, or [S] of many
        networks; and these sets: name of a probe -> the data sets that it brings.
    """
    shares = Shares(mesh, batch_size)
    sets = {name: probe.sets for name, probe in probes.items()}
    if streamed:
        return _measuring(probes, _streaming(shares)), sets

    def read(update, state, variables, images, labels, *more):
        visit = _visitor(update, variables, more)
        found, _ = shares.scan(visit, state, (images, labels))
        return found.all_reduce(AXIS)

    measure, network, train = _measuring(probes, read), P(), train_parts(own_labels)
    if many:
        measure = many(measure, (0, train.axes, None, None))
        network = P("seeds")
    everywhere = NamedSharding(mesh, P())
    takes = network, train.parts, P(), P()
    program = shares.spmd(measure, takes, network, out_shardings=everywhere)
    return program, jax.tree.map(lambda x: put(np.asarray(x), everywhere), sets)


def _streaming(shares: Shares) -> Callable:
    """How a `Reader` reads data on the host."""
    start = shares.on_each(lambda state: state, (SHARED,), OWN)
    merge = shares.on_each(lambda own: own.all_reduce(AXIS), (OWN,), SHARED)

    @functools.cache
    def taking(update: Callable) -> Callable:
        """The program in which a state takes in a chunk."""

        def take(state, variables, more, *chunk):
            return scan_chunk(_visitor(update, variables, more), state, chunk)[0]

        return shares.on_each(take, (OWN, SHARED, SHARED, *CHUNK), OWN)

    def read(update, state, variables, images, labels, *more):
        chunks = shares.read((images, labels))
        return merge(fold(taking(update), start(state), chunks, variables, more))

    return read


def _visitor(update: Callable, variables: Variables, more: tuple) -> Visit:
    return lambda state, *batch: (update(state, variables, *batch, *more), None)


def _measuring(probes: Mapping[str, Probe], run: Callable) -> Callable:
    """The function that finds what all probes say of one network; see `Reader`."""

    def measure(variables, train, test, sets) -> dict[str, jax.Array]:
        found: dict[str, jax.Array] = {}
        with jax.default_matmul_precision("highest"):
            for name, probe in probes.items():
                reader = Reader({TRAIN: train, TEST: test, **sets[name]}, run)
                metrics = probe.measure(variables, reader)
                found |= {f"probe/{name}/{key}": v for key, v in metrics.items()}
        return found

    return measure
