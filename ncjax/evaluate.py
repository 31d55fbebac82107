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

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from ncjax import collapse
from ncjax.moments import ClassMoments

Features = dict[str, jax.Array]  # layer -> [n, d of the layer]
Forward = Callable[[Any, jax.Array], tuple[jax.Array, "Features"]]
Arrays = tuple[jax.Array, jax.Array]  # images [n, h, w, c], labels [n]

LAST = "features"  # the layer that the classifier sees
_AXIS = "data"


class _Batch(NamedTuple):
    """What one forward pass leaves of a batch; leading axes are examples."""

    features: Features
    labels: jax.Array  # [n]
    weights: jax.Array  # [n] 1, or 0 for padding
    decisions: jax.Array  # [n] argmax of the logits
    loss: jax.Array  # [n]


def make_evaluate(
    forward: Forward,
    classifier: Callable[[Mapping], Arrays],
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    mesh: Mesh,
    *,
    num_classes: int,
    batch_size: int,
    buffer: bool = True,
    scatter: bool = False,
) -> Callable[[Mapping, Arrays, Arrays], dict[str, jax.Array]]:
    """Builds `evaluate(variables, train, test) -> {metric: []}`, compiled.

    Metrics are named `nc/...` for the features that the classifier sees,
    `layers/NAME/...` for those of other layers, `train/...` and `test/...`.

    Args:
        forward: (variables, raw images [n, h, w, c]) -> logits [n, K] and the features
            of each layer [n, d], of which `LAST` must be one, in evaluation mode.
        classifier: params -> W [K, d], b [K].
        loss: (logits [n, K], labels [n]) -> [n].
        mesh: one axis, "data"; variables and data are replicated over it.
        num_classes: K.
        batch_size: examples per forward pass, over all devices; rounded up to a
            multiple of their number.
        buffer: keep the training features on the devices, for one forward pass in all.
            On a CPU the memory for them is held from one call to the next.
        scatter: also keep the d x d within-class scatter of the last layer, for the
            metrics that need all of it (VCI).
    """
    devices = mesh.devices.size
    local_size = -(-batch_size // devices)

    def run(variables, images, labels, rows) -> _Batch:
        """One forward pass; rows beyond the data are padding."""
        weights = (rows < len(labels)).astype(jnp.float32)
        rows = jnp.minimum(rows, len(labels) - 1)
        logits, features = forward(variables, images[rows])
        logits, labels = logits.astype(jnp.float32), labels[rows]
        decisions = logits.argmax(1)
        return _Batch(features, labels, weights, decisions, loss(logits, labels))

    def sweep(variables, data, carry, visit):
        """Scans this device's share of the data; returns carry and stacked outputs."""
        images, labels = data
        batches = -(-len(labels) // (devices * local_size))
        rows = jax.lax.axis_index(_AXIS) * batches * local_size
        rows = rows + jnp.arange(batches * local_size).reshape(batches, local_size)
        return jax.lax.scan(
            lambda carry, r: visit(carry, run(variables, images, labels, r)),
            carry,
            rows,
        )

    def second_look(batch: _Batch, frames):
        """Sums over a batch that need the final class means, and its total weight."""
        right = batch.decisions == batch.labels
        values = {"loss": batch.loss, "error": ~right}
        within = {}
        for layer, features in batch.features.items():
            around = collapse.deviations(features, batch.labels, frames[layer])
            nearest = collapse.nearest_class(around, batch.labels, frames[layer])
            values[f"{layer}/nc4"] = batch.decisions != nearest
            values[f"{layer}/ncc_accuracy"] = nearest == batch.labels
            within[f"{layer}/within"] = jnp.matmul(
                batch.weights, around**2, precision="highest"
            )
        sums = {name: jnp.sum(v * batch.weights) for name, v in values.items()}
        return sums | within, batch.weights.sum()

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

        carry, kept = sweep(variables, train, (0, empty, room), accumulate)
        _, local, room = carry
        moments = {layer: m.all_reduce(_AXIS) for layer, m in local.items()}
        frames = {layer: collapse.frame(m) for layer, m in moments.items()}

        def visit(_, b):
            return None, second_look(b, frames)

        if buffer:
            again = jax.lax.scan(visit, None, kept._replace(features=room))
        else:
            again = sweep(variables, train, None, visit)
        on_train = all_means(again)
        on_test = all_means(sweep(variables, test, None, visit))
        found = {}
        for layer, m in moments.items():
            last = layer == LAST
            head = classifier(variables["params"]) if last else ()
            within = on_train[f"{layer}/within"]
            metrics = collapse.measure(m, *head, directional=within)
            metrics["nc4"] = on_train[f"{layer}/nc4"]
            held_out = {
                "nc1": collapse.nc1(m, directional=on_test[f"{layer}/within"]),
                "nc4": on_test[f"{layer}/nc4"],
                "ncc_accuracy": on_test[f"{layer}/ncc_accuracy"],
            }
            prefix = "" if last else f"layers/{layer}/"
            found |= {f"{prefix}nc/{k}": v for k, v in metrics.items()}
            found |= {f"{prefix}test/{k}": v for k, v in held_out.items()}
            found[f"{prefix}train/ncc_accuracy"] = on_train[f"{layer}/ncc_accuracy"]
        for split, means in (("train", on_train), ("test", on_test)):
            found |= {f"{split}/{k}": means[k] for k in ("loss", "error")}
        return found, room

    # No gradient passes through this shard_map, and the metrics are replicated by
    # construction, so the replication check is not needed.
    compiled = jax.jit(
        jax.shard_map(
            evaluate,
            mesh=mesh,
            in_specs=(P(), P(), P(), P(_AXIS)),
            out_specs=(P(), P(_AXIS)),
            check_vma=False,
        ),
        donate_argnums=3,
    )

    def make_room(variables, images) -> Features:
        """Memory for the features of all batches [batches, local_size, d]."""
        _, layers = jax.eval_shape(forward, variables, images[:1])
        batches = devices * -(-len(images) // (devices * local_size))
        return {
            layer: jnp.zeros(
                (batches, local_size, x.shape[1]),
                x.dtype,
                device=NamedSharding(mesh, P(_AXIS)),
            )
            for layer, x in layers.items()
        }

    held: dict[tuple[int, ...], Features] = {}

    def measured(variables, train, test):
        images, _ = train
        room = held.pop(images.shape, None)
        if room is None:
            room = make_room(variables, images) if buffer else {}
        found, room = compiled(variables, train, test, room)
        # Fresh memory costs a CPU a page fault every 4 KiB, which is as much as all
        # the rest of the measurement; an accelerator has a pool.
        if mesh.devices.flat[0].platform == "cpu":
            held.clear()
            held[images.shape] = room
        return found

    return measured
