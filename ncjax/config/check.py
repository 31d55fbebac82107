"""Checks a configuration once, before any data are read and anything compiles."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict, FrozenConfigDict

from ncjax.config.binding import named, try_out
from ncjax.config.fields import (
    COMPUTE_DTYPES,
    ON_NONFINITE,
    choice,
    chosen_functions,
    default,
    unused,
)
from ncjax.data.augment import AUGMENTATIONS
from ncjax.hierarchy import BUILTIN
from ncjax.optimizers import OPTIMIZERS, SCHEDULES
from ncjax.options import ConfigError, all_options, choose, flat, options_of, suggest
from ncjax.probes import PROBES

# Field: (smallest, largest) allowed value.
RANGES: dict[str, tuple[int, int]] = {
    "seed": (0, 2**31 - 1),
    "num_seeds": (1, 10**4),
    "num_epochs": (1, 10**7),
    "batch_size": (1, 10**7),
    "max_skipped": (0, 1),
    "data.device_mb": (0, 10**7),
    "eval.num_points": (2, 10**6),
    "eval.batch_size": (1, 10**7),
    "eval.buffer_mb": (0, 10**7),
    "eval.specific": (0, 1),
    "eval.gram": (0, 10**4),
    "checkpoint.every_epochs": (0, 10**7),
    "checkpoint.keep": (1, 10**4),
}


class ValidConfig(FrozenConfigDict):
    """A configuration that `validate` has passed; it can no longer be changed."""


def validate(config: ConfigDict) -> ValidConfig:
    """Checks all that can be known without data; returns the configuration, frozen.

    A configuration that was returned by this function is not checked a second time.

    Raises:
        ConfigError: naming the field, what it is, what is allowed.
    """
    if isinstance(config, ValidConfig):
        return config
    fields = flat(config.to_dict())
    _check_fields(fields, flat(default().to_dict()))
    _check_ranges(fields)
    if not 0 < config.checkpoint.max_share <= 1:
        raise ConfigError(
            f"config.checkpoint.max_share = {config.checkpoint.max_share} must be more "
            "than 0 and at most 1."
        )
    choose("config.on_nonfinite", config.on_nonfinite, ON_NONFINITE)
    choose("config.compute_dtype", config.compute_dtype, COMPUTE_DTYPES)
    choose("config.optimizer.schedule", config.optimizer.schedule, SCHEDULES)
    if config.optimizer.head:
        choose("config.optimizer.head", config.optimizer.head, OPTIMIZERS)
    choose("config.data.augment", config.data.augment, AUGMENTATIONS)
    choose("config.data.placement", config.data.placement, ("auto", "device", "stream"))
    choose("config.eval.layers", config.eval.layers, ("last", "all"))
    choose("config.eval.pool", config.eval.pool, ("mean", "flatten"))
    choose(
        "config.hierarchy.name", config.hierarchy.name, ("dataset", "none", *BUILTIN)
    )
    for probe in config.eval.probes:
        choose("config.eval.probes", str(probe), PROBES)
    _check_unused(config)
    with named("The configuration is not usable"):  # functions know their ranges
        try_out(config)
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
    """Numbers between their bounds, of fields {"optimizer.momentum": 0.9, ...}."""
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
    for epoch in fields["eval.epochs"]:
        if not isinstance(epoch, int) or not 1 <= epoch <= fields["num_epochs"]:
            raise ConfigError(
                "config.eval.epochs must hold integers between 1 and num_epochs = "
                f"{fields['num_epochs']}, got {epoch!r}."
            )


def _check_unused(config: ConfigDict) -> None:
    """An option that the chosen functions do not take must keep its default."""
    defaults = default()
    if config.on_nonfinite == "stop" and config.max_skipped != defaults.max_skipped:
        raise ConfigError(
            f"config.max_skipped = {config.max_skipped} has no effect: with "
            "config.on_nonfinite = 'stop' no step is skipped. Set it to 'skip', or "
            f"leave max_skipped at {defaults.max_skipped}."
        )
    for section, options in unused(config).items():
        for option in sorted(options):
            value, usual = config[section][option], defaults[section][option]
            if value != usual:
                raise ConfigError(
                    f"config.{section}.{option} = {value!r} has no effect: "
                    f"{_why_unused(config, section, option)} leave it at {usual!r}."
                )


def _why_unused(config: ConfigDict, section: str, option: str) -> str:
    if section == "eval":
        takers = [name for name in PROBES if option in options_of(PROBES[name])]
        return (
            f"it is an option of the probe {' or '.join(map(repr, takers))}. Add it to "
            f"config.eval.probes = {config.eval.probes!r}, or"
        )
    name = choice(config, section).name
    taken = sorted(all_options(chosen_functions(config, section)))
    return f"{name!r} takes {', '.join(taken) or 'no options'};"


def _check_fields(got: dict[str, Any], allowed: dict[str, Any]) -> None:
    """Same fields and types as the default; an int may stand for a float."""
    for field in [*got, *allowed]:
        if field not in allowed:
            start = field[: field.rfind(".") + 1]
            near = [
                name.removeprefix(start) for name in allowed if name.startswith(start)
            ]
            raise ConfigError(
                f"Unknown field config.{field}. Available: {', '.join(sorted(near))}."
                f"{suggest(field.removeprefix(start), near)}"
            )
        if field not in got:
            raise ConfigError(f"Missing field config.{field}; start from default().")
        value, like = got[field], allowed[field]
        if not _is_like(value, like):
            raise ConfigError(
                f"config.{field} must be of type {type(like).__name__}, got {value!r} "
                f"({type(value).__name__})."
            )
        items = value if like and isinstance(value, tuple) else ()
        if not all(_is_like(item, like[0]) for item in items):
            raise ConfigError(
                f"config.{field} must hold values of type {type(like[0]).__name__}, "
                f"got {value!r}."
            )


def _is_like(value: Any, like: Any) -> bool:
    """Same type; an int may stand for a float, but a bool is not an int."""
    kinds = (float, int) if isinstance(like, float) else type(like)
    return isinstance(value, kinds) and isinstance(value, bool) == isinstance(
        like, bool
    )
