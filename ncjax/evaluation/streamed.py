"""Collapse of a network over data that the devices cannot hold: the same numbers.

The passes and batches are those of `ncjax.evaluation.evaluate`, in several programs;
only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp

from ncjax.data.reading import Pace, read_shares
from ncjax.evaluation.evaluate import Evaluate
from ncjax.evaluation.passes import (
    Batch,
    SetPass,
    Variables,
    all_reduce_moments,
    update_moments,
)
from ncjax.evaluation.shares import (
    AXIS,
    CHUNK,
    OWN,
    SHARED,
    Arrays,
    on_each,
    scan_chunk,
)


class StreamedEvaluate:
    """`Evaluate` for arrays on the host or in a memory map."""

    def __init__(self, evaluate: Evaluate):
        """Measures what `evaluate` does, in the same batches, by several programs."""
        self._passes, self._keep = evaluate.passes, evaluate.buffer
        mesh, passes = evaluate.mesh, evaluate.passes
        self._read = partial(read_shares, size=evaluate.size, mesh=mesh)
        takes = (SHARED, OWN, *CHUNK)
        self._empty = on_each(passes.empty_moments, mesh, (SHARED, SHARED), OWN)
        self._first = on_each(self._take, mesh, takes, (OWN, OWN))
        meets = (SHARED, SHARED, OWN), (SHARED, OWN, OWN)
        self._meet = on_each(self._start, mesh, *meets)
        self._again = on_each(_take_kept, mesh, (OWN, OWN), OWN)
        self._second_train, self._second_test = (
            on_each(partial(self._take_again, asked), mesh, takes, OWN)
            for asked in (passes.brief, passes.mistakes)
        )
        self._merge = on_each(_merged, mesh, (OWN, OWN), (SHARED, SHARED))
        self._compute = evaluate.compute

    def __call__(
        self,
        variables: Variables,
        train: Arrays,
        test: Arrays,
        *,
        most: int | None = None,
    ) -> dict[str, jax.Array]:
        """All metrics, from all chunks of each set or from the first `most`."""
        one = jnp.asarray(train[0][:1])
        local, kept, pace = self._empty(variables, one), [], Pace()
        for chunk in self._read(*train, most=most):
            local, batches = self._first(variables, local, *chunk)
            kept.append(batches)
            pace(local)
        moments, on_train, on_test = self._meet(variables, one, local)
        for batches in kept if self._keep else ():
            on_train = self._again(on_train, batches)
            pace(on_train)
        for chunk in () if self._keep else self._read(*train, most=most):
            on_train = self._second_train(variables, on_train, *chunk)
            pace(on_train)
        for chunk in self._read(*test, most=most):
            on_test = self._second_test(variables, on_test, *chunk)
            pace(on_test)
        return self._compute(variables, moments, *self._merge(on_train, on_test))

    def compile(self, variables: Variables, train: Arrays, test: Arrays) -> None:
        """Compiles by measuring the first chunks."""
        jax.block_until_ready(self(variables, train, test, most=1))

    def _take(self, variables, moments, *chunk):
        """Moments with one more chunk, and its batches, where they are kept."""

        def visit(moments, *batch):
            seen = self._passes.batch(self._passes.brief, variables, *batch)
            return update_moments(moments, seen), seen if self._keep else None

        return scan_chunk(visit, moments, chunk)

    def _start(self, variables, image, local):
        """Moments of all devices, and empty second passes over both sets."""
        moments = all_reduce_moments(local)
        return moments, *self._passes.empty(variables, image, moments)

    def _take_again(self, asked, variables, state, *chunk):
        """The second pass with one more chunk, by another forward pass."""
        return scan_chunk(self._passes.second(asked, variables), state, chunk)[0]


def _take_kept(state: SetPass, kept: Batch) -> SetPass:
    """The second pass with the batches that were kept of one more chunk."""
    return jax.lax.scan(lambda state, batch: (state.update(batch), None), state, kept)[
        0
    ]


def _merged(*states: SetPass) -> tuple[SetPass, ...]:
    """The second passes of all devices together."""
    return tuple(state.all_reduce(AXIS) for state in states)
