"""The configuration of an experiment: its fields, their defaults, what they may be.

`default()` has every field; a file in `configs/` changes some of them.  The options of
losses are read off the signatures of their functions, and each experiment brings its
own fields, so that a new loss or experiment needs no line here.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from ml_collections import ConfigDict

from ncjax.options import ConfigError, all_options, choose, flat, options_of
from ncjax.ufm.run.experiment import Field
from ncjax.ufm.run.experiments import EXPERIMENTS
from ncjax.ufm.run.setting import setting_of
from ncjax.ufm.tables import FITS, known_losses

COMMON: dict[str, Field] = {
    "experiment": Field("optimum", "name of the experiment"),
    "seed": Field(0, "seed of random starts"),
    "model.loss": Field("cross_entropy", "name of the loss"),
    "model.tree": Field("", 'built-in tree, or "2x2x2": children at each depth'),
    "model.num_classes": Field(0, "number K of classes; 0: that of the tree"),
    "model.per_class": Field(1, "number n of samples of each class", 0),
    "model.feature_dim": Field(0, "width d of the features; 0: as many as classes"),
    "model.c": Field(1e-3, "sqrt(n lW lH), all that the optimum depends on", 0),
    "model.ratio": Field(1.0, "lH / lW", 0),
    "model.lambda_b": Field(-1.0, "weight decay of the bias; 0: free; -1: no bias"),
    "flow.t_max": Field(1e5, "time at which the flow ends, if it has not stopped", 1),
    "flow.points": Field(61, "number of recorded times, log-spaced", 2),
    "flow.stop_gap": Field(1e-8, "duality gap, if any, at which the flow stops", 0),
    "flow.scale": Field(0.1, "size of the random start", 0),
    "grid": Field((), "values that a phase experiment goes through"),
}


def fields() -> dict[str, Field]:
    """All fields by their dotted name: common ones, options of losses, experiments'."""
    found = dict(COMMON)
    losses = known_losses()
    for name, value in all_options(losses.values()).items():
        if (field := f"model.{name}") in found:
            raise ValueError(f"A loss has the option {name!r}, but {field} is a field.")
        users = [loss for loss, f in losses.items() if name in options_of(f)]
        found[field] = Field(value, f"option of {', '.join(users)}")
    for experiment in EXPERIMENTS.values():
        found |= experiment.fields
    return found


def default() -> ConfigDict:
    """All fields with their defaults, locked."""
    config: dict[str, Any] = {}
    for name, field in fields().items():
        section, _, key = name.rpartition(".")
        (config.setdefault(section, {}) if section else config)[key] = field.default
    return ConfigDict(config).lock()


def describe() -> str:
    """The fields, their defaults and what they mean, as text for `--help`."""
    lines = ["Fields (--config.FIELD=VALUE):"]
    for name, field in fields().items():
        lines.append(f"  {f'{name} = {field.default!r}':38} {field.meaning}")
    lines.append(f"Experiments: {', '.join(EXPERIMENTS)}.")
    lines.append(f"Losses in tables, certified if convex: {', '.join(FITS)}.")
    return "\n".join(lines)


def forget_published(config: ConfigDict, given: Collection[str]) -> list[str]:
    """Drops the published numbers of a config file for another model than its own.

    Args:
        config: the configuration; `expect.*` that were not given become nan.
        given: dotted names of the fields given beside the file.

    Returns:
        The fields of the model among those given, if numbers were dropped.
    """
    changed = [f"config.{name}" for name in given if name.startswith("model.")]
    stale = [
        name
        for name, value in config.expect.items()
        if f"expect.{name}" not in given and not math.isnan(value)
    ]
    for name in stale if changed else ():
        config.expect[name] = math.nan
    return changed if stale else []


def validate(config: ConfigDict) -> None:
    """Raises `ConfigError` for a configuration that cannot be run."""
    if "experiment" not in config:
        raise ConfigError(
            "This config describes the training of a network, not an experiment on "
            "an unconstrained-features model. Run it with `ncjax train`."
        )
    choose("config.experiment", config.experiment, EXPERIMENTS)
    choose("config.model.loss", config.model.loss, known_losses())
    values = flat(config.to_dict())
    for name, field in fields().items():
        if field.above is not None and not field.above < values[name] < math.inf:
            raise ConfigError(
                f"config.{name} must be finite and more than {field.above}, got "
                f"{values[name]}."
            )
    lambda_b = config.model.lambda_b
    if lambda_b != -1 and not 0 <= lambda_b < math.inf:
        raise ConfigError(
            "config.model.lambda_b must be at least 0, or -1 for no bias, got "
            f"{lambda_b}."
        )
    if not all(isinstance(x, (int, float)) and x > 0 for x in config.grid):
        raise ConfigError(f"config.grid must hold positive numbers, got {config.grid}.")
    _check_unused(config)
    try:
        if EXPERIMENTS[config.experiment].plain_model:
            setting_of(config).problem  # noqa: B018  # it checks all that it is made of
    except ConfigError:
        raise
    except ValueError as error:
        raise ConfigError(f"config.model: {error}") from error


def _check_unused(config: ConfigDict) -> None:
    """Raises `ConfigError` for a field that loss or experiment do not take."""
    loss, name = config.model.loss, config.experiment
    taken = options_of(known_losses()[loss])
    _check_fields(
        config, all_options(known_losses().values()).keys() - taken, loss, taken
    )
    uses = EXPERIMENTS[name].uses
    if uses is not None:
        _check_fields(config, {*config.model} - {*uses}, name, uses)


def _check_fields(
    config: ConfigDict, unused: Collection[str], who: str, takes: Collection[str]
) -> None:
    """Raises `ConfigError` if an unused field of `config.model` was changed."""
    known = fields()
    for name in sorted(unused):
        value, default = config.model[name], known[f"model.{name}"].default
        if value != default:
            raise ConfigError(
                f"config.model.{name} = {value!r} has no effect: {who!r} takes "
                f"{', '.join(takes) or 'no options'}. Leave it at {default!r}."
            )
