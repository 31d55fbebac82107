"""An epoch over data that the devices cannot hold: the numbers of a compiled epoch.

The order, the steps and the augmentation are those of an epoch on the devices
(`ncjax.training.epoch`); only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Array, Pace, chunk_steps, read
from ncjax.training.epoch import epoch_order
from ncjax.training.step import TrainState


@dataclasses.dataclass(frozen=True)
class StreamedEpoch:
    """An epoch over images and labels on the host, used like `make_epoch`'s program.

    Attributes:
        steps: the program of some steps, from `ncjax.training.epoch.make_steps`.
        batch_size: examples per step, over all devices.
        mesh: batches are sharded over its axis "data".
        programs: number of steps -> that program, lowered or compiled.
    """

    steps: jax.stages.Wrapped
    batch_size: int
    mesh: Mesh
    programs: Mapping[int, Any] = dataclasses.field(default_factory=dict)

    def __call__(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """The given state is donated; metrics are [steps]."""
        rows = np.asarray(_epoch_order(key, len(labels), self.batch_size))
        outputs, pace = [], Pace()
        for chunk in read(images, labels, rows, self._size(images), self.mesh):
            program = self.programs.get(len(chunk[1]), self.steps)
            state, metrics = program(state, key, *chunk)
            outputs.append(metrics)
            pace(metrics)
        outputs = jax.device_get(outputs)
        return state, jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)

    def lower(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> StreamedEpoch:
        """The same, with programs for arrays of these shapes, not compiled yet."""
        sharding = NamedSharding(self.mesh, P(None, "data"))

        def program(size: int) -> jax.stages.Lowered:
            chunk = [
                jax.ShapeDtypeStruct(
                    (size, self.batch_size, *x.shape[1:]), x.dtype, sharding=sharding
                )
                for x in (images, labels, np.empty(0, np.int32))
            ]
            return self.steps.lower(state, key, *chunk)

        total, size = len(labels) // self.batch_size, self._size(images)
        sizes = {size, total % size} - {0}
        return dataclasses.replace(self, programs={s: program(s) for s in sizes})

    def compile(self) -> StreamedEpoch:
        """The same, with the programs that `lower` made compiled."""
        programs = {size: program.compile() for size, program in self.programs.items()}
        return dataclasses.replace(self, programs=programs)

    def _size(self, images: Array) -> int:
        batch_bytes = self.batch_size * images[:1].nbytes
        return chunk_steps(len(images) // self.batch_size, batch_bytes)


_epoch_order = jax.jit(epoch_order, static_argnums=(1, 2))
