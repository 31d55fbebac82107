"""An epoch over data that the devices cannot hold: the numbers of a compiled epoch.

The order, the steps and the augmentation are those of an epoch on the devices
(`ncjax.training.epoch`); only where images come from differs (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax.data.augment import Augment, none
from ncjax.data.reading import Array, Pace, chunk_steps, read
from ncjax.training.epoch import epoch_order, on_mesh, visitor
from ncjax.training.step import Step, TrainState


class StreamedEpoch:
    """An epoch over images and labels on the host, used like `make_epoch`'s program."""

    def __init__(
        self,
        step: Step,
        prepare: Callable[[jax.Array], jax.Array],
        batch_size: int,
        mesh: Mesh,
        augment: Augment = none,
    ):
        """Takes the arguments of `make_epoch`, for a single network."""

        def steps(state, key, *batches):
            visit = visitor(step, prepare, augment, key)
            return jax.lax.scan(
                lambda state, batch: visit(state, *batch), state, batches
            )

        everywhere = NamedSharding(mesh, P())
        self._steps = jax.jit(
            on_mesh(mesh, steps), donate_argnums=0, out_shardings=everywhere
        )
        self._batch_size, self._mesh = batch_size, mesh

    def __call__(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """The given state is donated; metrics are [steps]."""
        rows = np.asarray(_epoch_order(key, len(labels), self._batch_size))
        outputs, pace = [], Pace()
        for chunk in read(images, labels, rows, self._size(images), self._mesh):
            state, metrics = self._steps(state, key, *chunk)
            outputs.append(metrics)
            pace(metrics)
        outputs = jax.device_get(outputs)
        return state, jax.tree.map(lambda *parts: np.concatenate(parts), *outputs)

    def compile(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> None:
        """Compiles for arrays of these shapes now, not at the first call."""
        sharding = NamedSharding(self._mesh, P(None, "data"))
        total, size = len(labels) // self._batch_size, self._size(images)
        for steps in {size, total % size} - {0}:
            chunk = [
                jax.ShapeDtypeStruct(
                    (steps, self._batch_size, *x.shape[1:]), x.dtype, sharding=sharding
                )
                for x in (images, labels, np.empty(0, np.int32))
            ]
            self._steps.lower(state, key, *chunk).compile()

    def _size(self, images: Array) -> int:
        batch_bytes = self._batch_size * images[:1].nbytes
        return chunk_steps(len(images) // self._batch_size, batch_bytes)


_epoch_order = jax.jit(epoch_order, static_argnums=(1, 2))
