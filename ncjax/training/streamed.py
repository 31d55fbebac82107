"""An epoch over data that the devices cannot hold: the numbers of a compiled epoch.

The order, the steps and the augmentation are those of an epoch on the devices
(`ncjax.training.epoch`); only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.data.reading import Array, Pace, chunk_steps, read
from ncjax.training.epoch import epoch_order
from ncjax.training.step import TrainState


@dataclasses.dataclass(frozen=True)
class StreamedEpoch:
    """An `Epoch` over images and labels on the host.

    Attributes:
        steps: the program of some steps, from `ncjax.training.epoch.make_steps`.
        batch_size: examples per step, over all devices.
        mesh: batches are sharded over its axis "data".
        programs: number of steps -> that program, compiled.
    """

    steps: jax.stages.Wrapped
    batch_size: int
    mesh: Mesh
    programs: Mapping[int, jax.stages.Compiled] = dataclasses.field(
        default_factory=dict
    )

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

    def compiled(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> StreamedEpoch:
        """The same, compiled now instead of at the first call."""
        total, size = len(labels) // self.batch_size, self._size(images)
        sharding = NamedSharding(self.mesh, P(None, "data"))

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
        return dataclasses.replace(self, programs={s: program(s) for s in sizes})

    def _size(self, images: Array) -> int:
        batch_bytes = self.batch_size * images[:1].nbytes
        return chunk_steps(len(images) // self.batch_size, batch_bytes)


_epoch_order = jax.jit(epoch_order, static_argnums=(1, 2))
