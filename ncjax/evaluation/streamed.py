"""Collapse of a network over data that the devices cannot hold: the same numbers.

The passes and batches are those of `ncjax.evaluation.evaluate`, in several programs;
only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Chunk, Pace, read_shares
from ncjax.evaluation.evaluate import InMemoryEvaluate
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import (
    Batch,
    Moments,
    Passes,
    SetPass,
    all_reduce_moments,
    update_moments,
)
from ncjax.evaluation.protocol import AXIS, Array, Arrays, Variables


class StreamedEvaluate:
    """`Evaluate` for arrays on the host or in a memory map."""

    def __init__(self, evaluate: InMemoryEvaluate, mesh: Mesh):
        """Measures what `evaluate` does, in the same batches, by several programs."""
        self.mesh, self.local_size = mesh, evaluate.local_size
        self.buffer, passes = evaluate.buffer, evaluate.passes
        shared, own, chunk = P(), P(AXIS), (P(None, AXIS),) * 3

        def spmd(function: Callable, takes: Any, gives: Any) -> Callable:
            mapped = jax.shard_map(
                function, mesh=mesh, in_specs=takes, out_specs=gives, check_vma=False
            )
            return jax.jit(mapped)

        programs = _Programs(passes, self.buffer)
        self._empty = spmd(programs.empty, (shared, shared), own)
        self._first = spmd(programs.first, (shared, own, *chunk), (own, own))
        self._meet = spmd(programs.meet, (shared, shared, own), (shared, own, own))
        self._again = spmd(programs.again, (own, own), own)
        self._second_train, self._second_test = (
            spmd(partial(programs.second, asked), (shared, own, *chunk), own)
            for asked in (passes.brief, passes.mistakes)
        )
        self._merge = spmd(programs.merge, (own, own), shared)
        self._compute = evaluate.compute

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of a network: the name of each -> its value."""
        return self._measure(variables, train, test, None)

    def compiled(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> StreamedEvaluate:
        """The same, compiled by measuring the first chunks."""
        jax.block_until_ready(self._measure(variables, train, test, 1))
        return self

    def _measure(
        self, variables: Variables, train: Arrays, test: Arrays, most: int | None
    ) -> dict[str, jax.Array]:
        """All metrics, from all chunks of each set or from the first `most`."""
        one = jnp.asarray(train[0][:1])
        local, kept, pace = self._empty(variables, one), [], Pace()
        for chunk in self._chunks(train, most):
            local, batches = self._first(variables, local, *chunk)
            kept.append(batches)
            pace(local)
        moments, on_train, on_test = self._meet(variables, one, local)
        if self.buffer:
            for batches in kept:
                on_train = self._again(on_train, batches)
                pace(on_train)
        else:
            for chunk in self._chunks(train, most):
                on_train = self._second_train(variables, on_train, *chunk)
                pace(on_train)
        for chunk in self._chunks(test, most):
            on_test = self._second_test(variables, on_test, *chunk)
            pace(on_test)
        return self._compute(variables, moments, *self._merge(on_train, on_test))

    def _chunks(self, data: Arrays, most: int | None) -> Iterator[Chunk]:
        """The chunks of a data set, all or the first `most`."""
        return read_shares(*data, self.local_size, self.mesh, most=most)


class _Programs:
    """The passes over chunks of batches, as each device runs them in `shard_map`.

    What a device has of its own between programs carries a leading axis of length 1.
    """

    def __init__(self, passes: Passes, buffer: bool):
        self.passes, self.buffer = passes, buffer

    def empty(self, variables: Variables, image: Array) -> Moments:
        """Moments of no features."""
        return _lead(self.passes.empty_moments(variables, image))

    def first(self, variables: Variables, moments: Moments, *chunk: Array):
        """Moments with one more chunk, and its batches, where they are kept."""

        def visit(moments, batch):
            return update_moments(moments, batch), batch if self.buffer else None

        brief = self.passes.brief
        moments, kept = self._scan(variables, brief, _unlead(moments), visit, chunk)
        return _lead(moments), kept

    def meet(self, variables: Variables, image: Array, moments: Moments):
        """Moments of all devices, and empty second passes over both sets."""
        moments, passes = all_reduce_moments(_unlead(moments), AXIS), self.passes
        on_train, on_test = (
            _lead(passes.empty(variables, image, moments, asked))
            for asked in (passes.brief, passes.mistakes)
        )
        return moments, on_train, on_test

    def again(self, state: SetPass, kept: Any) -> SetPass:
        """The second pass with the batches that were kept of one more chunk."""
        return _lead(jax.lax.scan(_second, _unlead(state), kept)[0])

    def second(self, asked: Mistakes, variables: Variables, state, *chunk) -> SetPass:
        """The second pass with one more chunk, by another forward pass."""
        return _lead(self._scan(variables, asked, _unlead(state), _second, chunk)[0])

    def merge(self, *states: SetPass) -> list[SetPass]:
        """The second passes of all devices together."""
        return [_unlead(state).all_reduce(AXIS) for state in states]

    def _scan(self, variables: Variables, asked: Mistakes, carry, visit, chunk):
        """Scans the batches of a chunk; returns carry and stacked outputs."""

        def step(carry, rows):
            images, labels, places = rows
            weights = (places >= 0).astype(jnp.float32)
            batch = self.passes.batch(variables, images, labels, weights, asked)
            return visit(carry, batch)

        return jax.lax.scan(step, carry, chunk)


def _second(state: SetPass, batch: Batch) -> tuple[SetPass, None]:
    return state.update(batch), None


def _lead(tree: Any) -> Any:
    """Adds the leading axis of the devices, which holds what each has of its own."""
    return jax.tree.map(lambda x: x[None], tree)


def _unlead(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
