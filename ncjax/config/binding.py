"""What the fields of a configuration name: functions with their options, data, trees.

Of a valid configuration; what comes out of this module knows no configuration any more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from ml_collections import ConfigDict

from ncjax.classifiers import CLASSIFIERS, Classifier
from ncjax.config.fields import COMPUTE_DTYPES, SECTIONS, chosen
from ncjax.data import DataError, Dataset, select
from ncjax.gram import centred_gram
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, from_nested, read
from ncjax.losses import CLASSIFIER_OF, GEOMETRY, LOSSES, OUTPUTS
from ncjax.optimizers import SCHEDULES
from ncjax.options import ConfigError, fill, options_of, takes

# Hyper-parameters that take the place of fields, {"optimizer.learning_rate": [], ...}.
Hyper = Mapping[str, Any]
Loss = Callable[[jax.Array, jax.Array], jax.Array]  # outputs [n, M], labels [n] -> [n]
BindLoss = Callable[[Hyper], Loss]
BindOptimizer = Callable[[Hyper], optax.GradientTransformation]


@dataclasses.dataclass(frozen=True, eq=False)
class Objective:
    """What a network has to learn.

    Attributes:
        loss: hyper-parameters -> loss of the outputs of the classifier; {} gives the
            loss of the configuration.
        classifier: the last layer, and what its outputs mean.
        geometry: Gram matrix [K, K] of the centred class means that theory predicts for
            vanishing weight decay; None where there is no prediction.
    """

    loss: BindLoss
    classifier: Classifier
    geometry: np.ndarray | None


def bind(config: ConfigDict, section: str, **given: Any) -> Callable:
    """The chosen function of a section with its options filled in.

    Args:
        config: the configuration.
        section: name of the section, such as "model".
        **given: further arguments to fill in; those that the function does not take
            are left out.
    """
    function = SECTIONS[section].registry[chosen(config, section)]
    return fill(function, config[section].to_dict(), **given)


def bind_model(config: ConfigDict, classifier: Classifier | int) -> nn.Module:
    """The model with its last layer: a classifier, or a linear one of M outputs."""
    return bind(config, "model")(classifier, dtype=COMPUTE_DTYPES[config.compute_dtype])


def bind_optimizer(config: ConfigDict, steps: int) -> BindOptimizer:
    """The optimizer with its options and its schedule, as a function of the hyper.

    Args:
        config: the configuration.
        steps: number of steps in an epoch.
    """
    values, num_epochs = config.optimizer.to_dict(), config.num_epochs
    optimizer = SECTIONS["optimizer"].registry[values["name"]]
    schedule = SCHEDULES[values["schedule"]]

    def bound(hyper: Hyper) -> optax.GradientTransformation:
        now = values | _of_section(hyper, "optimizer")
        rate = schedule(now["learning_rate"], num_epochs, steps)
        return fill(optimizer, now)(rate)

    return bound


def bind_objective(
    config: ConfigDict, hierarchy: Hierarchy | None, num_classes: int
) -> Objective:
    """The loss with its options and tree, the classifier, and the predicted geometry.

    Raises:
        ConfigError: for options out of range, a loss that lacks its tree, or a loss
            and a classifier that do not fit each other.
    """
    _check_tree(config, hierarchy)
    try:
        classifier = _bind_classifier(config, hierarchy, num_classes)
    except ValueError as error:
        raise ConfigError(f"config.classifier: {error}") from error
    try:
        loss = _bind_loss(config, classifier, hierarchy)
        _try_loss(loss({}), classifier)
        geometry = _geometry(config, classifier, hierarchy)
    except ValueError as error:
        raise ConfigError(f"config.loss: {error}") from error
    return Objective(loss, classifier, geometry)


def needs_hierarchy(config: ConfigDict) -> bool:
    """Whether the loss or the classifier needs a class tree."""
    functions = LOSSES[config.loss.name], CLASSIFIERS[chosen(config, "classifier")]
    return any(takes(function, "hierarchy") for function in functions)


def try_out(config: ConfigDict) -> None:
    """Binds everything that needs no data, so that bad options are refused at once.

    Raises:
        ValueError: for an option out of its range.
    """
    classifier: Classifier | int = 2  # a linear layer of two outputs
    if not needs_hierarchy(config):  # else the options are tried once there is a tree
        classifier = bind_objective(config, None, num_classes=2).classifier
    bind_model(config, classifier)
    bind_optimizer(config, steps=1)({})


def numeric_fields(config: ConfigDict) -> dict[str, float]:
    """Fields in which the networks of one program may differ, with their values.

    They are the learning rate and the options of the optimizer and the loss that are
    numbers with a point: JAX traces their values.
    """
    found = {"optimizer.learning_rate": config.optimizer.learning_rate}
    for name in ("optimizer", "loss"):
        function = SECTIONS[name].registry[config[name].name]
        for option, default in options_of(function).items():
            if isinstance(default, float):
                found[f"{name}.{option}"] = config[name][option]
    return found


def check_hyper(
    config: ConfigDict, hyper: Mapping[str, Sequence[float]], count: int
) -> None:
    """Checks the names and numbers of hyper-parameters in which networks differ.

    Args:
        config: a valid configuration.
        hyper: value of each network, for each field.
        count: number of networks.

    Raises:
        ConfigError: for a field in which they cannot differ, or a wrong number of
            values.
    """
    allowed = numeric_fields(config)
    for field, values in hyper.items():
        if field not in allowed:
            raise ConfigError(
                f"The networks of one program cannot differ in config.{field}. They "
                f"can in {', '.join(allowed)}."
            )
        if len(values) != count:
            raise ConfigError(
                f"config.{field} has {len(values)} values for {count} networks. Give "
                "one for each."
            )


def try_hyper(
    hyper: Hyper, loss: BindLoss, optimizer: BindOptimizer, classifier: Classifier
) -> None:
    """Binds loss and optimizer with known hyper-parameters, which checks their ranges.

    Raises:
        ConfigError: for a value out of its range.
    """
    rate = hyper.get("optimizer.learning_rate", 1.0)
    try:
        if not 0 < rate < np.inf:
            raise ValueError(
                f"optimizer.learning_rate must be positive and finite, got {rate}."
            )
        optimizer(hyper)
        if _of_section(hyper, "loss"):
            _try_loss(loss(hyper), classifier)
    except ValueError as error:
        raise ConfigError(f"A network of the program is not usable: {error}") from error


def _of_section(hyper: Hyper, section: str) -> dict[str, Any]:
    """The hyper-parameters of one section, by the names of the options."""
    start = f"{section}."
    return {k.removeprefix(start): v for k, v in hyper.items() if k.startswith(start)}


def _check_tree(config: ConfigDict, hierarchy: Hierarchy | None) -> None:
    """Raises `ConfigError` if a tree is needed and there is none."""
    if hierarchy is not None or not needs_hierarchy(config):
        return
    needy = "classifier"
    if takes(LOSSES[config.loss.name], "hierarchy") or config.classifier.name == "auto":
        needy = "loss"
    raise ConfigError(
        f"config.{needy}.name = {config[needy].name!r} needs a class tree, and "
        f"config.data.name = {config.data.name!r} brings none. Set "
        f"config.hierarchy.name to one of {', '.join(BUILTIN)}, or "
        "config.hierarchy.file to a tree of yours."
    )


def _bind_classifier(
    config: ConfigDict, hierarchy: Hierarchy | None, num_classes: int
) -> Classifier:
    """The classifier with its options, tree, and the outputs that the loss takes."""
    loss = config.loss.name
    make = bind(config, "classifier", hierarchy=hierarchy)
    if loss not in OUTPUTS:
        return make(num_classes)
    name = chosen(config, "classifier")
    if not takes(CLASSIFIERS[name], "outputs"):
        raise ValueError(
            f"The loss {loss!r} takes other outputs than one score for each class, and "
            f"the classifier {name!r} has no others. Choose 'linear'."
        )
    outputs = fill(OUTPUTS[loss], config.loss.to_dict(), hierarchy=hierarchy)()
    return make(num_classes, outputs=outputs)


def _bind_loss(
    config: ConfigDict, classifier: Classifier, hierarchy: Hierarchy | None
) -> BindLoss:
    """The loss as a function of the outputs of the classifier, not of class logits."""
    name, values = config.loss.name, config.loss.to_dict()
    function, vectors = LOSSES[name], classifier.vectors
    embedded = takes(function, "vectors")
    if embedded and vectors is None:
        raise ValueError(
            f"The loss {name!r} needs fixed class vectors, and the classifier "
            f"{chosen(config, 'classifier')!r} has none. Choose "
            f"{CLASSIFIER_OF.get(name)!r}."
        )
    on_outputs = embedded or name in OUTPUTS

    def bound(hyper: Hyper) -> Loss:
        now = values | _of_section(hyper, "loss")
        loss = fill(function, now, hierarchy=hierarchy, vectors=vectors)
        if on_outputs:
            return loss
        return lambda outputs, labels: loss(classifier.scores(outputs), labels)

    return bound


def _try_loss(loss: Loss, classifier: Classifier) -> None:
    """Traces the loss on the outputs of the classifier, so that it checks options."""

    def value(key: jax.Array) -> jax.Array:
        outputs, _ = classifier.layer().init_with_output(key, jnp.zeros((1, 64)))
        return loss(outputs, jnp.zeros((1,), jnp.int32))

    jax.eval_shape(value, jax.random.key(0))


def _geometry(
    config: ConfigDict, classifier: Classifier, hierarchy: Hierarchy | None
) -> np.ndarray | None:
    """Gram matrix of the centred class means that theory predicts [K, K], or None."""
    if classifier.vectors is not None:
        return centred_gram(classifier.vectors.gram)
    name = config.loss.name
    if name not in GEOMETRY or hierarchy is None:
        return None
    return fill(GEOMETRY[name], config.loss.to_dict(), hierarchy=hierarchy)()


def load_data(config: ConfigDict) -> Dataset:
    """The data set of a configuration, cut as it says.

    Raises:
        ConfigError: for an option out of its range.
        DataError: if the data set cannot be read.
    """
    try:
        return fill(select, config.data.to_dict())(bind(config, "data")())
    except DataError:
        raise
    except ValueError as error:
        raise ConfigError(f"config.data: {error}") from error


def load_hierarchy(config: ConfigDict, dataset: Dataset) -> Hierarchy | None:
    """The class tree of a configuration, over the classes of its data; None if none.

    Raises:
        ConfigError: if the tree cannot be read, or lacks a class of the data.
    """
    name, file = config.hierarchy.name, config.hierarchy.file
    try:
        if file:
            tree = read(file)
        elif name == "dataset" and dataset.tree is not None:
            tree = from_nested(dataset.tree)
        elif name == "dataset" and config.data.name in BUILTIN:
            tree = BUILTIN[config.data.name]()
        elif name in ("dataset", "none"):
            return None
        else:
            tree = BUILTIN[name]()
        return tree.restrict(dataset.class_names)
    except HierarchyError as error:
        source = f"file {file}" if file else name
        raise ConfigError(
            f"The class tree of config.hierarchy ({source}) does not fit the data set "
            f"{dataset.name}: {error}"
        ) from error
