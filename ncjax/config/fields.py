"""The fields of a configuration with their defaults, and where options come from.

Options are read off the signatures of the functions in the registries
(`ncjax.options`), so a new function needs no line here.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from ncjax.classifiers import CLASSIFIERS
from ncjax.data import DATASETS, select
from ncjax.losses import CLASSIFIER_OF, LOSSES, MOVING, OUTPUTS, REGULARISERS
from ncjax.models import MODELS
from ncjax.optimizers import OPTIMIZERS
from ncjax.options import all_options, choose, fill, takes
from ncjax.probes import PROBES

# Values that take the place of fields: {"optimizer.learning_rate": [], ...}.
Hyper = Mapping[str, Any]

# What a step does whose loss or gradients are not finite.
ON_NONFINITE = ("stop", "skip")
COMPUTE_DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def default() -> ConfigDict:
    """All fields with their defaults, locked: what `python -m ncjax.main` trains.

    An MLP 128-128-64 on the digits that collapses within half a minute: SGD with
    momentum 0.9 along a cosine, 400 epochs, batch 128, and ten to twenty times the
    usual weight decay, since 5e-4 leaves NC1 far from 0 on so few data.  The recipes of
    papers are in `ncjax.config.recipes`.

    Example:
        >>> import ncjax
        >>> config = ncjax.default()
        >>> config.loss.name = "mse"
        >>> config.model.widths = (64, 64)
        >>> config.optimizer.momentum
        0.9
    """
    config = ConfigDict()
    config.seed = 0  # seed of initialisation and shuffling
    config.num_seeds = 1  # networks in one program, with seeds seed, seed + 1, ...
    config.num_epochs = 400  # passes over the training set
    config.batch_size = 128  # examples per step, over all devices together
    config.on_nonfinite = "stop"  # or "skip": steps with no finite loss and gradients
    config.max_skipped = 0.1  # share of an epoch's steps; the run stops at more skipped
    config.init_scale = 1.0  # factor on the initial kernels of every layer
    config.compute_dtype = "float32"  # or "bfloat16"; parameters are always float32

    for section in SECTIONS:
        config[section] = ConfigDict(section_options(section))

    config.data.name = "digits"
    config.data.augment = "none"  # or "crop_flip": random crops and mirror images
    config.data.placement = "auto"  # by size; or "device", "stream": where images lie
    config.data.device_mb = 8192  # MiB of images a device may hold; more are streamed

    config.model.name = "mlp"

    config.classifier.name = "auto"  # the one that the loss is meant for, or a name

    config.loss.name = "cross_entropy"
    config.loss.update(dict.fromkeys(REGULARISERS, 0.0))

    config.hierarchy = ConfigDict()
    config.hierarchy.name = "dataset"  # the dataset's own tree, a built-in one, "none"
    config.hierarchy.file = ""  # a tree of yours: .json, .csv, .newick, .txt, ...

    config.optimizer.name = "sgd"
    config.optimizer.learning_rate = 0.05  # learning rate at the start
    config.optimizer.schedule = "cosine"  # or "step", "constant"
    config.optimizer.momentum = 0.9
    config.optimizer.weight_decay = 1e-2  # lambda: adds lambda * theta to the gradient
    config.optimizer.head = ""  # optimizer of the last layer; "": that of the others
    config.optimizer.head_learning_rate = 0.0  # of the last layer; 0: as others
    config.optimizer.head_weight_decay = -1.0  # of the last layer; -1: as others

    _on_the_way(config)
    return config.lock()


def _on_the_way(config: ConfigDict) -> None:
    """Adds the fields of what is measured and kept while a run goes on."""
    config.eval = ConfigDict(all_options(PROBES.values()))
    config.eval.epochs = ()  # epochs after which to measure; (): log-spaced
    config.eval.num_points = 50  # largest number of log-spaced epochs
    config.eval.batch_size = 1000  # examples per forward pass, over all devices
    config.eval.buffer_mb = 4096  # MiB of features a device may hold for one pass
    config.eval.layers = "last"  # or "all": measure the output of every block
    config.eval.pool = "mean"  # or "flatten": how a feature map becomes a vector
    config.eval.scatter = False  # keep the d x d scatter too, for VCI
    config.eval.crm = False  # also decide by least expected distance in the tree
    config.eval.order = False  # also compare the order of all classes with the tree's
    config.eval.specific = 0.0  # least probability of nodes to decide for; 0: none
    config.eval.confusion = False  # also write [K, K]: who is taken for whom
    config.eval.movie = False  # also keep a projected sample, for `ncjax movie`
    config.eval.gram = 32  # most classes for which to write [K, K]: Gram of the means
    config.eval.probes = ()  # names of further measurements, with options of their own

    config.checkpoint = ConfigDict()
    config.checkpoint.every_epochs = 0  # epochs between checkpoints; 0: ten in a run
    config.checkpoint.keep = 2  # number of checkpoints to keep
    config.checkpoint.max_share = 0.1  # of the time; more are left out, 1: none


# The sections whose field `name` chooses a function, with the functions by name.
SECTIONS: dict[str, Mapping[str, Callable]] = {
    "data": DATASETS,
    "model": MODELS,
    "classifier": CLASSIFIERS,
    "loss": LOSSES,
    "optimizer": OPTIMIZERS,
}


def names(section: str) -> tuple[str, ...]:
    """What the field `name` of a section may be."""
    auto = ("auto",) if section == "classifier" else ()
    return (*auto, *SECTIONS[section])


def functions(section: str, name: str) -> list[Callable]:
    """The functions whose options have an effect with a choice of a section."""
    found = [SECTIONS[section][name]]
    if section == "data":
        found.append(select)
    if section == "loss":
        found += [of[name] for of in (OUTPUTS, MOVING) if name in of]
    return found


def chosen_functions(config: ConfigDict, section: str) -> list[Callable]:
    """The functions whose options have an effect with what a section chooses."""
    chosen = [choice(config, section).name]
    if section == "optimizer" and config.optimizer.head:
        chosen.append(config.optimizer.head)
    return [function for name in chosen for function in functions(section, name)]


def section_options(section: str) -> dict[str, Any]:
    """The options of all functions of a section, with their defaults."""
    return all_options(
        f for name in SECTIONS[section] for f in functions(section, name)
    )


@dataclasses.dataclass(frozen=True)
class Choice:
    """What a section of a configuration chooses."""

    section: str
    name: str  # of the function in its registry, never "auto"
    function: Callable
    values: Mapping[str, Any]  # of all fields of the section, by name

    def now(self, hyper: Hyper) -> dict[str, Any]:
        """The values, with hyper-parameters in the place of some of them."""
        fields = {option: f"{self.section}.{option}" for option in self.values}
        return {o: hyper.get(fields[o], value) for o, value in self.values.items()}

    def bind(self, hyper: Hyper | None = None, **given: Any) -> Callable:
        """The function with its options, and what it takes of `given`, filled in.

        Hyper-parameters take the place of fields.
        """
        return fill(self.function, self.now(hyper or {}), **given)

    def requires(self, parameter: str) -> bool:
        """Whether the function has such a parameter, and no default for it."""
        parameters = inspect.signature(self.function).parameters
        found = parameters.get(parameter)
        return found is not None and found.default is found.empty

    def takes(self, parameter: str) -> bool:
        """Whether the function has a parameter of this name, such as `hierarchy`."""
        return takes(self.function, parameter)


def choice(config: ConfigDict, section: str) -> Choice:
    """What a section of a configuration chooses.

    Raises:
        ConfigError: for a name that the registry of the section does not have.
    """
    values = config[section].to_dict()
    name = values["name"]
    choose(f"config.{section}.name", name, names(section))
    if name == "auto":
        name = CLASSIFIER_OF.get(config.loss.name, "linear")
    return Choice(section, name, SECTIONS[section][name], values)


def unused(config: ConfigDict) -> dict[str, set[str]]:
    """Section -> its options that have no effect with what is chosen."""
    found = {}
    for section in SECTIONS:
        used = all_options(chosen_functions(config, section))
        found[section] = section_options(section).keys() - used.keys()
    chosen = (PROBES[name] for name in config.eval.probes if name in PROBES)
    found["eval"] = all_options(PROBES.values()).keys() - all_options(chosen).keys()
    return found


def resolved(config: ConfigDict) -> dict[str, Any]:
    """The configuration as a plain nested dict, without the options not in use."""
    plain = config.to_dict()
    for section, options in unused(config).items():
        plain[section] = {k: v for k, v in plain[section].items() if k not in options}
    if config.on_nonfinite == "stop":  # older runs and sweeps have neither field
        del plain["on_nonfinite"], plain["max_skipped"]
    for name in REGULARISERS.keys() - {"cpcc"}:  # nor those but this one
        if not plain["loss"][name]:
            del plain["loss"][name]
    return plain


def describe() -> str:
    """The fields with their defaults and comments, and the options of every choice."""
    lines = ["Fields (--config.FIELD=VALUE):"]
    source = inspect.getsource(default) + inspect.getsource(_on_the_way)
    for field, value, comment in re.findall(r"config\.(\S+) = (.+?)  # (.+)", source):
        lines.append(f"  {field + ' = ' + value:42} {comment}")
    for name, regulariser in REGULARISERS.items():
        lines.append(f"  {f'loss.{name} = 0.0':42} weight of {regulariser.sentence}")
    for name, registry in SECTIONS.items():
        lines.append(f"{name}.name, and the fields of {name} that it takes:")
        for chosen in registry:
            own = [f for f in functions(name, chosen) if f is not select]
            lines.append(f"  {chosen:15} {_options(own)}")
        if name == "data":
            lines.append(f"  {'any of them':15} {_options([select])}")
    lines.append("eval.probes, and the fields of eval that they take:")
    lines += [f"  {name:17} {_options([probe])}" for name, probe in PROBES.items()]
    return "\n".join(lines)


def _options(of: list[Callable]) -> str:
    options = all_options(of)
    return ", ".join(f"{k} = {v!r}" for k, v in options.items()) or "-"
