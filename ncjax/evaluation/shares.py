"""How devices share the examples of a data set: each scans batches of its own.

`scan_share` is for data that lie on the devices; `scan_chunk`, in a program of
`on_each`, for batches that are streamed to them (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]

AXIS = "data"  # name of the mesh axis over which examples are shared
SHARED = P()  # all devices have the same
OWN = P(AXIS)  # each device has a state of its own
CHUNK = (P(None, AXIS),) * 3  # images, labels and rows of some batches

# (carry, images [n, h, w, c], labels [n], weights [n]) -> carry, output
Visit = Callable[..., tuple[Any, Any]]


def scan_share(
    visit: Visit, carry: Any, data: Arrays, size: int, devices: int
) -> tuple[Any, Any]:
    """Scans this device's share of the data, inside `shard_map`.

    Args:
        visit: what becomes of a batch; weights are 1, or 0 for padding.
        carry: its first argument at the first batch.
        data: all images and labels.
        size: examples in a batch of one device.
        devices: number of devices along the axis "data".

    Returns:
        The last carry, and the outputs of all batches, stacked.
    """
    images, labels = data
    batches = -(-len(labels) // (devices * size))
    rows = jax.lax.axis_index(AXIS) * batches * size
    rows = rows + jnp.arange(batches * size).reshape(batches, size)

    def step(carry, rows):  # rows beyond the data are padding
        weights = (rows < len(labels)).astype(jnp.float32)
        rows = jnp.minimum(rows, len(labels) - 1)
        return visit(carry, images[rows], labels[rows], weights)

    return jax.lax.scan(step, carry, rows)


def scan_chunk(visit: Visit, carry: Any, chunk: tuple[Array, ...]) -> tuple[Any, Any]:
    """Scans this device's part of a chunk of `read_shares`, as `scan_share` does."""

    def step(carry, batch):
        images, labels, rows = batch
        return visit(carry, images, labels, (rows >= 0).astype(jnp.float32))

    return jax.lax.scan(step, carry, chunk)


def spmd(
    function: Callable, mesh: Mesh, takes: Any, gives: Any, **options: Any
) -> jax.stages.Wrapped:
    """`jax.jit`, with its options, of `jax.shard_map` with these partitions.

    No gradient passes through it, and what devices found is merged before it is given
    as common to all, so the replication check is not needed.
    """
    mapped = jax.shard_map(
        function, mesh=mesh, in_specs=takes, out_specs=gives, check_vma=False
    )
    return jax.jit(mapped, **options)


def on_each(function: Callable, mesh: Mesh, takes: tuple, gives: Any) -> Callable:
    """The program that runs a function on each device.

    Args:
        function: function of what one device has.
        mesh: devices, with an axis "data".
        takes: `SHARED`, `OWN` or a part of `CHUNK` for each argument.
        gives: the same for the result, or for each of its parts.  Between programs what
            is `OWN` has a leading axis over the devices.
    """

    def own(change: Callable) -> Callable:
        return lambda spec, tree: jax.tree.map(change, tree) if spec == OWN else tree

    def local(*args):
        found = function(*jax.tree.map(own(lambda x: x[0]), takes, args))
        return jax.tree.map(own(lambda x: x[None]), gives, found)

    return spmd(local, mesh, takes, gives)
