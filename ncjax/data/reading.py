"""Batches of data sets that the devices cannot hold, read as they are needed.

grain's threads gather some batches at a time (a chunk) from arrays in memory or in a
memory map, and one compiled program takes all steps of a chunk.  While it runs, the
next chunk is copied to the devices.  A process reads its own devices' rows alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from ncjax.options import TrainingError

Array = jax.Array | np.ndarray
Chunk = tuple[jax.Array, jax.Array, jax.Array]  # images, labels, rows [s, n, ...]

CHUNK_STEPS = 32  # batches of a chunk at most,
CHUNK_BYTES = 1 << 26  # and bytes of its images; at least one batch
_THREADS = 4  # threads that read; each has one chunk in the making or ready


def chunk_steps(steps: int, batch_bytes: int) -> int:
    """Number of batches in a chunk; where possible the same in all chunks.

    Args:
        steps: number of all batches.
        batch_bytes: bytes of the images of one batch.
    """
    most = max(1, min(CHUNK_STEPS, steps, CHUNK_BYTES // batch_bytes))
    # Chunks of two sizes need two compiled programs.
    even = max(s for s in range(1, most + 1) if steps % s == 0)
    return even if 2 * even >= most else most


def read(
    images: Array, labels: Array, rows: np.ndarray, size: int, mesh: Mesh
) -> Iterator[Chunk]:
    """Chunks of a data set, on the devices, read ahead of their use.

    Args:
        images: images [n, h, w, c], possibly a memory map, of which only the rows of
            the batches are read.
        labels: labels of the images [n].
        rows: row numbers of the images of each batch [steps, batch]; -1 is padding, for
            which any image stands.
        size: number of batches in a chunk; the last chunk may have fewer.
        mesh: batches are sharded over its axis "data".

    Raises:
        TrainingError: if the file of a memory map is gone or cut off.

    Yields:
        Images [size, batch, h, w, c], labels and rows [size, batch].
    """
    sharding = NamedSharding(mesh, P(None, "data"))
    shards = sharding.addressable_devices_indices_map(rows.shape).values()
    columns = [shard[1].indices(rows.shape[1]) for shard in shards if shard]
    own = slice(min(c[0] for c in columns), max(c[1] for c in columns))

    def gather(chunk: np.ndarray) -> tuple[np.ndarray, ...]:
        mine = chunk[:, own]
        present = np.maximum(mine, 0)
        check_mapped(images)
        return np.asarray(images[present]), np.asarray(labels[present]), mine

    def place(local: np.ndarray) -> jax.Array:
        shape = (len(local), rows.shape[1], *local.shape[2:])
        return jax.make_array_from_process_local_data(sharding, local, shape)

    chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
    options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_THREADS)
    for local in grain.MapDataset.source(chunks).map(gather).to_iter_dataset(options):
        pixels, classes, places = map(place, local)
        yield pixels, classes, places


def check_mapped(images: Array) -> None:
    """Makes sure that the file of a memory map is still there, and not cut off.

    To read what a map no longer has ends the process by a signal (SIGBUS), without a
    word.  A file that is cut off between this check and the reading still does that.

    Raises:
        TrainingError: naming the file.
    """
    path = getattr(images, "filename", None)
    if not (isinstance(images, np.memmap) and path):
        return
    need = images.offset + images.nbytes
    try:
        size = os.stat(path).st_size
        if size >= need:
            return
        why = f"it has {size:,} bytes, and had {need:,} or more"
    except OSError as error:
        why = error.strerror
    raise TrainingError(
        f"The images in {path} can no longer be read: {why}. They are streamed from "
        "there (config.data.placement). Bring the file back, then give the same "
        "command: it goes on from the last checkpoint."
    )


def read_shares(
    images: Array, labels: Array, size: int, mesh: Mesh, *, most: int | None = None
) -> Iterator[Chunk]:
    """Chunks of a whole data set, of which every device reads rows that follow on.

    Args:
        images: images [n, h, w, c].
        labels: labels [n].
        size: examples in a batch of one device.
        mesh: the devices; batches are sharded over the axis "data".
        most: read only this many chunks; None: all.

    Returns:
        Chunks as of `read`, all of one shape: the last is filled up with padding.
    """
    devices = mesh.shape["data"]
    batches = -(-len(labels) // (devices * size))
    rows = np.arange(devices * batches * size, dtype=np.int32)
    rows = np.where(rows < len(labels), rows, -1)
    rows = rows.reshape(devices, batches, size).swapaxes(0, 1).reshape(batches, -1)
    steps = chunk_steps(batches, devices * size * images[:1].nbytes)
    steps = -(-batches // -(-batches // steps))  # for the least padding
    rows = np.pad(rows, ((0, -batches % steps), (0, 0)), constant_values=-1)
    chosen = rows if most is None else rows[: most * steps]
    return read(images, labels, chosen, steps, mesh)


class Pace:
    """Waits for the program before the last, so that at most two are under way.

    More would hold more chunks on the devices, and with jax 0.10 more than 32 programs
    that communicate deadlock CPU devices.
    """

    def __init__(self):
        self._last: Any = None

    def __call__(self, output: Any) -> None:
        """Takes what a program just dispatched will give."""
        jax.block_until_ready(self._last)
        self._last = output
