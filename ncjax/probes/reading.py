"""How probes read data sets: on the devices, in one compiled program for all probes.

Each device takes its share of the images; what the devices found is merged at the end
of each pass.  `ncjax.probes.streamed` does the same with images on the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.cluster import put
from ncjax.cluster.members import Over
from ncjax.probes.probe import TEST, TRAIN, Arrays, Probe, Reader, Variables

AXIS = "data"  # name of the mesh axis over which images are shared

Sets = Mapping[str, Arrays]  # name of a data set -> images and labels


@dataclasses.dataclass(frozen=True)
class Measurement:
    """Measures all probes of a run; made by `make_probes` or `stream_probes`."""

    program: Any  # (variables, sets) -> {"probe/NAME/KEY": []}, or [S] of many networks
    sets: Sets  # those that the probes bring

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of all probes."""
        return self.program(variables, {TRAIN: train, TEST: test, **self.sets})

    def compiled(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> Measurement:
        """The same for arrays of these shapes, compiled now, not at the first call.

        Streamed data are left to the first call, as only it knows the passes.
        """
        if not isinstance(self.program, jax.stages.Wrapped):
            return self
        sets = {TRAIN: train, TEST: test, **self.sets}
        program = self.program.lower(variables, sets).compile()
        return dataclasses.replace(self, program=program)


def make_probes(
    probes: Mapping[str, Probe],
    mesh: Mesh,
    *,
    batch_size: int,
    over: Over | None = None,
) -> Measurement:
    """Makes one program of some probes, for data that lie on the devices.

    Args:
        probes: name -> probe.
        mesh: devices, with an axis "data"; variables and data are replicated over it.
        batch_size: examples per forward pass of a network, over all its devices.
        over: how one program measures many networks (`ncjax.cluster.members`):
            variables and metrics then have a leading axis [S], variables over the mesh
            axis "seeds"; None for a single network.
    """
    devices = mesh.shape[AXIS]
    size = -(-batch_size // devices)

    def fold(update, state, variables, images, labels, *more):
        """One device's share of the data, inside `shard_map`."""
        batches = -(-len(labels) // (devices * size))
        rows = jax.lax.axis_index(AXIS) * batches * size
        rows = rows + jnp.arange(batches * size).reshape(batches, size)

        def step(state, rows):
            weights = (rows < len(labels)).astype(jnp.float32)  # 0 for padding
            rows = jnp.minimum(rows, len(labels) - 1)
            batch = images[rows], labels[rows], weights
            return update(state, variables, *batch, *more), None

        return jax.lax.scan(step, state, rows)[0].all_reduce(AXIS)

    def program(variables: Variables, sets: Sets) -> dict[str, jax.Array]:
        return measure_all(probes, variables, sets, fold)

    network = P("seeds") if over else P()
    mapped = jax.shard_map(
        over(program, (0, None)) if over else program,
        mesh=mesh,
        in_specs=(network, P()),
        out_specs=network,
        check_vma=False,  # what the devices found is merged: all have the same
    )
    everywhere = NamedSharding(mesh, P())
    own = jax.tree.map(lambda x: put(np.asarray(x), everywhere), own_sets(probes))
    return Measurement(jax.jit(mapped, out_shardings=everywhere), own)


def measure_all(
    probes: Mapping[str, Probe], variables: Variables, sets: Sets, run: Callable
) -> dict[str, jax.Array]:
    """What all probes say of one network.

    Args:
        probes: name -> probe.
        variables: variables of the network.
        sets: the data sets, those that probes bring named `PROBE/SET`.
        run: how they are read; see `Reader`.
    """
    found: dict[str, jax.Array] = {}
    with jax.default_matmul_precision("highest"):
        for name, probe in probes.items():
            seen = {key: sets[f"{name}/{key}"] for key in probe.sets}
            reader = Reader({TRAIN: sets[TRAIN], TEST: sets[TEST], **seen}, run)
            metrics = probe.measure(variables, reader)
            found |= {f"probe/{name}/{key}": value for key, value in metrics.items()}
    return found


def own_sets(probes: Mapping[str, Probe]) -> dict[str, Arrays]:
    """The data sets that probes bring, each named `PROBE/SET`."""
    return {
        f"{name}/{key}": arrays
        for name, probe in probes.items()
        for key, arrays in probe.sets.items()
    }
