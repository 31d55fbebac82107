"""What the fields of a configuration name: functions with their options, data, trees.

Of a valid configuration; what comes out of this module knows no configuration any more.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax.classifiers import OF_DATA, Classifier, Setting
from ncjax.config.fields import Choice, Hyper, choice, functions
from ncjax.config.optimizer import BindOptimizer, bind_optimizer, numeric_options
from ncjax.config.regularisers import (
    Penalty,
    bind_regularisers,
    check_weights,
    no_tree,
    of_tree,
    regularised,
)
from ncjax.config.targets import check_classifier
from ncjax.data import Dataset, select
from ncjax.data.dataset import check_share
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, from_nested, read
from ncjax.hierarchy.files import CUT
from ncjax.losses import (
    CLASSIFIER_OF,
    GEOMETRY,
    MOVING,
    OUTPUTS,
    REGULARISERS,
    targets_of,
)
from ncjax.losses.moving import Moving
from ncjax.losses.predicted import frame_limit
from ncjax.options import (
    ConfigError,
    InputError,
    all_options,
    check_value,
    fill,
)
from ncjax.probes import PROBES, Probe, Subject
from ncjax.targets import DEFAULT as CLASS, Target, get_target

# outputs [n, M], labels [n] -> [n]; a third argument [n] says which examples count, to
# losses that compare the examples of a batch.
Loss = Callable[..., jax.Array]
BindLoss = Callable[[Hyper], Loss]
BindMoving = Callable[[Hyper], Moving | None]
RANDOM_LABELS = "data.random_labels"


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """What a network has to learn.

    Attributes:
        loss: hyper-parameters -> loss of the outputs of the classifier; {} gives the
            loss of the configuration.
        classifier: the last layer, and what its outputs mean.
        geometry: Gram matrix [K, K] of the centred class means that theory predicts for
            vanishing weight decay; None where there is no prediction, as with `cpcc`.
        moving: hyper-parameters -> how an option of the loss changes in the course of a
            run; None where none does.
        label: the labels of one example [1, ...], as the loss takes them.
        regulariser: hyper-parameters -> what a batch adds to its mean loss; None where
            that is nothing.
    """

    loss: BindLoss
    classifier: Classifier
    geometry: np.ndarray | None
    label: np.ndarray
    moving: BindMoving = lambda hyper: None
    regulariser: Callable[[Hyper], Penalty | None] = lambda hyper: None


def bind_probes(asked: ConfigDict, subject: Subject) -> dict[str, Probe]:
    """The probes that `config.eval` asks for, with their options filled in.

    Raises:
        ConfigError: for an option out of its range, or a probe that these networks or
            data do not allow.
    """
    values = asked.to_dict()
    with named("config.eval"):
        return {n: fill(PROBES[n], values)(subject) for n in values["probes"]}


def bind_objective(
    loss: Choice,
    classifier: Choice,
    hierarchy: Hierarchy | None,
    num_classes: int,
    setting: Setting | None = None,
    target: Target | None = None,
) -> Objective:
    """The loss with its options and tree, the classifier, and the predicted geometry.

    Args:
        loss: the loss.
        classifier: the last layer.
        hierarchy: the class tree, or None.
        num_classes: number of classes K, or of the outputs that the labels have.
        setting: what a classifier may know of its run; None where there is none.
        target: what examples are labelled with; None: what the loss is for.

    Raises:
        ConfigError: for options out of range, a loss that lacks its tree, or a loss
            and a classifier that do not fit each other.
    """
    if hierarchy is None and needs_hierarchy(loss, classifier):
        raise no_tree(_needy(loss, classifier))
    labelled = target or get_target(targets_of(loss.name)[0])
    with named("config.classifier"):
        check_classifier(labelled, classifier.name)
        given = {"hierarchy": hierarchy, "setting": setting}
        layer = _bind_classifier(loss, classifier, num_classes, given)
    with named("config.loss"):
        moving = bind_moving(loss, hierarchy)
        given = {"hierarchy": hierarchy, "tasks": labelled.sizes}
        bound = _bind_loss(loss, classifier, layer, given, moving)
        moves = moving({})
        label = labelled.example(num_classes)
        _try_loss(bound({}), layer, label)
        geometry, learned = None, moves is not None and moves.at is None
        unknown = learned or regularised(loss) or layer.assign_epochs
        gram = layer.gram if layer.vectors is None else layer.vectors.gram
        if gram is not None:
            geometry = frame_limit(loss.name, gram)
        elif loss.name in GEOMETRY and hierarchy and not unknown:
            geometry = fill(GEOMETRY[loss.name], loss.values, hierarchy=hierarchy)()
        regulariser = bind_regularisers(loss, hierarchy)
        regulariser({})
        return Objective(bound, layer, geometry, label, moving, regulariser)


@contextmanager
def named(part: str) -> Generator[None]:
    """Names the part of a configuration that a function refuses, as `ConfigError`."""
    try:
        yield
    except InputError:  # says itself what it is about
        raise
    except ValueError as error:
        raise ConfigError(f"{part}: {error}") from error


def needs_hierarchy(loss: Choice, classifier: Choice) -> bool:
    """Whether the loss, its regulariser or the classifier needs a class tree."""
    by_loss = loss.requires("hierarchy") or any(map(of_tree, regularised(loss)))
    return by_loss or classifier.requires("hierarchy")


def try_out(config: ConfigDict) -> None:
    """Binds everything that needs no data: `ValueError` for an option out of range."""
    check_init_scale(config.init_scale)
    check_weights(config)
    with named("config.data"):
        check_share(config.data.random_labels)
    loss, classifier = choice(config, "loss"), choice(config, "classifier")
    bind_moving(loss, None)({})
    layer: Classifier | int = 2  # a linear layer of two outputs
    of_data = needs_hierarchy(loss, classifier) or classifier.takes("hierarchy")
    of_data |= classifier.name in OF_DATA or loss.takes("tasks")
    if not of_data:  # else once there are classes, and perhaps a tree
        layer = bind_objective(loss, classifier, None, num_classes=2).classifier
    choice(config, "model").bind()(layer)
    bind_optimizer(choice(config, "optimizer"), num_epochs=1, steps=1)({})


def numeric_fields(config: ConfigDict) -> dict[str, float]:
    """Fields in which the networks of one program may differ, with their values.

    They are the options of the chosen optimizer and loss that are numbers with a point,
    the learning rates, the weights of regularisers, and the scale of the initial
    kernels: JAX traces their values.
    And the share of random labels: each network gets labels of its own.
    """
    optimizer, loss = choice(config, "optimizer"), choice(config, "loss")
    usual = all_options(functions("loss", loss.name)).items()
    numeric = [
        (optimizer, numeric_options(optimizer)),
        (loss, {option for option, value in usual if isinstance(value, float)}),
    ]
    found = {"init_scale": config.init_scale, RANDOM_LABELS: config.data.random_labels}
    found |= {f"loss.{name}": config.loss[name] for name in REGULARISERS}
    return found | {
        f"{one.section}.{option}": value
        for one, options in numeric
        for option, value in one.values.items()
        if option in options
    }


def check_init_scale(scale: float) -> None:
    """Raises `ValueError` for a factor on the initial kernels that is none."""
    must_be = "positive and finite"
    check_value("init_scale", scale, lambda s: 0 < s < math.inf, must_be)


def try_hyper(hyper: Hyper, objective: Objective, optimizer: BindOptimizer) -> None:
    """Binds loss and optimizer with known hyper-parameters: `ConfigError` if bad."""
    with named("A network of the program is not usable"):
        check_init_scale(hyper.get("init_scale", 1.0))
        check_share(hyper.get(RANDOM_LABELS, 0.0))
        optimizer(hyper)
        if any(field.startswith("loss.") for field in hyper):
            _try_loss(objective.loss(hyper), objective.classifier, objective.label)
            objective.regulariser(hyper)


def _needy(loss: Choice, classifier: Choice) -> str:
    """The field that makes a class tree necessary, with its value."""
    if not loss.requires("hierarchy") and not classifier.requires("hierarchy"):
        name = next(filter(of_tree, regularised(loss)))
        return f"loss.{name} = {loss.values[name]}"
    by_loss = loss.requires("hierarchy") or classifier.values["name"] == "auto"
    needy = loss if by_loss else classifier
    return f"{needy.section}.name = {needy.name!r}"


def _bind_classifier(
    loss: Choice, classifier: Choice, num_classes: int, given: dict[str, Any]
) -> Classifier:
    """The classifier with its options, tree, and the outputs that the loss takes."""
    make = classifier.bind(**given)
    if loss.name not in OUTPUTS:
        return make(num_classes)
    if not classifier.takes("outputs"):
        raise ValueError(
            f"The loss {loss.name!r} takes other outputs than one score for each "
            f"class, and the classifier {classifier.name!r} has no others. Choose "
            "'linear'."
        )
    known = {"hierarchy": given["hierarchy"], "num_classes": num_classes}
    with named("config.loss"):
        outputs = fill(OUTPUTS[loss.name], loss.values, **known)()
    return make(num_classes, outputs=outputs)


def bind_moving(loss: Choice, hierarchy: Hierarchy | None) -> BindMoving:
    """Hyper-parameters -> how an option of the loss changes in the course of a run."""

    def bound(hyper: Hyper) -> Moving | None:
        if loss.name not in MOVING:
            return None
        return fill(MOVING[loss.name], loss.now(hyper), hierarchy=hierarchy)()

    return bound


def _bind_loss(
    loss: Choice,
    classifier: Choice,
    layer: Classifier,
    given: dict[str, Any],
    moving: BindMoving,
) -> BindLoss:
    """The loss as a function of the outputs of the classifier, not of class logits."""
    if loss.takes("vectors") and layer.assign_epochs:
        raise ValueError(
            f"The loss {loss.name!r} needs class vectors that stay, and with "
            "config.classifier.assign = 'linear' they change places. Choose another "
            "assignment, or a loss of class logits."
        )
    if loss.takes("vectors") and layer.vectors is None:
        raise ValueError(
            f"The loss {loss.name!r} needs fixed class vectors, and the classifier "
            f"{classifier.name!r} has none. Choose {CLASSIFIER_OF.get(loss.name)!r}."
        )
    given = given | {"vectors": layer.vectors}
    on_outputs = loss.takes("vectors") or loss.name in OUTPUTS
    compares = loss.takes("present")

    def bound(hyper: Hyper) -> Loss:
        function = loss.bind(hyper, **given)
        moves, factor = moving(hyper), None
        if moves is not None and moves.factor is not None:
            factor = moves.factor(loss.now(hyper)[moves.option])

        def losses(
            outputs: jax.Array, labels: jax.Array, present: jax.Array | None = None
        ) -> jax.Array:
            taken = outputs if on_outputs else layer.scores(outputs)
            which = {"present": present} if compares else {}
            value = function(taken, labels, **which)
            return value if factor is None else factor * value

        return losses

    return bound


def _try_loss(loss: Loss, classifier: Classifier, label: np.ndarray) -> None:
    """Traces the loss on the outputs of the classifier, so that it checks options."""
    width, vectors = 2**16, classifier.vectors  # enough for many heads and nodes
    if vectors is not None and vectors.turn is not None:  # which is made
        width = vectors.rows.shape[1]

    def value(key: jax.Array) -> jax.Array:
        features = jnp.zeros((1, width))  # not made
        outputs, _ = classifier.layer().init_with_output(key, features)
        return loss(outputs, jnp.asarray(label))

    jax.eval_shape(value, jax.random.key(0))


def load_data(config: ConfigDict) -> Dataset:
    """The data set of a configuration, cut as it says.

    Raises:
        ConfigError: for an option out of its range.
        DataError: if the data set cannot be read.
    """
    with named("config.data"):
        data = choice(config, "data")
        return fill(select, data.values)(data.bind()())


def load_hierarchy(config: ConfigDict, dataset: Dataset) -> Hierarchy | None:
    """The class tree of a configuration, over the classes of its data; None if none.

    Raises:
        ConfigError: if the tree cannot be read, or lacks a class of the data.
    """
    name, file = config.hierarchy.name, config.hierarchy.file
    try:
        if file:
            if Path(file).suffix.lower() in CUT:
                return read(file, dataset.class_names)
            tree = read(file)
        elif name == "dataset" and dataset.target != CLASS:
            return None  # its tree is one of classes, not of levels
        elif name == "dataset" and dataset.tree is not None:
            tree = from_nested(dataset.tree)
        else:
            builtin = config.data.name if name == "dataset" else name
            if builtin not in BUILTIN:
                return None
            tree = BUILTIN[builtin]()
        return tree.restrict(dataset.class_names)
    except HierarchyError as error:
        source = f"file {file}" if file else name
        raise ConfigError(
            f"The class tree of config.hierarchy ({source}) does not fit the data set "
            f"{dataset.name}: {error}"
        ) from error
