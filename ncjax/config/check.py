"""Checks a configuration once, before any data are read and anything compiles."""

from __future__ import annotations

import math
from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from ncjax.config import binding
from ncjax.config.fields import (
    COMPUTE_DTYPES,
    RANGES,
    SECTIONS,
    Choice,
    choice,
    default,
)
from ncjax.config.probing import check_probes
from ncjax.data.augment import AUGMENTATIONS
from ncjax.hierarchy import BUILTIN
from ncjax.optimizers import SCHEDULES
from ncjax.options import ConfigError, choose, flat


class ValidConfig(FrozenConfigDict):
    """A configuration that `validate` has passed; it can no longer be changed."""


def validate(config: ConfigDict) -> ValidConfig:
    """Checks everything that can be known without the data and without compiling.

    Returns:
        The same configuration, frozen.  A configuration that was returned by this
        function is not checked a second time.

    Raises:
        ConfigError: naming the field, what it is, what is allowed.
    """
    if isinstance(config, ValidConfig):
        return config
    _check_fields(config.to_dict(), default().to_dict())
    _check_ranges(flat(config.to_dict()))
    choose("compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    choose("optimizer.schedule", config.optimizer.schedule, SCHEDULES)
    choose("data.augment", config.data.augment, AUGMENTATIONS)
    choose("data.placement", config.data.placement, ("auto", "device", "stream"))
    choose("eval.layers", config.eval.layers, ("last", "all"))
    choose("eval.pool", config.eval.pool, ("mean", "flatten"))
    choose("hierarchy.name", config.hierarchy.name, ("dataset", "none", *BUILTIN))
    for name, section in SECTIONS.items():
        choose(f"{name}.name", config[name].name, section.names)
    choices = {name: choice(config, name) for name in SECTIONS}
    for chosen in choices.values():
        _check_unused(chosen)
    check_probes(config.eval.to_dict())
    try:  # the functions themselves know the ranges of their options
        binding.try_out(choices)
    except ValueError as error:
        raise ConfigError(f"The configuration is not usable: {error}") from error
    return ValidConfig(config)


def wants_smoke(preset: str) -> bool:
    """Whether a config's preset is "smoke", the run of seconds on a CPU.

    Raises:
        ConfigError: for a preset other than "" and "smoke".
    """
    if preset not in ("", "smoke"):
        raise ConfigError(f"Unknown preset {preset!r}. Available: smoke.")
    return preset == "smoke"


def _check_ranges(fields: dict[str, Any]) -> None:
    """Numbers between their bounds; `fields` are {"optimizer.momentum": 0.9, ...}."""
    for field, (low, high) in RANGES.items():
        value = fields[field]
        if not low <= value <= high:  # also refuses NaN
            raise ConfigError(
                f"config.{field} must be between {low} and {high}, got {value}."
            )
    first, count, largest = fields["seed"], fields["num_seeds"], RANGES["seed"][1]
    if first + count - 1 > largest:
        raise ConfigError(
            f"config.num_seeds = {count} from config.seed = {first} on ends at seed "
            f"{first + count - 1}; the largest is {largest}."
        )
    if not 0 < fields["optimizer.learning_rate"] < math.inf:
        raise ConfigError(
            "config.optimizer.learning_rate must be positive and finite, got "
            f"{fields['optimizer.learning_rate']}."
        )
    for epoch in fields["eval.epochs"]:
        if not isinstance(epoch, int) or not 1 <= epoch <= fields["num_epochs"]:
            raise ConfigError(
                "config.eval.epochs must hold integers between 1 and num_epochs = "
                f"{fields['num_epochs']}, got {epoch!r}."
            )


def _check_unused(chosen: Choice) -> None:
    """An option that the chosen function does not take must keep its default."""
    defaults, used = (
        default()[chosen.section],
        SECTIONS[chosen.section].used(chosen.name),
    )
    for option, value in chosen.values.items():
        if option not in used and value != defaults[option]:
            raise ConfigError(
                f"config.{chosen.section}.{option} = {value!r} has no effect: "
                f"{chosen.name!r} takes "
                f"{', '.join(sorted(used - {'name'})) or 'no options'}. "
                f"Leave it at {defaults[option]!r}."
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
