"""Collapse of a network over a whole data set: one compiled program.

The network runs in evaluation mode over the training set and the test set; each device
takes its share, and what the devices found is merged once, at the end.  Class means
are always those of the training set.

One forward pass over the training set streams its features into `ClassMoments`.  NC4
and the spread along the K-1 directions of the means, which is all that NC1 needs, take
a second look at the features once the means are known: they are kept for it, minus the
pivot of their class, where they fit on the devices (`buffer=True`), else a second
forward pass makes them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax import collapse
from ncjax.cluster.members import Over
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.stages import AXIS, Classifier, Features, Forward, Stages

Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """`evaluate(variables, train, test) -> {metric: []}`, from `make_evaluate`."""

    program: Any  # (variables, train, test, room) -> metrics, room; room is donated
    make_room: Callable[[Mapping, Array], Features]
    hold: bool  # keep the room from one call to the next
    stages: Stages
    local_size: int  # examples per forward pass of a device
    buffer: bool
    held: dict[tuple[int, ...], Features] = dataclasses.field(default_factory=dict)

    def __call__(
        self, variables: Mapping, train: Arrays, test: Arrays
    ) -> dict[str, jax.Array]:
        """All metrics of a network."""
        shape = train[0].shape
        room = self.held.pop(shape, None)
        if room is None:
            room = self.make_room(variables, train[0])
        found, room = self.program(variables, train, test, room)
        if self.hold:
            self.held.clear()
            self.held[shape] = room
        return found

    def compiled(self, variables: Mapping, train: Arrays, test: Arrays) -> Evaluate:
        """The same for arrays of these shapes, compiled now, not at the first call."""
        room = self.make_room(variables, train[0])
        program = self.program.lower(variables, train, test, room).compile()
        held = {train[0].shape: room} if self.hold else {}
        return dataclasses.replace(self, program=program, held=held)


def make_evaluate(
    forward: Forward,
    classifier: Classifier,
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    mesh: Mesh,
    *,
    num_classes: int,
    batch_size: int,
    scores: Callable[[jax.Array], jax.Array] = lambda outputs: outputs,
    mistakes: Mistakes | None = None,
    geometry: np.ndarray | None = None,
    buffer: bool = True,
    scatter: bool = False,
    many: Over | None = None,
) -> Evaluate:
    """Builds `evaluate(variables, train, test) -> {metric: []}`, compiled.

    Metrics are named `nc/...` for the features that the classifier sees,
    `layers/NAME/...` for those of other layers, `train/...` and `test/...`, and with a
    class tree `tree/...`.

    Args:
        forward: (variables, raw images [n, h, w, c]) -> outputs [n, M] and the features
            of each layer [n, d], of which `LAST` must be one, in evaluation mode.
        classifier: params -> W [K, d], b [K].
        loss: (outputs [n, M], labels [n]) -> [n].
        mesh: with an axis "data"; variables and data are replicated over it.
        num_classes: K.
        batch_size: examples per forward pass of a network, over all its devices;
            rounded up to a multiple of their number.
        scores: outputs [n, M] -> [n, K], of which the largest is the decision.
        mistakes: what to measure of the scores; its class tree, if it has one, is also
            that of the collapse of superclasses.
        geometry: Gram matrix of the centred class means that theory predicts [K, K].
        buffer: keep the training features on the devices, for one forward pass in all.
            On a CPU the memory for them is held from one call to the next.
        scatter: also keep the d x d within-class scatter of the last layer, for the
            metrics that need all of it (VCI).
        many: of `ncjax.cluster.members`, to measure many networks: variables and
            metrics have a leading axis [S], variables over the mesh axis "seeds".
    """
    devices = mesh.shape[AXIS]
    local_size = -(-batch_size // devices)
    stages = Stages(
        forward,
        classifier,
        loss,
        scores,
        mistakes or Mistakes(),
        geometry,
        num_classes,
        scatter,
    )

    def sweep(variables, data, asked, carry, visit):
        """Scans this device's share of the data; returns carry and stacked outputs."""
        images, labels = data
        batches = -(-len(labels) // (devices * local_size))
        rows = jax.lax.axis_index(AXIS) * batches * local_size
        rows = rows + jnp.arange(batches * local_size).reshape(batches, local_size)

        def step(carry, rows):  # those beyond the data are padding
            weights = (rows < len(labels)).astype(jnp.float32)
            rows = jnp.minimum(rows, len(labels) - 1)
            batch = stages.look(variables, images[rows], labels[rows], weights, asked)
            return visit(carry, batch)

        return jax.lax.scan(step, carry, rows)

    def all_means(scanned):
        """Means over all batches of all devices, from the sums of `second_look`."""
        looked = jax.tree.map(lambda x: x.sum(0), scanned[1])
        sums, total = jax.lax.psum(looked, AXIS)
        return jax.tree.map(lambda x: x / total, sums)

    def evaluate(variables, train, test, room):
        def accumulate(carry, b):
            i, moments, room = carry
            moments = stages.take(moments, b)
            room = {
                layer: jax.lax.dynamic_update_index_in_dim(
                    x, b.features[layer] - moments[layer].pivot[b.labels], i, 0
                )
                for layer, x in room.items()
            }
            rest = b._replace(features={})
            return (i + 1, moments, room), rest if buffer else None

        start = (0, stages.empty(variables, train[0]), room)
        carry, kept = sweep(variables, train, stages.brief, start, accumulate)
        _, local, room = carry
        moments, frames, levels = stages.meet(local)

        def visit(_, b):
            return None, stages.second_look(b, frames, levels)

        if buffer:
            # All batches in one product, which reads what was kept just once.
            around = {
                layer: collapse.residual_deviations(
                    residual,
                    kept.labels,
                    collapse.with_pivot(frames[layer], local[layer].pivot),
                )
                for layer, residual in room.items()
            }
            again = jax.lax.scan(
                lambda _, x: (None, stages.second_look(x[0], frames, levels, x[1])),
                None,
                (kept, around),
            )
        else:
            again = sweep(variables, train, stages.brief, None, visit)
        on_train = all_means(again)
        on_test = all_means(sweep(variables, test, stages.mistakes, None, visit))
        return stages.finish(variables, moments, levels, on_train, on_test), room

    network, room_axes = P(), P(AXIS)
    if many:
        evaluate = many(evaluate, (0, None, None, 0))
        network, room_axes = P("seeds"), P("seeds", AXIS)

    # No gradient passes through this shard_map, and the metrics are replicated by
    # construction, so the replication check is not needed.
    compiled = jax.jit(
        jax.shard_map(
            evaluate,
            mesh=mesh,
            in_specs=(network, P(), P(), room_axes),
            out_specs=(network, room_axes),
            check_vma=False,
        ),
        donate_argnums=3,
        out_shardings=(NamedSharding(mesh, P()), NamedSharding(mesh, room_axes)),
    )

    def make_room(variables, images) -> Features:
        """Memory for the residuals of all batches [batches, local_size, d]."""
        one = many(forward, (0, None)) if many else forward
        _, layers = jax.eval_shape(one, variables, images[:1])
        batches = devices * -(-len(images) // (devices * local_size))
        return {
            layer: jnp.zeros(
                (*x.shape[:-2], batches, local_size, x.shape[-1]),
                jnp.promote_types(x.dtype, jnp.float32),
                device=NamedSharding(mesh, room_axes),
            )
            for layer, x in layers.items()
        }

    # Fresh memory costs a CPU a page fault every 4 KiB, which is as much as all the
    # rest of the measurement; an accelerator has a pool.
    hold = mesh.devices.flat[0].platform == "cpu"
    room = make_room if buffer else lambda *_: {}
    return Evaluate(compiled, room, hold, stages, local_size, buffer)
