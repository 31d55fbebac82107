"""The configuration of a run: its fields, their defaults, what they may be.

`default()` has every field.  A config file changes some of them:

    from ncjax.config import default

    def get_config(preset=""):
        config = default()
        config.data.name = "mnist"
        return config

The options of losses, models, datasets and optimizers are read off the signatures of
the functions in their registries, so a new one needs no line here.  An option that the
chosen function does not take must keep its default.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from ncjax.classifiers import CLASSIFIERS, Classifier
from ncjax.data import DATASETS, select
from ncjax.data.augment import AUGMENTATIONS
from ncjax.gram import centred_gram
from ncjax.hierarchy import BUILTIN, Hierarchy
from ncjax.losses import CLASSIFIER_OF, GEOMETRY, LOSSES, OUTPUTS
from ncjax.models import MODELS
from ncjax.optimizers import OPTIMIZERS, SCHEDULES
from ncjax.options import ConfigError, all_options, choose, fill, options_of, takes

COMPUTE_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def default() -> ConfigDict:
    """All fields with their defaults, locked: Papyan's recipe, an MLP, the digits.

    The recipe: SGD with momentum 0.9, batch 128, weight decay 5e-4, 350 epochs, the
    learning rate divided by 10 after one third and two thirds, no augmentation
    (Papyan, Han & Donoho, PNAS 2020).
    """
    config = ConfigDict()
    config.seed = 0  # of initialisation and shuffling
    config.num_seeds = 1  # networks in one program: of seed, seed + 1, ...
    config.num_epochs = 350  # passes over the training set
    config.batch_size = 128  # examples per step, over all devices together
    config.compute_dtype = "float32"  # or "bfloat16"; parameters are always float32

    config.data = _options(DATASETS, also=(select,))
    config.data.name = "digits"
    config.data.augment = "none"  # or "crop_flip": random crops and mirror images
    config.data.placement = "auto"  # by size; or "device", "stream": where images lie
    config.data.device_mb = 8192  # MiB of images a device may hold; more are streamed

    config.model = _options(MODELS)
    config.model.name = "mlp"

    config.classifier = _options(CLASSIFIERS)
    config.classifier.name = "auto"  # the one that the loss is meant for

    config.loss = _options(LOSSES, also=tuple(OUTPUTS.values()))
    config.loss.name = "cross_entropy"

    config.hierarchy = ConfigDict()
    config.hierarchy.name = "dataset"  # the dataset's own tree, a built-in one, "none"
    config.hierarchy.file = ""  # a tree of yours: .json, .csv, .tsv, .newick

    config.optimizer = _options(OPTIMIZERS)
    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.05  # at the start
    config.optimizer.schedule = "step"  # or "cosine", "constant"
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 5e-4  # lambda: adds lambda * theta to the gradient

    config.eval = ConfigDict()
    config.eval.epochs = ()  # epochs after which to measure; (): log-spaced
    config.eval.num_points = 50  # at most so many log-spaced epochs
    config.eval.batch_size = 1000  # examples per forward pass, over all devices
    config.eval.buffer_mb = 4096  # MiB of features a device may hold for one pass
    config.eval.layers = "last"  # or "all": measure the output of every block
    config.eval.pool = "mean"  # or "flatten": how a feature map becomes a vector
    config.eval.scatter = False  # keep the d x d scatter too, for VCI
    config.eval.crm = False  # also decide by least expected distance in the tree
    config.eval.confusion = False  # also write [K, K]: who is taken for whom

    config.checkpoint = ConfigDict()
    config.checkpoint.every_epochs = 0  # epochs between checkpoints; 0: ten in a run
    config.checkpoint.keep = 2  # how many to keep
    return config.lock()


# Section: (registry, functions besides the chosen one whose options it holds, fields
# that belong to the section itself).
SECTIONS: dict[str, tuple[dict[str, Callable], tuple[Callable, ...], set[str]]] = {
    "data": (DATASETS, (select,), {"name", "augment", "placement", "device_mb"}),
    "model": (MODELS, (), {"name"}),
    "classifier": (CLASSIFIERS, (), {"name"}),
    "loss": (LOSSES, (), {"name"}),
    "optimizer": (OPTIMIZERS, (), {"name", "learning_rate", "schedule"}),
}

# Field: (smallest, largest) allowed value.
RANGES: dict[str, tuple[float, float]] = {
    "seed": (0, 2**31 - 1),
    "num_seeds": (1, 10**4),
    "num_epochs": (1, 10**7),
    "batch_size": (1, 10**7),
    "data.device_mb": (0, 10**7),
    "optimizer.learning_rate": (0, math.inf),
    "eval.num_points": (2, 10**6),
    "eval.batch_size": (1, 10**7),
    "eval.buffer_mb": (0, 10**7),
    "checkpoint.every_epochs": (0, 10**7),
    "checkpoint.keep": (1, 10**4),
}


def validate(config: ConfigDict) -> None:
    """Checks everything that can be known without the data and without compiling.

    Raises:
        ConfigError: naming the field, what it is, what is allowed.
    """
    _check_fields(config.to_dict(), default().to_dict())
    for field, (low, high) in RANGES.items():
        value = get(config, field)
        if not low <= value <= high:  # also refuses NaN
            raise ConfigError(
                f"config.{field} must be between {low} and {high}, got {value}."
            )
    last, largest = config.seed + config.num_seeds - 1, RANGES["seed"][1]
    if last > largest:
        raise ConfigError(
            f"config.num_seeds = {config.num_seeds} from config.seed = {config.seed} "
            f"on ends at seed {last}; the largest is {largest}."
        )
    if not 0 < config.optimizer.learning_rate < math.inf:
        raise ConfigError(
            "config.optimizer.learning_rate must be positive and finite, got "
            f"{config.optimizer.learning_rate}."
        )
    choose("compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    choose("optimizer.schedule", config.optimizer.schedule, SCHEDULES)
    choose("data.augment", config.data.augment, AUGMENTATIONS)
    choose("data.placement", config.data.placement, ("auto", "device", "stream"))
    choose("eval.layers", config.eval.layers, ("last", "all"))
    choose("eval.pool", config.eval.pool, ("mean", "flatten"))
    choose("hierarchy.name", config.hierarchy.name, ("dataset", "none", *BUILTIN))
    for section, (registry, _, _) in SECTIONS.items():
        auto = ("auto",) if section == "classifier" else ()
        choose(f"{section}.name", config[section].name, (*auto, *registry))
        _check_unused(config, section)
    for epoch in config.eval.epochs:
        if not isinstance(epoch, int) or not 1 <= epoch <= config.num_epochs:
            raise ConfigError(
                "config.eval.epochs must hold integers between 1 and num_epochs = "
                f"{config.num_epochs}, got {epoch!r}."
            )
    # The options' own ranges are known to the functions that take them.
    try:
        if not needs_hierarchy(config):  # else `bind_loss` looks, once there is a tree
            bind_loss(config, None, num_classes=2)
        bind(config, "model")(2)
        bind(config, "optimizer")(config.optimizer.learning_rate)
    except ValueError as error:
        raise ConfigError(f"The configuration is not usable: {error}") from error


def bind(config: ConfigDict, section: str) -> Callable:
    """The chosen function of a section with its options filled in."""
    function = SECTIONS[section][0][config[section].name]
    options = {name: config[section][name] for name in options_of(function)}
    return lambda *args, **kwargs: function(*args, **options, **kwargs)


def needs_hierarchy(config: ConfigDict) -> bool:
    """Whether the loss or the classifier needs a class tree."""
    functions = LOSSES[config.loss.name], CLASSIFIERS[classifier_name(config)]
    return any(takes(function, "hierarchy") for function in functions)


def classifier_name(config: ConfigDict) -> str:
    """The name of the classifier; "auto" is the one that the loss is meant for."""
    if config.classifier.name == "auto":
        return CLASSIFIER_OF.get(config.loss.name, "linear")
    return config.classifier.name


def bind_loss(
    config: ConfigDict, hierarchy: Hierarchy | None, num_classes: int
) -> tuple[Callable[[jax.Array, jax.Array], jax.Array], Classifier, np.ndarray | None]:
    """The loss with its options and tree, the classifier, and the predicted geometry.

    Returns:
        (outputs [n, M], labels [n]) -> [n]; the classifier that makes these outputs;
        the Gram matrix [K, K] of the centred class means that theory predicts for
        vanishing weight decay, or None where there is no prediction.

    Raises:
        ConfigError: for options out of range, a loss that lacks its tree, or a loss
            and a classifier that do not fit each other.
    """
    name = config.loss.name
    if needs_hierarchy(config) and hierarchy is None:
        needy = "classifier"
        if takes(LOSSES[name], "hierarchy") or config.classifier.name == "auto":
            needy = "loss"
        raise ConfigError(
            f"config.{needy}.name = {config[needy].name!r} needs a class tree, and "
            f"config.data.name = {config.data.name!r} brings none. Set "
            f"config.hierarchy.name to one of {', '.join(BUILTIN)}, or "
            "config.hierarchy.file to a tree of yours."
        )
    try:
        classifier = _bind_classifier(config, hierarchy, num_classes)
    except ValueError as error:
        raise ConfigError(f"config.classifier: {error}") from error
    try:
        loss = _on_outputs(config, classifier, hierarchy)
        _try_loss(loss, classifier)
        return loss, classifier, _geometry(config, classifier, hierarchy)
    except ValueError as error:
        raise ConfigError(f"config.loss: {error}") from error


def _bind_classifier(
    config: ConfigDict, hierarchy: Hierarchy | None, num_classes: int
) -> Classifier:
    """The classifier with its options, tree, and the outputs that the loss takes."""
    loss, name = config.loss.name, classifier_name(config)
    make = fill(CLASSIFIERS[name], config.classifier, hierarchy=hierarchy)
    if loss not in OUTPUTS:
        return make(num_classes)
    if not takes(make, "outputs"):
        raise ValueError(
            f"The loss {loss!r} takes other outputs than one score for each class, and "
            f"the classifier {name!r} has no others. Choose 'linear'."
        )
    outputs = fill(OUTPUTS[loss], config.loss, hierarchy=hierarchy)()
    return make(num_classes, outputs=outputs)


def _on_outputs(
    config: ConfigDict, classifier: Classifier, hierarchy: Hierarchy | None
) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """The loss as a function of the outputs of the classifier, not of class logits."""
    name, vectors = config.loss.name, classifier.vectors
    embedded = takes(LOSSES[name], "vectors")
    if embedded and vectors is None:
        raise ValueError(
            f"The loss {name!r} needs fixed class vectors, and the classifier "
            f"{classifier_name(config)!r} has none. Choose {CLASSIFIER_OF.get(name)!r}."
        )
    given = {"hierarchy": hierarchy, "vectors": vectors}
    loss = fill(LOSSES[name], config.loss, **given)
    if embedded or name in OUTPUTS:
        return loss
    return lambda outputs, labels: loss(classifier.scores(outputs), labels)


def _try_loss(loss: Callable, classifier: Classifier) -> None:
    """Traces the loss on the outputs of the classifier, so that it checks options."""

    def value(key: jax.Array) -> jax.Array:
        features = jnp.zeros((1, 4096))  # enough to be split between many heads
        outputs, _ = classifier.layer().init_with_output(key, features)
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
    return fill(GEOMETRY[name], config.loss, hierarchy=hierarchy)()


def select_options(config: ConfigDict) -> dict[str, Any]:
    """Options of `ncjax.data.select`, which apply to every dataset."""
    return {name: config.data[name] for name in options_of(select)}


def wants_smoke(preset: str) -> bool:
    """Whether a config's preset is "smoke", the run of seconds on a CPU.

    Raises:
        ConfigError: for a preset other than "" and "smoke".
    """
    if preset not in ("", "smoke"):
        raise ConfigError(f"Unknown preset {preset!r}. Available: smoke.")
    return preset == "smoke"


def describe() -> str:
    """The fields and their defaults, as text for `--help`."""
    lines = ["Fields (--config.FIELD=VALUE):"]
    source = inspect.getsource(default)
    for field, value, comment in re.findall(r"config\.(\S+) = (.+?)  # (.+)", source):
        lines.append(f"  {field + ' = ' + value:42} {comment}")
    for section, (registry, also, _) in SECTIONS.items():
        lines.append(f"{section}.name, and the fields of {section} that it takes:")
        for name in registry:
            lines.append(f"  {name:15} {_signature(*_functions(section, name))}")
        lines += [f"  {'any of them':15} {_signature(f)}" for f in also]
    return "\n".join(lines)


def _functions(section: str, name: str) -> list[Callable]:
    """The functions whose options a choice in a section takes."""
    more = [OUTPUTS[name]] if section == "loss" and name in OUTPUTS else []
    return [SECTIONS[section][0][name], *more]


def _signature(*functions: Callable) -> str:
    options = {k: v for f in functions for k, v in options_of(f).items()}
    return ", ".join(f"{k} = {v!r}" for k, v in options.items()) or "-"


def resolved(config: ConfigDict) -> dict[str, Any]:
    """The configuration as a plain nested dict, without the options not in use."""
    out = config.to_dict()
    for section in SECTIONS:
        used = _used(config, section)
        out[section] = {k: v for k, v in out[section].items() if k in used}
    return out


def _options(registry: Mapping[str, Callable], also: tuple = ()) -> ConfigDict:
    """A section with every option of every function, each with its default."""
    return ConfigDict(all_options((*registry.values(), *also)))


def _used(config: ConfigDict, section: str) -> set[str]:
    _, also, own = SECTIONS[section]
    chosen = config[section].name
    if section == "classifier":
        chosen = classifier_name(config)
    functions = (*_functions(section, chosen), *also)
    return own.union(*(options_of(f) for f in functions))


def _check_unused(config: ConfigDict, section: str) -> None:
    used, defaults = _used(config, section), default()[section]
    for name, value in config[section].items():
        if name not in used and value != defaults[name]:
            raise ConfigError(
                f"config.{section}.{name} = {value!r} has no effect: "
                f"{config[section].name!r} takes "
                f"{', '.join(sorted(used - {'name'})) or 'no options'}. "
                f"Leave it at {defaults[name]!r}."
            )


def _check_fields(got: dict, allowed: dict, prefix: str = "config") -> None:
    """Same fields and types as the default; an int may stand for a float."""
    for name in got.keys() | allowed.keys():
        field = f"{prefix}.{name}"
        if name not in allowed:
            raise ConfigError(
                f"Unknown field {field}. Available: {', '.join(sorted(allowed))}."
            )
        if name not in got:
            raise ConfigError(f"Missing field {field}; start from default().")
        if isinstance(allowed[name], dict):
            if not isinstance(got[name], dict):
                raise ConfigError(f"{field} must be a section, got {got[name]!r}.")
            _check_fields(got[name], allowed[name], field)
        else:
            _check_type(field, got[name], allowed[name])


def _check_type(field: str, value: Any, like: Any) -> None:
    if not _is_like(value, like):
        raise ConfigError(
            f"{field} must be of type {type(like).__name__}, got {value!r} "
            f"({type(value).__name__})."
        )
    if like and isinstance(value, tuple):
        for item in value:
            if not _is_like(item, like[0]):
                raise ConfigError(
                    f"{field} must hold values of type {type(like[0]).__name__}, got "
                    f"{value!r}."
                )


def _is_like(value: Any, like: Any) -> bool:
    """Same type; an int may stand for a float, but a bool is not an int."""
    if isinstance(value, bool) or isinstance(like, bool):
        return isinstance(value, bool) and isinstance(like, bool)
    if isinstance(like, float):
        return isinstance(value, (float, int))
    return isinstance(value, type(like))


def get(config: ConfigDict, field: str) -> Any:
    """The value of a field: `get(config, "data.name")`."""
    for part in field.split("."):
        config = config[part]
    return config
