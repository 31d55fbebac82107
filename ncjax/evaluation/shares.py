"""How devices share the examples of a data set: each scans batches of its own.

The data lie on the devices (`Shares.scan`), or are streamed to them, chunk by chunk
(`Shares.read`, and `Shares.on_each` for the programs that take a chunk).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec as P

Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]

AXIS = "data"  # name of the mesh axis over which examples are shared

SHARED = P()  # all devices have the same
OWN = P(AXIS)  # each device has a state of its own
CHUNK = (P(None, AXIS),) * 3  # images, labels and rows of some batches

# (carry, images [n, h, w, c], labels [n], weights [n]) -> carry, output; the weights
# are 1, or 0 for padding.
Visit = Callable[..., tuple[Any, Any]]


class OfTraining(NamedTuple):
    """How the training images and labels of many networks are divided.

    Attributes:
        axes: axes over the networks (`ncjax.cluster.members`).
        parts: partition over the devices.
    """

    axes: Any
    parts: Any


def train_parts(own_labels: bool) -> OfTraining:
    """The division of the training set: all is shared, or the images alone."""
    if own_labels:
        return OfTraining((None, 0), (P(), P("seeds")))
    return OfTraining(None, P())


class Shares:
    """The shares of some devices.

    Attributes:
        mesh: the devices, with an axis "data".
        devices: number of devices along that axis.
        size: examples in a batch of one device.
    """

    def __init__(self, mesh: Mesh, batch_size: int):
        """Batches of at least `batch_size` examples over all devices."""
        self.mesh, self.devices = mesh, mesh.shape[AXIS]
        self.size = -(-batch_size // self.devices)

    def scan(self, visit: Visit, carry: Any, data: Arrays) -> tuple[Any, Any]:
        """Scans one device's share of the data, inside `shard_map`.

        Args:
            visit: what becomes of a batch.
            carry: its first argument at the first batch.
            data: all images and labels.

        Returns:
            The last carry, and the outputs of all batches, stacked.
        """
        images, labels = data
        batches = -(-len(labels) // (self.devices * self.size))
        rows = jax.lax.axis_index(AXIS) * batches * self.size
        rows = rows + jnp.arange(batches * self.size).reshape(batches, self.size)

        def step(carry, rows):  # rows beyond the data are padding
            weights = (rows < len(labels)).astype(jnp.float32)
            rows = jnp.minimum(rows, len(labels) - 1)
            return visit(carry, images[rows], labels[rows], weights)

        return jax.lax.scan(step, carry, rows)

    def spmd(
        self, function: Callable, takes: Any, gives: Any, **options: Any
    ) -> jax.stages.Wrapped:
        """`jax.jit`, with its options, of `jax.shard_map` with these partitions.

        No gradient passes through it, and what devices found is merged before it is
        given as common to all, so the replication check is not needed.
        """
        mapped = jax.shard_map(
            function, mesh=self.mesh, in_specs=takes, out_specs=gives, check_vma=False
        )
        return jax.jit(mapped, **options)

    def on_each(self, function: Callable, takes: tuple, gives: Any) -> Callable:
        """The program that runs a function on each device.

        Args:
            function: function of what one device has.
            takes: `SHARED`, `OWN` or a part of `CHUNK` for each argument.
            gives: the same for the result, or for each of its parts.  Between programs
                what is `OWN` has a leading axis over the devices.
        """

        def own(change: Callable) -> Callable:
            return lambda spec, x: jax.tree.map(change, x) if spec == OWN else x

        def local(*args):
            found = function(*jax.tree.map(own(lambda x: x[0]), takes, args))
            return jax.tree.map(own(lambda x: x[None]), gives, found)

        return self.spmd(local, takes, gives)

    def read(self, data: Arrays, most: int | None = None) -> Iterator[tuple]:
        """Chunks of data on the host, all or the first `most`, in the same batches."""
        from ncjax.data.reading import read_shares  # late: needs grain

        return read_shares(*data, self.size, self.mesh, most=most)


def scan_chunk(visit: Visit, carry: Any, chunk: tuple[Array, ...]) -> tuple[Any, Any]:
    """Scans one device's part of a chunk, as `Shares.scan` does."""

    def step(carry, batch):
        images, labels, rows = batch
        return visit(carry, images, labels, (rows >= 0).astype(jnp.float32))

    return jax.lax.scan(step, carry, chunk)


def fold(program: Callable, state: Any, chunks: Iterable[tuple], *more: Any) -> Any:
    """What a program (state, *more, *chunk) -> state makes of all chunks."""
    from ncjax.data.reading import Pace  # late: needs grain

    pace = Pace()
    for chunk in chunks:
        state = program(state, *more, *chunk)
        pace(state)
    return state
