"""Collapse of a network over a whole data set: one compiled program.

The network runs in evaluation mode over the training set and the test set; each device
takes its share, and what the devices found is merged once, at the end.  Class means
are always those of the training set.

Where the features of both sets fit on the devices (`buffer=True`) there is one forward
pass: the features stay, and once the class means are known they are projected on the
K-1 directions of the means, which is all that NC1 needs.  Otherwise `ClassMoments` with
a d x d scatter is streamed, and NC4 takes a second forward pass.
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

Forward = Callable[[Any, jax.Array], tuple[jax.Array, jax.Array]]
Arrays = tuple[jax.Array, jax.Array]  # images [n, h, w, c], labels [n]
_AXIS = "data"


class _Batch(NamedTuple):
    """What one forward pass leaves of a batch; leading axes are examples."""

    features: jax.Array  # [n, d]
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
    feature_dim: int,
    batch_size: int,
    buffer: bool,
) -> Callable[[Mapping, Arrays, Arrays], dict[str, jax.Array]]:
    """Builds `evaluate(variables, train, test) -> {metric: []}`, compiled.

    Args:
        forward: (variables, raw images [n, h, w, c]) -> logits [n, K], features [n, d],
            in evaluation mode.
        classifier: params -> W [K, d], b [K].
        loss: (logits [n, K], labels [n]) -> [n].
        mesh: one axis, "data"; variables and data are replicated over it.
        num_classes: K.
        feature_dim: d.
        batch_size: examples per forward pass, over all devices; rounded up to a
            multiple of their number.
        buffer: keep all features on the devices, for one forward pass in all.
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

    def second_look(batch: _Batch, moments: ClassMoments):
        """Sums over a batch that need the final class means, and its total weight."""
        nearest = collapse.nearest_mean(batch.features, moments)
        values = {
            "loss": batch.loss,
            "error": batch.decisions != batch.labels,
            "nc4": batch.decisions != nearest,
            "ncc_accuracy": nearest == batch.labels,
        }
        total = batch.weights.sum()
        _, directions = collapse.between_basis(moments)
        within = collapse.directional_variance(
            batch.features, batch.labels, moments, directions, batch.weights
        )
        sums = {name: jnp.sum(v * batch.weights) for name, v in values.items()}
        # Nothing but padding: 0 examples have no mean.
        return sums | {"within": jnp.where(total > 0, total * within, 0)}, total

    def all_means(sums, total):
        """Means over all devices, from sums over this one."""
        sums, total = jax.lax.psum((sums, total), _AXIS)
        return jax.tree.map(lambda x: x / total, sums)

    def buffered(variables, train, test):
        def collect(data):
            _, batch = sweep(variables, data, None, lambda _, b: (None, b))
            return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), batch)

        batch = collect(train)
        moments = class_moments(
            batch.features, batch.labels, num_classes, batch.weights, scatter="none"
        ).all_reduce(_AXIS)
        on_train = all_means(*second_look(batch, moments))
        return moments, on_train, all_means(*second_look(collect(test), moments))

    def streamed(variables, train, test):
        def accumulate(moments, b):
            return moments.update(b.features, b.labels, b.weights), None

        empty = ClassMoments.empty(num_classes, feature_dim)
        moments, _ = sweep(variables, train, empty, accumulate)
        moments = moments.all_reduce(_AXIS)

        def again(data):
            _, looked = sweep(
                variables, data, None, lambda _, b: (None, second_look(b, moments))
            )
            return all_means(*jax.tree.map(lambda x: x.sum(0), looked))

        return moments, again(train), again(test)

    def evaluate(variables, train, test):
        work = buffered if buffer else streamed
        moments, on_train, on_test = work(variables, train, test)
        nc = collapse.measure(
            moments,
            *classifier(variables["params"]),
            directional=on_train.pop("within"),
        )
        nc["nc4"] = on_train.pop("nc4")
        on_test["nc1"] = collapse.nc1(moments, directional=on_test.pop("within"))
        named = {"nc": nc, "train": on_train, "test": on_test}
        return {f"{a}/{b}": v for a, values in named.items() for b, v in values.items()}

    # No gradient passes through this shard_map, and everything returned is replicated
    # by construction, so the replication check is not needed.
    return jax.jit(
        jax.shard_map(
            evaluate, mesh=mesh, in_specs=P(), out_specs=P(), check_vma=False
        )
    )
