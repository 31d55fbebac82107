"""The two passes of a measurement: what becomes of a batch, whoever reads the batches.

The first pass takes the features of the training set into the moments of each layer.
The second pass, over the training set and the test set, takes in what needs the final
moments, such as the class means (`ncjax.collapse.SecondPass`), and the loss, the errors
and the outputs by class (`ncjax.evaluation.risk`).  Both are states that are updated
batch by batch, merged, and summed over a mesh axis; what they hold is turned into
metrics `nc/...`, `layers/NAME/...`, `test/...` and so on.  Which moments and metrics,
the target says (`ncjax.targets`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse, struct
from ncjax.averages import Averages
from ncjax.collapse import Convention, SecondPass
from ncjax.compiling import in_turn
from ncjax.evaluation.mistakes import Mistakes, confusion
from ncjax.evaluation.risk import Risk
from ncjax.evaluation.sample import KEY as FRAME
from ncjax.evaluation.shares import AXIS, Visit
from ncjax.hierarchy import Hierarchy
from ncjax.losses.outputs import tempered
from ncjax.moments import ClassMoments
from ncjax.targets import Target
from ncjax.targets.class_passes import second as class_second
from ncjax.targets.classes import CLASSES

# "params" and "batch_stats" of a network, its "hyper"-parameters, if it has some that
# are no constants of the program, and the "step", if the loss follows it.
Variables = Mapping[str, Any]
Features = dict[str, jax.Array]  # name of a layer -> its features [n, d]

# (variables, raw images) -> outputs [n, M] and the features of each layer.
Forward = Callable[[Any, jax.Array], tuple[jax.Array, Features]]
# variables -> weights W [K, d] and bias b [K] of the last layer.
Classifier = Callable[[Variables], tuple[jax.Array, jax.Array]]
# The same where they may be unknown.
PerhapsClassifier = Callable[[Variables], tuple[jax.Array | None, jax.Array | None]]
# (variables, outputs [n, M], labels [n], weights [n]) -> loss of each example [n]; one
# of weight 0 counts for no other.
Loss = Callable[[Variables, jax.Array, jax.Array, jax.Array], jax.Array]

DEFAULT = Convention()
LAST = "features"  # name of the layer that the classifier sees
Moments = dict[str, Any]  # name of a layer -> moments of the training features


class Batch(NamedTuple):
    """What one forward pass leaves of a batch of n examples."""

    features: Features
    labels: jax.Array  # [n, ...]
    weights: jax.Array  # [n] 1, or 0 for padding
    decisions: jax.Array  # [n, ...] `Target.decide`: the class decided for
    averages: Averages  # of the loss and of `Mistakes.values`
    # Outputs [n, M] and losses [n], where `Passes.risk` asks for them.
    said: tuple[jax.Array, jax.Array] | None = None

    @property
    def rest(self) -> Batch:
        """What is to be kept of it once its features and outputs are summed."""
        return self._replace(features={}, said=None)


@struct.dataclass
class SetPass:
    """The second pass over one set of examples: every layer, the loss, the errors."""

    layers: dict[str, Any]  # of each the second pass of the target
    averages: Averages
    risk: Risk | None = None  # None: not measured

    @classmethod
    def empty(
        cls,
        moments: Moments,
        averages: Averages,
        hierarchy: Hierarchy | None = None,
        convention: Convention = DEFAULT,
        *,
        training: bool = False,
        second: Callable[..., Any] = class_second,
        classifier: jax.Array | None = None,
        risk: Risk | None = None,
    ) -> SetPass:
        """A pass that has seen no examples.

        Args:
            moments: final moments of each layer on the training set.
            averages: `Averages` of the batches to come, or their shapes.
            hierarchy: class tree whose superclasses are measured in the last layer.
            convention: the convention under which metrics are computed.
            training: whether the examples are those of the training set: then the
                normalised features are measured too, where K > d + 1.
            second: makes the second pass of a layer; see `Target.second`.
            classifier: weights W [K, d] of the last layer, or None.
            risk: outputs and losses of no examples; None: they are not measured.
        """
        layers = {
            layer: second(
                m,
                classifier=classifier if layer == LAST else None,
                hierarchy=hierarchy if layer == LAST else None,
                convention=convention,
                training=training,
            )
            for layer, m in moments.items()
        }
        return cls(layers, jax.tree.map(jnp.zeros_like, averages), risk)

    def update(
        self, batch: Batch, deviations: Mapping[str, Any] | None = None
    ) -> SetPass:
        """Takes in a batch.

        Args:
            batch: the batch; its features may be left out where `deviations` are given,
                and its outputs where `risk` has them already.
            deviations: what `residual_deviations` of the second pass of each layer
                gives, such as `Span.deviations` [n, r], where it is known.
        """
        rows = batch.labels, batch.decisions, batch.weights
        layers = {
            layer: state.update(batch.features[layer], *rows)
            if deviations is None
            else state.update_deviations(deviations[layer], *rows)
            for layer, state in self.layers.items()
        }
        averages = self.averages.merge(batch.averages)
        return SetPass(layers, averages, update_risk(self.risk, batch))

    def merge(self, other: SetPass) -> SetPass:
        """Both sets of examples together; the class means must be the same."""
        layers = {name: x.merge(other.layers[name]) for name, x in self.layers.items()}
        averages, risk = self.averages.merge(other.averages), self.risk
        if risk is not None and other.risk is not None:
            risk = risk.merge(other.risk)
        return SetPass(layers, averages, risk)

    def all_reduce(self, axis_name: str) -> SetPass:
        """Merges the states of all devices along a mesh axis, inside `shard_map`."""
        layers = {name: x.all_reduce(axis_name) for name, x in self.layers.items()}
        risk = None if self.risk is None else self.risk.all_reduce(axis_name)
        return SetPass(layers, self.averages.all_reduce(axis_name), risk)


@dataclasses.dataclass(frozen=True, eq=False)
class Passes:
    """The passes over the batches of one network.

    Attributes:
        forward: (variables, raw images [n, h, w, c]) -> outputs [n, M] and the features
            of each layer [n, d], of which `LAST` must be one, in evaluation mode.
        classifier: variables -> weights W [K, d] and bias b [K] of the last layer, or
            None: then what needs them is left out.
        loss: (variables, outputs [n, M], labels [n], weights [n]) -> loss of each
            example [n]; those of weight 0 count for no other.
        num_classes: number of classes K.
        scores: outputs [n, M] -> scores [n, K], of which the largest is the decision.
        temperature: variables -> number by which the scores are divided before the
            softmax that makes them probabilities.
        moving: variables -> options of the loss that change in the course of a run, at
            their values; {} if none does.
        mistakes: what to measure of the scores; its class tree, if it has one, is also
            that of the collapse of superclasses.
        geometry: Gram matrix of the centred class means [K, K] in theory, as
            regularisation vanishes.
        scatter: also keep the d x d within-class scatter of the last layer, for the
            metrics that need all of it (VCI).
        gram: the Gram matrix of the class means of the last layer is kept for at most
            so many classes; see `ncjax.collapse.relative_gram`.
        target: what the labels are.
        risk: whether to measure the Jensen gap (`ncjax.evaluation.risk`), for labels
            that are classes and a loss of each example that depends on no other.
        convention: the convention under which metrics of collapse are computed.
        frame: (variables, moments of the last layer) -> arrays of a frame of a movie,
            as of `ncjax.evaluation.sample.make_frame`; None: no movie.
    """

    forward: Forward
    classifier: PerhapsClassifier
    loss: Loss
    num_classes: int
    scores: Callable[[jax.Array], jax.Array] = lambda outputs: outputs
    temperature: Callable[[Variables], Any] = lambda variables: 1.0
    moving: Callable[[Variables], dict[str, jax.Array]] = lambda variables: {}
    mistakes: Mistakes = Mistakes()  # noqa: RUF009
    geometry: np.ndarray | None = None
    scatter: bool = False
    gram: int = 0
    target: Target = CLASSES
    risk: bool = False
    convention: Convention = DEFAULT
    frame: Callable[[Variables, ClassMoments], dict[str, jax.Array]] | None = None

    @property
    def brief(self) -> Mistakes:
        """What is asked of the scores on the training set: errors and severity alone.

        The training set is large, and a network makes few mistakes on it in the end.
        """
        return dataclasses.replace(
            self.mistakes,
            top=(1,),
            calibration=False,
            crm=False,
            confusion=False,
            order=False,
            specific=0.0,
        )

    def batch(
        self,
        asked: Mistakes,
        variables: Variables,
        images: Any,
        labels: jax.Array,
        weights: jax.Array,
    ) -> Batch:
        """What one forward pass leaves of a batch.

        Args:
            asked: what to average of the scores.
            variables: variables of the network.
            images: raw images [n, h, w, c], or whatever `forward` takes: arrays whose
                first axis is n.
            labels: label of each example [n, ...], such as its class in 0..K-1.
            weights: weight of each example [n]; 0 leaves it out.
        """
        outputs, features = self.forward(variables, images)
        outputs = outputs.astype(jnp.float32)
        scores, target = self.scores(outputs), self.target
        losses = self.loss(variables, outputs, labels, weights)
        values = {
            **target.values(scores, labels),
            "loss": losses,
            target.error_key: target.error(scores, labels),
        }
        mistakes = {}
        if target.ranks:
            probable = tempered(scores, self.temperature(variables))
            mistakes = asked.values(probable, labels)
        averages = Averages.of(mistakes | values, weights)
        decisions = target.decide(scores)
        if asked.confusion:
            table = confusion(decisions, labels, self.num_classes, weights)
            averages = Averages(averages.total, averages.sums | {"confusion": table})
        batch = Batch(features, labels, weights, decisions, averages)
        return batch._replace(said=(outputs, losses)) if self.risk else batch

    def second(self, asked: Mistakes, variables: Variables) -> Visit:
        """What the second pass does with a batch of images."""
        return lambda state, *batch: (
            state.update(self.batch(asked, variables, *batch)),
            None,
        )

    def empty_moments(self, variables: Variables, images: Any) -> Moments:
        """Moments of no features, for each layer of a network that takes `images`."""
        _, layers = jax.eval_shape(self.forward, variables, _first(images))
        return {
            layer: self.target.moments(
                self.num_classes,
                features.shape[1],
                scatter="pooled" if self.scatter and layer == LAST else "none",
                largest_norm=True,
            )
            for layer, features in layers.items()
        }

    def empty_risk(self, variables: Variables, images: Any) -> Risk | None:
        """Outputs and losses of no examples; None where they are not measured."""
        if not self.risk:
            return None
        outputs, _ = jax.eval_shape(self.forward, variables, _first(images))
        return Risk.empty(self.num_classes, outputs.shape[1])

    def empty(
        self, variables: Variables, images: Any, moments: Moments
    ) -> tuple[SetPass, ...]:
        """Second passes over the training and the test set, without examples yet."""
        label = self.target.example(self.num_classes)
        weight = jax.ShapeDtypeStruct((1,), jnp.float32)
        batches = [
            jax.eval_shape(
                partial(self.batch, asked), variables, _first(images), label, weight
            )
            for asked in (self.brief, self.mistakes)
        ]
        about = self.mistakes.hierarchy, self.convention

        given: dict[str, Any] = {
            "second": self.target.second,
            "risk": self.empty_risk(variables, images),
        }

        def make(moments, classifier):
            return tuple(
                SetPass.empty(
                    *(moments, b.averages, *about),
                    training=training,
                    classifier=classifier,
                    **given,
                )
                for b, training in zip(batches, (True, False), strict=True)
            )

        return in_turn(make)(moments, self.classifier(variables)[0])

    def compute(
        self, variables: Variables, moments: Moments, train: SetPass, test: SetPass
    ) -> dict[str, jax.Array]:
        """All metrics of a network, by the names under which a run logs them.

        Args:
            variables: variables of the network.
            moments: moments of the training features of each layer.
            train: the second pass over the training set.
            test: the second pass over the test set.
        """
        weights, bias = self.classifier(variables)
        tree = self.mistakes.hierarchy
        found: dict[str, jax.Array] = {}
        for layer, m in moments.items():
            last = layer == LAST
            prefix = "" if last else f"layers/{layer}/"
            given = (weights, bias) if last else ()
            sets = train.layers[layer], test.layers[layer]
            options = {**self.target.about(sets[0]), "convention": self.convention}
            metrics = dict(self.target.metrics(m, *given, **options))
            if last and tree is not None:
                found |= _of_tree(tree, m, train.layers[LAST], weights)
            if last and self.geometry is not None:
                target = jnp.asarray(self.geometry, jnp.float32)
                metrics["gram_to_limit"] = collapse.gram_distance(m, target)
            if last and isinstance(m, ClassMoments) and self.num_classes <= self.gram:
                metrics["gram"] = collapse.relative_gram(m)
            named = {f"nc/{name}": value for name, value in metrics.items()}
            named |= self.target.of_sets(m, *sets, self.convention)
            found |= {f"{prefix}{name}": value for name, value in named.items()}
        for split, state in (("train", train), ("test", test)):
            means = self.mistakes.summary(state.averages.compute())
            if state.risk is not None:
                loss, by_class = partial(self.loss, variables), self.mistakes.confusion
                means |= state.risk.metrics(loss, by_class)
            found |= {f"{split}/{name}": value for name, value in means.items()}
        moving = self.moving(variables)
        found |= {f"loss/{name}": value for name, value in moving.items()}
        if self.frame is not None:
            frame = self.frame(variables, moments[LAST])
            found |= {f"{FRAME}{name}": value for name, value in frame.items()}
        return found


def _first(images: Any) -> Any:
    """The first example of a batch."""
    return jax.tree.map(lambda x: x[:1], images)


def update_moments(moments: Moments, batch: Batch) -> Moments:
    """The moments of each layer with one more batch."""
    rows = batch.labels, batch.weights
    return {name: m.update(batch.features[name], *rows) for name, m in moments.items()}


def update_risk(risk: Risk | None, batch: Batch) -> Risk | None:
    """Outputs and losses with those of one more batch, where it has them."""
    if risk is None or batch.said is None:
        return risk
    return risk.update(*batch.said, batch.labels, batch.weights)


def all_reduce_moments(moments: Moments) -> Moments:
    """The moments of each layer, merged over the devices, inside `shard_map`."""
    return {layer: m.all_reduce(AXIS) for layer, m in moments.items()}


def _of_tree(
    tree: Hierarchy, moments: ClassMoments, train: SecondPass, weights: jax.Array | None
) -> dict[str, jax.Array]:
    """Metrics of the last layer that a class tree allows."""
    found, means = collapse.tree_metrics(moments, tree), train.compute()
    named = {"nc/gram_to_tree": found.pop("gram")}
    named |= {f"tree/{name}": value for name, value in found.items()}
    for level in train.levels:
        variance = means[f"{level.name}/within_variance"]
        metrics = collapse.level_metrics(level, moments, variance, weights)
        metrics["nc4"] = means[f"{level.name}/nc4"]
        named |= {f"tree/{level.name}/{name}": v for name, v in metrics.items()}
    return named
