"""Data sets larger than the devices: batches read as they are needed, same numbers.

An epoch has the order, the steps and the augmentation of `ncjax.step.make_epoch`, a
measurement the stages and batches of `ncjax.evaluate`; only where images come from
differs.  grain's threads gather some batches at a time (a chunk) from arrays in memory
or in a memory map, and one compiled program takes all steps of a chunk.  While it runs,
the next chunk is copied to the devices.  A process reads its own devices' rows alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.evaluate import AXIS, Array, Arrays, Evaluate
from ncjax.step import TrainState, epoch_order

Chunk = tuple[jax.Array, jax.Array, jax.Array]  # images, labels, rows [s, n, ...]

CHUNK_STEPS = 32  # at most so many batches at a time,
CHUNK_BYTES = 1 << 26  # of at most so many bytes, but at least one batch
_THREADS = 4  # that read; each has one chunk in the making or ready


def chunk_steps(steps: int, batch_bytes: int) -> int:
    """Batches in a chunk; where possible all chunks have as many.

    Args:
        steps: all batches.
        batch_bytes: of the images of one.
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
        images: [n, h, w, c], possibly a memory map; only what is asked for is read.
        labels: [n].
        rows: of each batch [steps, batch]; -1 is padding, for which any image stands.
        size: batches in a chunk; the last may have fewer.
        mesh: batches are sharded over its axis "data".

    Yields:
        Images [size, batch, h, w, c], labels and rows [size, batch].
    """
    sharding = NamedSharding(mesh, P(None, AXIS))
    shards = sharding.addressable_devices_indices_map(rows.shape).values()
    columns = [shard[1].indices(rows.shape[1]) for shard in shards if shard]
    own = slice(min(c[0] for c in columns), max(c[1] for c in columns))

    def gather(chunk: np.ndarray) -> tuple[np.ndarray, ...]:
        mine = chunk[:, own]
        present = np.maximum(mine, 0)
        return np.asarray(images[present]), np.asarray(labels[present]), mine

    def place(local: np.ndarray) -> jax.Array:
        shape = (len(local), rows.shape[1], *local.shape[2:])
        return jax.make_array_from_process_local_data(sharding, local, shape)

    chunks = [rows[i : i + size] for i in range(0, len(rows), size)]
    options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_THREADS)
    for local in grain.MapDataset.source(chunks).map(gather).to_iter_dataset(options):
        pixels, classes, places = map(place, local)
        yield pixels, classes, places


class _Pace:
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


def _summed(program: Callable, chunks: Iterable[tuple]) -> Any:
    """Sum of what a program gives for each chunk."""
    total, pace = None, _Pace()
    for chunk in chunks:
        found = program(*chunk)
        total = found if total is None else _add(total, found)
        pace(total)
    return total


_add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))


@dataclasses.dataclass(frozen=True)
class StreamedEpoch:
    """`epoch(state, key, images, labels)`, as from `make_epoch`, on host arrays.

    Attributes:
        steps: from `ncjax.step.make_steps`.
        batch_size: over all devices.
        mesh: batches are sharded over its axis "data".
    """

    steps: Any  # jitted, or {size: compiled}
    batch_size: int
    mesh: Mesh

    def __call__(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """The given state is donated; metrics are [steps]."""
        rows = np.asarray(_epoch_order(key, len(labels), self.batch_size))
        outputs, pace = [], _Pace()
        for chunk in read(images, labels, rows, self._size(images), self.mesh):
            steps = self.steps
            program = steps[len(chunk[1])] if isinstance(steps, dict) else steps
            state, metrics = program(state, key, *chunk)
            outputs.append(metrics)
            pace(metrics)
        outputs = jax.device_get(outputs)
        return state, jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)

    def compiled(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> StreamedEpoch:
        """The same, compiled now instead of at the first call."""
        total, size = len(labels) // self.batch_size, self._size(images)
        sharding = NamedSharding(self.mesh, P(None, AXIS))

        def program(size: int):
            lead = (size, self.batch_size)
            chunk = [
                jax.ShapeDtypeStruct(lead + shape, dtype, sharding=sharding)
                for shape, dtype in (
                    (images.shape[1:], images.dtype),
                    ((), labels.dtype),
                    ((), np.int32),
                )
            ]
            return self.steps.lower(state, key, *chunk).compile()

        sizes = {size, total % size} - {0}
        return dataclasses.replace(self, steps={s: program(s) for s in sizes})

    def _size(self, images: Array) -> int:
        batch_bytes = self.batch_size * images[:1].nbytes
        return chunk_steps(len(images) // self.batch_size, batch_bytes)


_epoch_order = jax.jit(epoch_order, static_argnums=(1, 2))


class StreamedEvaluate:
    """`evaluate(variables, train, test) -> {metric: []}` on host arrays."""

    def __init__(self, evaluate: Evaluate, mesh: Mesh):
        """Measures what `evaluate` does, in the same batches, by several programs."""
        self.mesh, self.local_size = mesh, evaluate.local_size
        self.buffer, stages = evaluate.buffer, evaluate.stages

        def looks(variables, asked, visit, carry, batches):
            def step(carry, batch):
                images, labels, rows = batch
                weights = (rows >= 0).astype(jnp.float32)
                seen = stages.look(variables, images, labels, weights, asked)
                return visit(carry, seen)

            return jax.lax.scan(step, carry, batches)

        def start(variables, images):
            return _lead(stages.empty(variables, images))

        def first(variables, moments, *batches):
            def visit(moments, batch):
                return stages.take(moments, batch), batch if self.buffer else None

            moments, kept = looks(
                variables, stages.brief, visit, _unlead(moments), batches
            )
            return _lead(moments), kept

        def meet(moments):
            return stages.meet(_unlead(moments))

        def with_means(frames, levels):
            return lambda _, b: (None, stages.second_look(b, frames, levels))

        def again(frames, levels, kept):
            return total(jax.lax.scan(with_means(frames, levels), None, kept))

        def second(asked, variables, frames, levels, *batches):
            visit = with_means(frames, levels)
            return total(looks(variables, asked, visit, None, batches))

        def total(scanned):
            return jax.lax.psum(jax.tree.map(lambda x: x.sum(0), scanned[1]), AXIS)

        def finish(variables, moments, levels, on_train, on_test):
            means = [
                jax.tree.map(lambda x, n=n: x / n, sums)
                for sums, n in (on_train, on_test)
            ]
            return stages.finish(variables, moments, levels, *means)

        def spmd(function, takes, gives):
            mapped = jax.shard_map(
                function, mesh=mesh, in_specs=takes, out_specs=gives, check_vma=False
            )
            return jax.jit(mapped)

        shared, own, chunk = P(), P(AXIS), (P(None, AXIS),) * 3
        self._start = spmd(start, (shared, shared), own)
        self._first = spmd(first, (shared, own, *chunk), (own, own))
        self._meet = spmd(meet, (own,), shared)
        self._again = spmd(again, (shared, shared, own), shared)
        self._second_train, self._second_test = (
            spmd(partial(second, asked), (shared, shared, shared, *chunk), shared)
            for asked in (stages.brief, stages.mistakes)
        )
        self._finish = jax.jit(finish, out_shardings=NamedSharding(mesh, shared))

    def __call__(
        self, variables: Mapping, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of a network."""
        return self._measure(variables, train, test, None)

    def compiled(
        self, variables: Mapping, train: Arrays, test: Arrays
    ) -> StreamedEvaluate:
        """The same, compiled by measuring the first chunks."""
        jax.block_until_ready(self._measure(variables, train, test, 1))
        return self

    def _measure(self, variables, train, test, most: int | None):
        """With only the first chunks of each set, or all."""
        moments, kept, pace = self._start(variables, train[0][:1]), [], _Pace()
        for chunk in self._chunks(train, most):
            moments, batches = self._first(variables, moments, *chunk)
            kept.append((batches,))
            pace(moments)
        moments, frames, levels = self._meet(moments)
        met = frames, levels
        if self.buffer:
            on_train = _summed(partial(self._again, *met), kept)
        else:
            again = partial(self._second_train, variables, *met)
            on_train = _summed(again, self._chunks(train, most))
        second = partial(self._second_test, variables, *met)
        on_test = _summed(second, self._chunks(test, most))
        return self._finish(variables, moments, levels, on_train, on_test)

    def _chunks(self, data: Arrays, most: int | None) -> Iterator[Chunk]:
        """All of a data set, or the first chunks; the last chunk is filled up."""
        images, labels = data
        devices, local = self.mesh.devices.size, self.local_size
        # As in `ncjax.evaluate`: a device takes rows that follow each other.
        batches = -(-len(labels) // (devices * local))
        rows = np.arange(devices * batches * local, dtype=np.int32)
        rows = np.where(rows < len(labels), rows, -1)
        rows = rows.reshape(devices, batches, local).swapaxes(0, 1)
        rows = rows.reshape(batches, devices * local)
        size = chunk_steps(batches, devices * local * images[:1].nbytes)
        size = -(-batches // -(-batches // size))  # for the least to fill up
        filling = np.full((-batches % size, devices * local), -1, np.int32)
        rows = np.concatenate([rows, filling])
        if most is not None:
            rows = rows[: most * size]
        return read(images, labels, rows, size, self.mesh)


def _lead(tree):
    """A leading axis, of the devices: what each has of its own."""
    return jax.tree.map(lambda x: x[None], tree)


def _unlead(tree):
    return jax.tree.map(lambda x: x[0], tree)
