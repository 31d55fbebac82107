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
from jax.sharding import Mesh
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

    def second_look(batch: _Batch, moments, directions):
        """Sums over a batch that need the final class means, and its total weight."""
        total = batch.weights.sum()
        right = batch.decisions == batch.labels
        values = {"loss": batch.loss, "error": ~right}
        within = {}
        for layer, features in batch.features.items():
            nearest = collapse.nearest_mean(features, moments[layer])
            values[f"{layer}/nc4"] = batch.decisions != nearest
            values[f"{layer}/ncc_accuracy"] = nearest == batch.labels
            variance = collapse.directional_variance(
                features,
                batch.labels,
                moments[layer],
                directions[layer],
                batch.weights,
            )
            # Nothing but padding: 0 examples have no mean.
            within[f"{layer}/within"] = jnp.where(total > 0, total * variance, 0)
        sums = {name: jnp.sum(v * batch.weights) for name, v in values.items()}
        return sums | within, total

    def all_means(scanned):
        """Means over all batches of all devices, from the sums of `second_look`."""
        looked = jax.tree.map(lambda x: x.sum(0), scanned[1])
        sums, total = jax.lax.psum(looked, _AXIS)
        return jax.tree.map(lambda x: x / total, sums)

    def evaluate(variables, train, test):
        _, widths = jax.eval_shape(forward, variables, train[0][:1])
        empty = {
            layer: ClassMoments.empty(
                num_classes,
                features.shape[1],
                scatter="pooled" if scatter and layer == LAST else "none",
            )
            for layer, features in widths.items()
        }

        def accumulate(moments, b):
            moments = {
                layer: m.update(b.features[layer], b.labels, b.weights)
                for layer, m in moments.items()
            }
            return moments, b if buffer else None

        local, kept = sweep(variables, train, empty, accumulate)
        moments = {layer: m.all_reduce(_AXIS) for layer, m in local.items()}
        directions = {
            layer: collapse.between_basis(m)[1] for layer, m in moments.items()
        }

        def visit(_, b):
            return None, second_look(b, moments, directions)

        again = jax.lax.scan(visit, None, kept) if buffer else None
        on_train = all_means(again or sweep(variables, train, None, visit))
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
        return found

    # No gradient passes through this shard_map, and everything returned is replicated
    # by construction, so the replication check is not needed.
    return jax.jit(
        jax.shard_map(evaluate, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False)
    )
