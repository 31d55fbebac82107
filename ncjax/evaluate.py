"""Collapse of a network over a whole data set: one compiled program.

The network runs in evaluation mode over the training set and the test set; each device
takes its share, and what the devices found is merged once, at the end.  Class means
are always those of the training set.

Where the features of both sets fit on the devices (`buffer=True`) there is one forward
pass: the features stay, and once the class means are known they are projected on the
K-1 directions of the means, which is all that NC1 needs.  Otherwise the means are
streamed first, and a second forward pass takes the projections and NC4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from ncjax import collapse
from ncjax.moments import ClassMoments, class_moments

Features = dict[str, jax.Array]  # layer -> [n, d of the layer]
Forward = Callable[[Any, jax.Array], tuple[jax.Array, "Features"]]
Arrays = tuple[jax.Array, jax.Array]  # images [n, h, w, c], labels [n]
# Layer -> moments of the training set, directions [r, d] of their means.
Found = dict[str, tuple[ClassMoments, jax.Array]]

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
        buffer: keep all features on the devices, for one forward pass in all.
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

    def kind(layer):
        return "pooled" if scatter and layer == LAST else "none"

    def with_directions(moments: dict[str, ClassMoments]) -> Found:
        return {
            layer: (m, collapse.between_basis(m)[1]) for layer, m in moments.items()
        }

    def second_look(batch: _Batch, found: Found):
        """Sums over a batch that need the final class means, and its total weight."""
        total = batch.weights.sum()
        right = batch.decisions == batch.labels
        values = {"loss": batch.loss, "error": ~right}
        within = {}
        for layer, features in batch.features.items():
            moments, directions = found[layer]
            nearest = collapse.nearest_mean(features, moments)
            values[f"{layer}/nc4"] = batch.decisions != nearest
            values[f"{layer}/ncc_accuracy"] = nearest == batch.labels
            variance = collapse.directional_variance(
                features, batch.labels, moments, directions, batch.weights
            )
            # Nothing but padding: 0 examples have no mean.
            within[f"{layer}/within"] = jnp.where(total > 0, total * variance, 0)
        sums = {name: jnp.sum(v * batch.weights) for name, v in values.items()}
        return sums | within, total

    def all_means(sums, total):
        """Means over all devices, from sums over this one."""
        sums, total = jax.lax.psum((sums, total), _AXIS)
        return jax.tree.map(lambda x: x / total, sums)

    def buffered(variables, train, test):
        def collect(data):
            _, batch = sweep(variables, data, None, lambda _, b: (None, b))
            return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

        batch = collect(train)
        moments = {
            layer: class_moments(
                features, batch.labels, num_classes, batch.weights, scatter=kind(layer)
            ).all_reduce(_AXIS)
            for layer, features in batch.features.items()
        }
        found = with_directions(moments)
        on_train = all_means(*second_look(batch, found))
        return moments, on_train, all_means(*second_look(collect(test), found))

    def streamed(variables, train, test):
        _, widths = jax.eval_shape(forward, variables, train[0][:1])
        empty = {
            layer: ClassMoments.empty(num_classes, f.shape[1], scatter=kind(layer))
            for layer, f in widths.items()
        }

        def accumulate(moments, b):
            return {
                layer: m.update(b.features[layer], b.labels, b.weights)
                for layer, m in moments.items()
            }, None

        local, _ = sweep(variables, train, empty, accumulate)
        moments = {layer: m.all_reduce(_AXIS) for layer, m in local.items()}
        found = with_directions(moments)

        def again(data):
            _, looked = sweep(
                variables, data, None, lambda _, b: (None, second_look(b, found))
            )
            return all_means(*jax.tree.map(lambda x: x.sum(0), looked))

        return moments, again(train), again(test)

    def evaluate(variables, train, test):
        work = buffered if buffer else streamed
        moments, on_train, on_test = work(variables, train, test)
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
        return found

    # No gradient passes through this shard_map, and everything returned is replicated
    # by construction, so the replication check is not needed.
    return jax.jit(
        jax.shard_map(evaluate, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    )
