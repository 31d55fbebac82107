"""Collapse of a network over data that the devices cannot hold: the same numbers.

The stages and batches are those of `ncjax.evaluation.evaluate`, in several programs;
only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Chunk, Pace, chunk_steps, read
from ncjax.evaluation.evaluate import AXIS, Arrays, Evaluate


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
        moments, kept, pace = self._start(variables, train[0][:1]), [], Pace()
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
        # As in `ncjax.evaluation.evaluate`: a device takes rows that follow each other.
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


def _summed(program: Callable, chunks: Iterable[tuple]) -> Any:
    """Sum of what a program gives for each chunk."""
    total, pace = None, Pace()
    for chunk in chunks:
        found = program(*chunk)
        total = found if total is None else _add(total, found)
        pace(total)
    return total


_add = jax.jit(lambda a, b: jax.tree.map(jnp.add, a, b))
