"""An epoch: its steps in one program, over data that lie on the devices, or in several.

The order of the examples and their augmentation depend on the key of the epoch alone,
not on where the images come from (`ncjax.data.reading`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P

from ncjax.cluster.members import Over
from ncjax.data.augment import Augment, none
from ncjax.evaluation.shares import Array
from ncjax.training.step import Step, TrainState


def make_epoch(
    step: Step,
    prepare: Callable[[jax.Array], jax.Array],
    batch_size: int,
    mesh: Mesh,
    augment: Augment = none,
    *,
    many: Over | None = None,
    own_labels: bool = False,
) -> jax.stages.Wrapped:
    """Makes the program of an epoch over a data set that lies on the devices.

    The order is a new permutation for each key; the last n mod batch_size examples of
    it are left out, so every step has the same shape.

    Args:
        step: a step, as from `make_train_step`.
        prepare: raw images -> network input, for example normalisation.
        batch_size: examples per step over all devices; their number must divide it.
        mesh: batches are sharded over its axis "data"; with `many`, networks over
            "seeds".
        augment: (keys [n], raw images) -> raw images; the key of an image depends on
            that of the epoch and on its place in the data set, on nothing else.
        many: makes a function of one network one of many (`ncjax.cluster.members`), to
            train a network for each key: state, keys and metrics have a leading axis
            [S], states lie over the mesh axis "seeds", and all share the data.
        own_labels: each of many networks has labels of its own [S, n], over "seeds".

    Returns:
        `epoch(state, key, images, labels) -> (state, {"loss": [steps], "error":
        [steps]})`; `state` is donated.
    """
    batches = NamedSharding(mesh, P(None, "data"))

    def epoch(state, key, images, labels):
        order = _epoch_order(key, len(labels), batch_size)
        order = jax.lax.with_sharding_constraint(order, batches)
        visit = _visitor(step, prepare, augment, key)
        return jax.lax.scan(
            lambda state, rows: visit(state, images[rows], labels[rows], rows),
            state,
            order,
        )

    if many:
        # Left to itself XLA gathers the kernels of all networks on every device.
        own, shared = P("seeds"), P()
        epoch = jax.shard_map(
            many(epoch, (0, 0, None, 0 if own_labels else None)),
            mesh=mesh,
            in_specs=(own, own, shared, own if own_labels else shared),
            out_specs=own,
            axis_names={"seeds"},
            check_vma=False,
        )
    else:
        epoch = _on(mesh, epoch)
    # What goes in comes out: a program compiled ahead of time takes nothing else.
    out = NamedSharding(mesh, P("seeds") if many else P()), NamedSharding(mesh, P())
    return jax.jit(epoch, donate_argnums=0, out_shardings=out)


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
            visit = _visitor(step, prepare, augment, key)
            return jax.lax.scan(
                lambda state, batch: visit(state, *batch), state, batches
            )

        everywhere = NamedSharding(mesh, P())
        self._steps = jax.jit(
            _on(mesh, steps), donate_argnums=0, out_shardings=everywhere
        )
        self._order = jax.jit(_epoch_order, static_argnums=(1, 2))
        self._batch_size, self._mesh = batch_size, mesh

    def __call__(
        self, state: TrainState, key: jax.Array, images: Array, labels: Array
    ) -> tuple[TrainState, dict[str, np.ndarray]]:
        """The given state is donated; metrics are [steps]."""
        from ncjax.data.reading import Pace, read  # late: needs grain

        rows = np.asarray(self._order(key, len(labels), self._batch_size))
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
        from ncjax.data.reading import chunk_steps

        batch_bytes = self._batch_size * images[:1].nbytes
        return chunk_steps(len(images) // self._batch_size, batch_bytes)


def _epoch_order(key: jax.Array, n: int, batch_size: int) -> jax.Array:
    """Shuffled rows of the batches of an epoch, [n // batch_size, batch_size]."""
    steps = n // batch_size
    order = jax.random.permutation(key, n)[: steps * batch_size]
    return order.reshape(steps, batch_size)


def _on(mesh: Mesh, f: Callable) -> Callable:
    """The function f, which knows the mesh while it is traced."""

    @wraps(f)
    def traced(*args):
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return f(*args)

    return traced


def _visitor(step: Step, prepare: Callable, augment: Augment, key: jax.Array):
    """The step on raw images, augmented by the key of the epoch and their rows."""
    # Not 0 or 1: the keys that `permutation` splits off would be the same.
    images_key = jax.random.fold_in(key, 2)

    def visit(state, images, labels, rows):
        keys = jax.vmap(lambda row: jax.random.fold_in(images_key, row))(rows)
        return step(state, prepare(augment(keys, images)), labels)

    return visit
