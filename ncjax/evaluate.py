"""Collapse of a network over a whole data set: one compiled program.

The network runs in evaluation mode over the training set and the test set; each device
takes its share, and what the devices found is merged once, at the end.  Class means
are always those of the training set.

One forward pass over the training set streams its features into `ClassMoments`.  NC4
and the spread along the K-1 directions of the means, which is all that NC1 needs, take
a second look at the features once the means are known: they are kept for it where they
fit on the devices (`buffer=True`), else a second forward pass makes them again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax import collapse
from ncjax.hierarchy import Hierarchy
from ncjax.mistakes import Mistakes
from ncjax.moments import ClassMoments

Features = dict[str, jax.Array]  # layer -> [n, d of the layer]
Forward = Callable[[Any, jax.Array], tuple[jax.Array, "Features"]]
Classifier = Callable[[Mapping], tuple[jax.Array, jax.Array]]
Array = jax.Array | np.ndarray
Arrays = tuple[Array, Array]  # images [n, h, w, c], labels [n]

LAST = "features"  # the layer that the classifier sees
_AXIS = "data"


class _Batch(NamedTuple):
    """What one forward pass leaves of a batch; leading axes are examples."""

    features: Features
    labels: jax.Array  # [n]
    weights: jax.Array  # [n] 1, or 0 for padding
    decisions: jax.Array  # [n]
    sums: dict[str, jax.Array]  # over the batch, of the loss and of `Mistakes.values`


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """`evaluate(variables, train, test) -> {metric: []}`, from `make_evaluate`."""

    program: Any  # (variables, train, test, room) -> metrics, room; room is donated
    make_room: Callable[[Mapping, Array], Features]
    hold: bool  # keep the room from one call to the next
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
        return Evaluate(program, self.make_room, self.hold, held)


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
    many: bool = False,
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
        many: of many networks at once: variables and metrics have a leading axis [S],
            over the mesh axis "seeds".
    """
    devices = mesh.shape[_AXIS]
    local_size = -(-batch_size // devices)
    mistakes = mistakes or Mistakes()
    tree = mistakes.hierarchy

    # Of the training set, which is large and in the end without mistakes, just these.
    brief = dataclasses.replace(mistakes, top=(1,), calibration=False, crm=False)

    def run(variables, images, labels, rows, asked: Mistakes) -> _Batch:
        """One forward pass; rows beyond the data are padding."""
        weights = (rows < len(labels)).astype(jnp.float32)
        rows = jnp.minimum(rows, len(labels) - 1)
        outputs, features = forward(variables, images[rows])
        outputs, labels = outputs.astype(jnp.float32), labels[rows]
        ranked = scores(outputs)
        values = {"loss": loss(outputs, labels)} | asked.values(ranked, labels)
        sums = {name: weights @ v.astype(jnp.float32) for name, v in values.items()}
        return _Batch(features, labels, weights, ranked.argmax(1), sums)

    def sweep(variables, data, asked, carry, visit):
        """Scans this device's share of the data; returns carry and stacked outputs."""
        images, labels = data
        batches = -(-len(labels) // (devices * local_size))
        rows = jax.lax.axis_index(_AXIS) * batches * local_size
        rows = rows + jnp.arange(batches * local_size).reshape(batches, local_size)
        return jax.lax.scan(
            lambda carry, r: visit(carry, run(variables, images, labels, r, asked)),
            carry,
            rows,
        )

    def second_look(batch: _Batch, frames, levels):
        """Sums over a batch that need the final class means, and its total weight."""
        values, within = {}, {}
        around = {
            layer: collapse.deviations(features, batch.labels, frames[layer])
            for layer, features in batch.features.items()
        }
        for layer, projected in around.items():
            nearest = collapse.nearest_class(projected, batch.labels, frames[layer])
            values[f"{layer}/nc4"] = batch.decisions != nearest
            values[f"{layer}/ncc_accuracy"] = nearest == batch.labels
            within[f"{layer}/within"] = jnp.matmul(
                batch.weights, projected**2, precision="highest"
            )
        points = collapse.coordinates(around[LAST], batch.labels, frames[LAST])
        for level in levels:
            nearest = collapse.nearest_row(points, level.means, level.present)
            values[f"{level.name}/nc4"] = level.groups[batch.decisions] != nearest
            along = jnp.matmul(around[LAST], level.directions.T, precision="highest")
            within[f"{level.name}/within"] = jnp.matmul(
                batch.weights, along**2, precision="highest"
            )
        sums = {name: jnp.sum(v * batch.weights) for name, v in values.items()}
        return batch.sums | sums | within, batch.weights.sum()

    def all_means(scanned):
        """Means over all batches of all devices, from the sums of `second_look`."""
        looked = jax.tree.map(lambda x: x.sum(0), scanned[1])
        sums, total = jax.lax.psum(looked, _AXIS)
        return jax.tree.map(lambda x: x / total, sums)

    def evaluate(variables, train, test, room):
        _, widths = jax.eval_shape(forward, variables, train[0][:1])
        empty = {
            layer: ClassMoments.empty(
                num_classes,
                features.shape[1],
                scatter="pooled" if scatter and layer == LAST else "none",
            )
            for layer, features in widths.items()
        }

        def accumulate(carry, b):
            i, moments, room = carry
            moments = {
                layer: m.update(b.features[layer], b.labels, b.weights)
                for layer, m in moments.items()
            }
            room = {
                layer: jax.lax.dynamic_update_index_in_dim(x, b.features[layer], i, 0)
                for layer, x in room.items()
            }
            rest = b._replace(features={})
            return (i + 1, moments, room), rest if buffer else None

        start = (0, empty, room)
        carry, kept = sweep(variables, train, brief, start, accumulate)
        _, local, room = carry
        moments = {layer: m.all_reduce(_AXIS) for layer, m in local.items()}
        frames = {layer: collapse.frame(m) for layer, m in moments.items()}
        levels = []
        if tree is not None:
            levels = collapse.superclass_levels(moments[LAST], tree, frames[LAST])

        def visit(_, b):
            return None, second_look(b, frames, levels)

        if buffer:
            again = jax.lax.scan(visit, None, kept._replace(features=room))
        else:
            again = sweep(variables, train, brief, None, visit)
        on_train = all_means(again)
        on_test = all_means(sweep(variables, test, mistakes, None, visit))
        weights, bias = classifier(variables["params"])
        found = {}
        for layer, m in moments.items():
            last = layer == LAST
            head = (weights, bias) if last else ()
            within = on_train[f"{layer}/within"]
            beyond = on_test[f"{layer}/within"]
            metrics = collapse.measure(m, *head, directional=within)
            metrics["nc4"] = on_train[f"{layer}/nc4"]
            if last and tree is not None:
                found |= _of_tree(tree, levels, m, weights, on_train)
            if last and geometry is not None:
                target = jnp.asarray(geometry, jnp.float32)
                metrics["gram_to_theory"] = collapse.gram_distance(m, target)
            held_out = {
                "nc1": collapse.nc1(m, directional=beyond),
                "nc4": on_test[f"{layer}/nc4"],
                "ncc_accuracy": on_test[f"{layer}/ncc_accuracy"],
            }
            prefix = "" if last else f"layers/{layer}/"
            found |= {f"{prefix}nc/{k}": v for k, v in metrics.items()}
            found |= {f"{prefix}test/{k}": v for k, v in held_out.items()}
            found[f"{prefix}train/ncc_accuracy"] = on_train[f"{layer}/ncc_accuracy"]
        for split, means in (("train", on_train), ("test", on_test)):
            found[f"{split}/loss"] = means["loss"]
            ranked = {k: v for k, v in means.items() if "/" not in k and k != "loss"}
            for name, value in mistakes.summary(ranked).items():
                found[f"{split}/{name}"] = value
        return found, room

    network, room_axes = P(), P(_AXIS)
    if many:
        evaluate = jax.vmap(evaluate, in_axes=(0, None, None, 0))
        network, room_axes = P("seeds"), P("seeds", _AXIS)

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
    )

    def make_room(variables, images) -> Features:
        """Memory for the features of all batches [batches, local_size, d]."""
        one = jax.vmap(forward, in_axes=(0, None)) if many else forward
        _, layers = jax.eval_shape(one, variables, images[:1])
        batches = devices * -(-len(images) // (devices * local_size))
        return {
            layer: jnp.zeros(
                (*x.shape[:-2], batches, local_size, x.shape[-1]),
                x.dtype,
                device=NamedSharding(mesh, room_axes),
            )
            for layer, x in layers.items()
        }

    # Fresh memory costs a CPU a page fault every 4 KiB, which is as much as all the
    # rest of the measurement; an accelerator has a pool.
    hold = mesh.devices.flat[0].platform == "cpu"
    return Evaluate(compiled, make_room if buffer else lambda *_: {}, hold)


def _of_tree(tree: Hierarchy, levels, moments, classifier, on_train):
    """Metrics of the last layer that a class tree allows."""
    found = collapse.tree_metrics(moments, tree)
    named = {"nc/gram_to_tree": found.pop("gram")}
    named |= {f"tree/{name}": value for name, value in found.items()}
    for level in levels:
        variance = on_train[f"{level.name}/within"]
        metrics = collapse.level_metrics(level, moments, variance, classifier)
        metrics["nc4"] = on_train[f"{level.name}/nc4"]
        named |= {f"tree/{level.name}/{k}": v for k, v in metrics.items()}
    return named
