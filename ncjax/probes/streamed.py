"""How probes read data sets that the devices cannot hold: the same numbers.

The batches are those of `ncjax.probes.reading`, in several programs; only where images
come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Pace, read_shares
from ncjax.probes.probe import TEST, TRAIN, Arrays, Probe, Reader, State, Variables
from ncjax.probes.reading import AXIS, Sets, measure_all, own_sets, visible


class StreamedProbes:
    """`Measurement` of one network on data that lie on the host."""

    def __init__(self, probes: Mapping[str, Probe], mesh: Mesh, *, batch_size: int):
        """Measures what `ncjax.probes.reading.make_probes` does, in the same batches.

        Args:
            probes: name -> probe.
            mesh: devices, with an axis "data".
            batch_size: examples per forward pass, over all devices.
        """
        self.probes, self._streams = probes, _Streams(mesh, batch_size)

    def __call__(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of all probes."""
        sets = {TRAIN: train, TEST: test, **own_sets(self.probes)}

        def reader(name: str) -> Reader:
            return _Stream(visible(sets, self.probes, name), self._streams)

        return measure_all(self.probes, variables, reader)

    def compiled(
        self, variables: Variables, train: Arrays, test: Arrays
    ) -> StreamedProbes:
        """The same; the first measurement compiles, as only it knows the passes."""
        return self


class _Streams:
    """The programs that passes over streamed data need; each is compiled once."""

    def __init__(self, mesh: Mesh, batch_size: int):
        self.mesh = mesh
        self.size = -(-batch_size // mesh.shape[AXIS])
        self._steps: dict[Callable, Callable] = {}
        # Between chunks each device has a state of its own, on a leading axis.
        self.start = self._spmd(lambda state: _lead(state), (P(),), P(AXIS))
        self.merge = self._spmd(
            lambda state: _unlead(state).all_reduce(AXIS), (P(AXIS),), P()
        )

    def step(self, update: Callable[..., State]) -> Callable[..., State]:
        """The program that takes the batches of a chunk into a state."""
        if update not in self._steps:

            def steps(state, variables, more, images, labels, rows):
                def step(state, batch):
                    images, labels, rows = batch
                    weights = (rows >= 0).astype(jnp.float32)  # 0 for padding
                    state = update(state, variables, images, labels, weights, *more)
                    return state, None

                batches = images, labels, rows
                return _lead(jax.lax.scan(step, _unlead(state), batches)[0])

            chunk = (P(None, AXIS),) * 3
            self._steps[update] = self._spmd(
                steps, (P(AXIS), P(), P(), *chunk), P(AXIS)
            )
        return self._steps[update]

    def _spmd(self, function: Callable, takes: tuple, gives: P) -> Callable:
        mapped = jax.shard_map(
            function,
            mesh=self.mesh,
            in_specs=takes,
            out_specs=gives,
            check_vma=False,
        )
        return jax.jit(mapped)


class _Stream:
    """`Reader` of data sets on the host."""

    def __init__(self, sets: Sets, streams: _Streams):
        self.sets, self.streams = sets, streams

    def fold(
        self,
        update: Callable[..., State],
        state: State,
        variables: Variables,
        name: str,
        *more: Any,
    ) -> State:
        streams, pace = self.streams, Pace()
        step, own = streams.step(update), streams.start(state)
        for chunk in read_shares(*self.sets[name], streams.size, streams.mesh):
            own = step(own, variables, more, *chunk)
            pace(own)
        return streams.merge(own)


def _lead(tree: Any) -> Any:
    """A leading axis, over the devices: what each has of its own."""
    return jax.tree.map(lambda x: x[None], tree)


def _unlead(tree: Any) -> Any:
    return jax.tree.map(lambda x: x[0], tree)
