"""How probes read data sets that the devices cannot hold: the same numbers.

The batches are those of `ncjax.probes.reading`, in several programs; only where images
come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Pace, read_shares
from ncjax.probes.probe import Probe, Variables
from ncjax.probes.reading import AXIS, Measurement, Sets, measure_all, own_sets


def stream_probes(
    probes: Mapping[str, Probe], mesh: Mesh, *, batch_size: int
) -> Measurement:
    """Measures what `ncjax.probes.reading.make_probes` does, in the same batches.

    Args:
        probes: name -> probe.
        mesh: devices, with an axis "data".
        batch_size: examples per forward pass of the one network, over all devices.
    """
    size = -(-batch_size // mesh.shape[AXIS])
    spmd = functools.partial(jax.shard_map, mesh=mesh, check_vma=False)

    def merged(own):
        return _unlead(own).all_reduce(AXIS)

    # Between chunks each device has a state of its own, on a leading axis.
    start = jax.jit(spmd(_lead, in_specs=(P(),), out_specs=P(AXIS)))
    merge = jax.jit(spmd(merged, in_specs=(P(AXIS),), out_specs=P()))

    @functools.partial(jax.jit, static_argnums=0)
    def take(update, own, variables, more, *chunk):
        def steps(own, variables, more, *chunk):
            def step(state, batch):
                images, labels, rows = batch
                weights = (rows >= 0).astype(jnp.float32)  # 0 for padding
                return update(state, variables, images, labels, weights, *more), None

            return _lead(jax.lax.scan(step, _unlead(own), chunk)[0])

        takes = P(AXIS), P(), P(), *(P(None, AXIS),) * 3
        program = spmd(steps, in_specs=takes, out_specs=P(AXIS))
        return program(own, variables, more, *chunk)

    def fold(update, state, variables, images, labels, *more):
        own, pace = start(state), Pace()
        for chunk in read_shares(images, labels, size, mesh):
            own = take(update, own, variables, more, *chunk)
            pace(own)
        return merge(own)

    def program(variables: Variables, sets: Sets) -> dict[str, jax.Array]:
        return measure_all(probes, variables, sets, fold)

    return Measurement(program, own_sets(probes))


def _lead(tree: Any) -> Any:
    """A leading axis, over the devices: what each has of its own."""
    return jax.tree.map(lambda x: x[None], tree)


def _unlead(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
