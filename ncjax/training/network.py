"""What is trained: a model with its classifier, its loss and its optimizer."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax.classifiers import Setting
from ncjax.classifiers.spherical import unit_rows
from ncjax.cluster.members import Over, map_networks, vmap_networks
from ncjax.codes import best_margin
from ncjax.collapse.registry import crowded
from ncjax.config.binding import (
    Loss,
    bind_objective,
    load_hierarchy,
    named,
    needs_hierarchy,
)
from ncjax.config.fields import COMPUTE_DTYPES, SECTIONS, choice
from ncjax.config.optimizer import bind_optimizer, bind_weight_decay
from ncjax.config.targets import check_asked, check_target
from ncjax.data import Dataset, channel_statistics
from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.passes import LAST, Features, Passes, Variables
from ncjax.evaluation.sample import Sample, choose_sample, make_frame
from ncjax.losses.predicted import limit_values
from ncjax.models import layer_outputs
from ncjax.options import ConfigError
from ncjax.probes import Subject
from ncjax.runs.classes import Classes
from ncjax.runs.columns import MARGIN
from ncjax.targets import DEFAULT as CLASS, get_target
from ncjax.training.kept import Kept
from ncjax.training.step import TrainState, init_state, make_train_step

_LOSS = "loss"  # key of the parameters that the loss learns


class Network:
    """A network, how it learns, and what is measured of it.

    Its functions are pure and of one network; `ncjax.cluster.members` makes them
    functions of many.

    Attributes:
        model: the layers, of `ncjax.models`.
        chosen: what they are made by: a function of the registry and its options.
        objective: the loss, the classifier, and the geometry in the limit of vanishing
            regularisation.
        limit: what metrics are in that limit, by key: of losses that know a tree, and
            the best margin of the classifier if there are more classes than a simplex
            has room for.
        optimizer: hyper-parameters -> optimizer; {} gives that of the configuration.
        hierarchy: the class tree, or None.
        searched: class vectors that were searched, by name.
        dataset: what the network is for: images, classes, what examples are labelled
            with.
    """

    def __init__(
        self,
        config: ConfigDict,
        dataset: Dataset,
        folder: str | os.PathLike | None = None,
    ):
        """The network of a valid configuration, for the images and classes of its data.

        `folder` is that of its run, where class vectors that were searched are kept;
        None where there is none.

        Raises:
            ConfigError: if the loss does not fit what the examples are labelled with,
                the tree not the classes, or an option not the tree.
        """
        parts = {name: choice(config, name) for name in SECTIONS}
        check_target(parts["loss"], dataset)
        check_asked(config, dataset)
        self.dataset = dataset
        self._layers, self._pool = config.eval.layers, config.eval.pool
        self._target = get_target(dataset.target, dataset.tasks)
        self._channels = channel_statistics(dataset.train.images)
        self.hierarchy = load_hierarchy(config, dataset)
        self.chosen, self.searched = parts["model"], Kept(folder)
        setting = Setting(self._width, self.searched)
        self.objective = bind_objective(
            parts["loss"],
            parts["classifier"],
            self.hierarchy,
            dataset.num_classes,
            setting,
            self._target,
        )
        self.limit: dict[str, float] = {}
        geometry, tree = self.objective.geometry, self.hierarchy
        bent = needs_hierarchy(parts["loss"], parts["classifier"])
        if bent and geometry is not None and tree is not None:
            self.limit = limit_values(geometry, tree)
        self._loss, self._init_scale = parts["loss"], config.init_scale
        self._skips = config.on_nonfinite == "skip"
        dtype = COMPUTE_DTYPES[config.compute_dtype]
        self.model = self.chosen.bind()(self.objective.classifier, dtype=dtype)
        steps = len(dataset.train) // config.batch_size
        self._all_steps = config.num_epochs * steps
        self.optimizer = bind_optimizer(parts["optimizer"], config.num_epochs, steps)
        self._weight_decay = bind_weight_decay(parts["optimizer"])
        with named("config.model"):  # the last layer knows how wide it must be
            self._leave_room()

    def _leave_room(self) -> None:
        """Forgets a geometry that has no room, and knows the best margin instead."""
        classifier = self.objective.classifier
        # Without the optimizer, whose steps are not yet known to be any.
        images = jnp.zeros((1, *self.dataset.image_shape))
        init = partial(self.model.init, train=False)
        variables = jax.eval_shape(init, jax.random.key(0), images)
        count, width = jax.eval_shape(classifier.weights, variables)[0].shape
        if self.dataset.target != CLASS or not crowded(count, width) or width < 2:
            return
        given = classifier.vectors is not None or classifier.gram is not None
        if not given:
            self.forget_limit()
        self.limit |= {MARGIN: best_margin(count, width)[0]}

    def _width(self) -> int:
        """Width of the features of the model, before any `project`."""
        images = jnp.zeros((1, *self.dataset.image_shape))
        init = partial(self.chosen.bind()(1).init_with_output, train=False)
        (_, features), _ = jax.eval_shape(init, jax.random.key(0), images)
        return features.shape[1]

    def classes(self, most: int) -> Classes:
        """What reports are to know of the classes; the geometry of at most so many."""
        few = self.dataset.num_classes <= most
        geometry = self.objective.geometry if few else None
        names = self.dataset.class_names
        return Classes(names, self.hierarchy, self.limit, geometry)

    def forget_limit(self) -> None:
        """Leaves out the geometry that theory predicts: these networks learn others."""
        self.objective = dataclasses.replace(self.objective, geometry=None)
        self.limit = {}

    def init(self, key: jax.Array, hyper: Mapping[str, jax.Array]) -> TrainState:
        """A new network.

        Args:
            key: typed PRNG key.
            hyper: the hyper-parameters of this network that are no constants of the
                program, such as {"optimizer.learning_rate": []}; most often {}.
        """
        scale = hyper.get("init_scale", self._init_scale)
        shape, moves = self.dataset.image_shape, self.objective.moving(hyper)
        own = {}
        if moves is not None and moves.at is None:
            own[_LOSS] = {moves.option: jnp.asarray(moves.start, jnp.float32)}
        optimizer = self.optimizer(hyper)
        return init_state(self.model, optimizer, key, shape, hyper, scale, own)

    def variables(self, state: TrainState) -> dict[str, Any]:
        """What evaluation takes of a state; the "step" too, if the loss follows it."""
        moves, found = self.objective.moving({}), state.variables()
        scheduled = moves is not None and moves.at is not None
        return found | ({"step": state.step} if scheduled else {})

    def prepare(self, images: jax.Array) -> jax.Array:
        """Raw images -> normalised float32 images, the input of the model."""
        lead = tuple(range(images.ndim - 1))
        mean, std = (np.expand_dims(x, lead) for x in self._channels)
        return (images.astype(jnp.float32) - mean) / std

    def step(
        self, state: TrainState, images: jax.Array, labels: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """A training step on normalised images; see `make_train_step`."""
        variables = self.variables(state)
        moves = self.objective.moving(state.hyper)
        learns = moves is not None and moves.at is None

        def loss_of(params):
            return self._loss_now(variables | {"params": params})

        step = make_train_step(
            self.model,
            self._loss_now(variables),
            self.optimizer(state.hyper),
            scores=self.objective.classifier.scores,
            error=self._target.error,
            skip_nonfinite=self._skips,
            regulariser=self.objective.regulariser(state.hyper),
            loss_of=loss_of if learns else None,
        )
        return step(state, images, labels)

    def moving(self, variables: Variables) -> dict[str, jax.Array]:
        """Options of the loss that change in the course of the run, at their values.

        Returns:
            {"alpha": []}, or {} where all options are constants.
        """
        moves = self.objective.moving(variables.get("hyper", {}))
        if moves is None:
            return {}
        if moves.at is None:
            return dict(variables["params"][_LOSS])
        return {moves.option: moves.at(variables["step"] / self._all_steps)}

    def _loss_now(self, variables: Variables) -> Loss:
        """The loss with the hyper-parameters and the moving options of a network."""
        hyper = dict(variables.get("hyper", {}))
        now = {f"loss.{name}": x for name, x in self.moving(variables).items()}
        return self.objective.loss(hyper | now)

    def forward(
        self, variables: Variables, images: jax.Array
    ) -> tuple[jax.Array, Features]:
        """Outputs [n, M] and features [n, d] of each measured layer, of raw images.

        The network is in evaluation mode.
        """
        images, inner = self.prepare(images), {}
        variables = {k: variables[k] for k in ("params", "batch_stats")}
        if self._layers == "all":
            outputs, features, inner = layer_outputs(
                self.model, variables, images, self._pool
            )
        else:
            found: Any = self.model.apply(variables, images, train=False)
            outputs, features = found
        if self.objective.classifier.measured == "outputs":
            features = outputs
        elif self.objective.classifier.measured == "directions":
            features = unit_rows(features.astype(jnp.float32))
        return outputs, {LAST: features, **inner}

    def layers(self, variables: Variables, inputs: jax.Array) -> Features:
        """Output [n, width] of every layer by name, as of `Subject.layers`.

        The network is in evaluation mode; inputs are normalised images.
        """
        variables = {k: variables[k] for k in ("params", "batch_stats")}
        outputs, features, inner = layer_outputs(
            self.model, variables, inputs, self._pool
        )
        return {**inner, LAST: features, "outputs": outputs}

    def _widths(self) -> dict[str, int]:
        """The widths of these layers."""
        image = jnp.zeros((1, *self.dataset.image_shape))
        found = jax.eval_shape(self.layers, self.abstract().variables(), image)
        return {name: x.shape[1] for name, x in found.items()}

    @cached_property
    def predict(self) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """(variables, raw images) -> logits [n, K], features [n, d]; compiled."""

        def predict(variables, images):
            outputs, features = self.forward(variables, images)
            scores = self.objective.classifier.scores(outputs.astype(jnp.float32))
            return scores, features[LAST]

        return jax.jit(predict)

    def losses(
        self,
        variables: Variables,
        outputs: jax.Array,
        labels: jax.Array,
        weights: jax.Array | None = None,
    ) -> jax.Array:
        """The loss of each example [n], as it is for this network at this time.

        Where a loss compares the examples of a batch, those of weight 0 are not there.
        """
        there = () if weights is None else (weights > 0,)
        return self._loss_now(variables)(outputs, labels, *there)

    def temperature(self, variables: Variables) -> float | jax.Array:
        """What the loss divides logits by; 1 of a loss without temperature."""
        return self._loss.now(variables.get("hyper", {})).get("temperature", 1.0)

    def features(self, variables: Variables, images: jax.Array) -> jax.Array:
        """The features [n, d] of raw images that the classifier sees."""
        return self.forward(variables, images)[1][LAST]

    def scores(self, variables: Variables, images: jax.Array) -> jax.Array:
        """A score for each class [n, K] of raw images."""
        outputs, _ = self.forward(variables, images)
        return self.objective.classifier.scores(outputs.astype(jnp.float32))

    def subject(self) -> Subject:
        """What probes may use of this network and its data."""
        return Subject(
            features=self.features,
            scores=self.scores,
            classifier=self.objective.classifier.weights,
            weight_decay=lambda variables: self._weight_decay(
                variables.get("hyper", {})
            ),
            dataset=self.dataset,
            hierarchy=self.hierarchy,
            prepare=self.prepare,
            layers=self.layers,
            widths=self._widths,
        )

    def passes(self, asked: ConfigDict) -> Passes:
        """What to measure of this network; `asked` is `config.eval`."""
        classifier = self.objective.classifier
        return Passes(
            self.forward,
            classifier.weights,
            self.losses,
            self.dataset.num_classes,
            scores=classifier.scores,
            temperature=self.temperature,
            moving=self.moving,
            mistakes=Mistakes(
                self.hierarchy,
                crm=asked.crm,
                confusion=asked.confusion,
                order=asked.order,
                specific=asked.specific,
            ),
            geometry=self.objective.geometry,
            scatter=asked.scatter,
            gram=asked.gram,
            target=self._target,
            risk=self._target.ranks and not self._loss.takes("present"),
            frame=self._frame() if asked.movie else None,
        )

    def sample(self) -> Sample:
        """The examples of the training set that a movie watches."""
        labels, count = self.dataset.train.labels, self.dataset.num_classes
        return choose_sample(labels, count, self.hierarchy)

    def _frame(self) -> Callable[..., dict[str, jax.Array]]:
        """What a movie keeps of the network; see `make_frame`."""
        if self.dataset.target != CLASS:
            raise ConfigError(
                "config.eval.movie shows classes, and the examples of the data set "
                f"{self.dataset.name} have labels of the kind {self.dataset.target!r}. "
                "Leave it at False."
            )
        sample, classifier = self.sample(), self.objective.classifier.weights
        # From a memory map or the host: the program holds these few images.
        images = np.asarray(self.dataset.train.images[sample.rows])
        return make_frame(sample, images, self.features, classifier)

    def abstract(
        self, traced: Iterable[str] = (), sharding: jax.sharding.Sharding | None = None
    ) -> TrainState:
        """The shapes of a state.

        Args:
            traced: fields of the configuration that are hyper-parameters of the state.
                An optimizer can hold more where it does not know their values.
            sharding: where the arrays of the state are to lie; None does not say it.
        """
        hyper = {field: jax.ShapeDtypeStruct((), np.float32) for field in traced}
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding),
            self._shapes(hyper) if hyper else self._plain_shapes,
        )

    @cached_property
    def _plain_shapes(self) -> TrainState:
        return self._shapes({})

    def _shapes(self, hyper: Mapping[str, Any]) -> TrainState:
        return jax.eval_shape(self.init, jax.random.key(0), hyper)

    def feature_dims(self) -> list[int]:
        """Number of features of each measured layer."""
        image = self.dataset.train.images[:1]
        _, layers = jax.eval_shape(self.forward, self.abstract().variables(), image)
        return [features.shape[1] for features in layers.values()]

    def kept(self, width: int) -> int:
        """Numbers of a feature that a measurement keeps besides the feature itself."""
        return self._target.kept(self.dataset.num_classes, width)

    def over(self) -> Over:
        """How a function of this network becomes one of many networks."""
        params = self.abstract().params
        convolves = any(kernel.ndim == 4 for kernel in jax.tree.leaves(params))
        return map_networks if convolves else vmap_networks
