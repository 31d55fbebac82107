"""The stages of a measurement, on one device's share of the data.

`look` at the training set and `take` each batch into the moments; `meet` the other
devices; take a `second_look` at the training set and a first one at the test set, now
that the class means are known; `finish`.  `ncjax.evaluation.evaluate` makes one
program of them, `ncjax.evaluation.streamed` several.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from ncjax.evaluation.mistakes import Mistakes, confusion
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments

Features = dict[str, jax.Array]  # layer -> [n, d of the layer]
Forward = Callable[[Any, jax.Array], tuple[jax.Array, "Features"]]
Classifier = Callable[[Mapping], tuple[jax.Array, jax.Array]]

LAST = "features"  # the layer that the classifier sees
AXIS = "data"  # of the mesh


class Batch(NamedTuple):
    """What one forward pass leaves of a batch; leading axes are examples."""

    features: Features
    labels: jax.Array  # [n]
    weights: jax.Array  # [n] 1, or 0 for padding
    decisions: jax.Array  # [n]
    sums: dict[str, jax.Array]  # over the batch, of the loss and of `Mistakes.values`


@dataclasses.dataclass(frozen=True)
class Stages:
    """To be called inside `shard_map`; attributes as in `make_evaluate`."""

    forward: Forward
    classifier: Classifier
    loss: Callable[[jax.Array, jax.Array], jax.Array]
    scores: Callable[[jax.Array], jax.Array]
    mistakes: Mistakes
    geometry: np.ndarray | None
    num_classes: int
    scatter: bool

    @property
    def brief(self) -> Mistakes:
        """Of the training set, which is large and in the end without mistakes."""
        return dataclasses.replace(
            self.mistakes, top=(1,), calibration=False, crm=False, confusion=False
        )

    def empty(self, variables: Mapping, images: jax.Array) -> dict[str, ClassMoments]:
        """Moments of no features, for each layer of a network that takes `images`."""
        _, widths = jax.eval_shape(self.forward, variables, images[:1])
        return {
            layer: ClassMoments.empty(
                self.num_classes,
                features.shape[1],
                scatter="pooled" if self.scatter and layer == LAST else "none",
            )
            for layer, features in widths.items()
        }

    def look(self, variables, images, labels, weights, asked: Mistakes) -> Batch:
        """One forward pass."""
        outputs, features = self.forward(variables, images)
        outputs = outputs.astype(jnp.float32)
        ranked = self.scores(outputs)
        values = {"loss": self.loss(outputs, labels)} | asked.values(ranked, labels)
        sums = {name: weights @ v.astype(jnp.float32) for name, v in values.items()}
        decisions = ranked.argmax(1)
        if asked.confusion:
            sums["confusion"] = confusion(decisions, labels, self.num_classes, weights)
        return Batch(features, labels, weights, decisions, sums)

    def take(self, moments: dict[str, ClassMoments], batch: Batch):
        """The moments with one more batch."""
        return {
            layer: m.update(batch.features[layer], batch.labels, batch.weights)
            for layer, m in moments.items()
        }

    def meet(self, moments: dict[str, ClassMoments]):
        """Moments of all devices, their frames, and the superclasses of the tree."""
        moments = {layer: m.all_reduce(AXIS) for layer, m in moments.items()}
        frames = {layer: collapse.frame(m) for layer, m in moments.items()}
        tree, levels = self.mistakes.hierarchy, []
        if tree is not None:
            levels = collapse.superclass_levels(moments[LAST], tree, frames[LAST])
        return moments, frames, levels

    def second_look(self, batch: Batch, frames, levels, around=None):
        """Sums over a batch that need the final class means, and its total weight.

        `around` are the `collapse.deviations` of each layer [n, r], where they are
        known; else they are found from the features.
        """
        values, within = {}, {}
        around = around or {
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

    def finish(self, variables, moments, levels, on_train, on_test):
        """All metrics, from the moments and the means of what `second_look` summed."""
        weights, bias = self.classifier(variables["params"])
        tree, found = self.mistakes.hierarchy, {}
        for layer, m in moments.items():
            last = layer == LAST
            head = (weights, bias) if last else ()
            within = on_train[f"{layer}/within"]
            beyond = on_test[f"{layer}/within"]
            metrics = collapse.measure(m, *head, directional=within)
            metrics["nc4"] = on_train[f"{layer}/nc4"]
            if last and tree is not None:
                found |= _of_tree(tree, levels, m, weights, on_train)
            if last and self.geometry is not None:
                target = jnp.asarray(self.geometry, jnp.float32)
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
            for name, value in self.mistakes.summary(ranked).items():
                found[f"{split}/{name}"] = value
        return found


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
