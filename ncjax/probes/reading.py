"""How probes read data sets: on the devices, in one compiled program for all probes.

Each device takes its share of the images; what the devices found is merged at the end
of each pass.  Images on the host are read in the same batches, by several programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.cluster import put
from ncjax.cluster.members import Over
from ncjax.evaluation.passes import Variables
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
)
from ncjax.probes.probe import TEST, TRAIN, Probe, Reader

Sets = dict[str, Mapping[str, Arrays]]


def make_probes(
    probes: Mapping[str, Probe],
    mesh: Mesh,
    *,
    batch_size: int,
    streamed: bool = False,
    over: Over | None = None,
) -> tuple[Callable, Sets]:
    """Makes one program of some probes; several, if the data are streamed.

    Args:
        probes: name -> probe.
        mesh: devices, with an axis "data"; variables, and data that are not streamed,
            are replicated over it.
        batch_size: examples per forward pass of a network, over all its devices.
        streamed: the data lie on the host.
        over: how one program measures many networks (`ncjax.cluster.members`):
            variables and metrics then have a leading axis [S], variables over the mesh
            axis "seeds"; None for a single network.

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

    measure, network = _measuring(probes, read), P()
    if over:
        measure, network = over(measure, (0, None, None, None)), P("seeds")
    everywhere = NamedSharding(mesh, P())
    takes = network, P(), P(), P()
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
