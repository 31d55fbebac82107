"""The configuration of a run that was stored, perhaps by an older version."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from ncjax.config.check import ValidConfig, validate
from ncjax.config.fields import SECTIONS, default, names, resolved
from ncjax.io import plain
from ncjax.options import ConfigError, flat

# Fields that have moved: their name in stored configurations -> their name today.
MOVED: dict[str, str] = {"loss.frame_gamma": "classifier.frame_gamma"}

ABOUT = "about"  # key of what made a run, beside the fields of its configuration
# Key of the options of a `Recorder`: what was trained then has fields of its own.
RECORDER = "recorder"


def complete(stored: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration, flat, with today's defaults for fields it does not have.

    Args:
        stored: the content of config.json, {"loss": {"name": "mse"}, ...}; that of a
            recorder has no defaults.
    """
    fields = flat({key: value for key, value in stored.items() if key != ABOUT})
    if RECORDER in stored:
        return fields
    given = {MOVED.get(field, field): value for field, value in fields.items()}
    base, unknown = default(), set()
    for section in SECTIONS:
        choice = given.get(f"{section}.name", "auto")
        if choice in names(section):
            base[section].name = choice
        else:
            unknown.add(section)
    base.eval.probes = tuple(given.get("eval.probes", ()))
    known = {
        field: value
        for field, value in flat(plain(resolved(base))).items()
        if field.partition(".")[0] not in unknown
    }
    return known | given


def to_config(fields: dict[str, Any]) -> ValidConfig:
    """The configuration of a run from its flat fields, {"loss.name": "mse", ...}.

    Raises:
        ConfigError: for fields or values that this version does not know.
    """
    for section in SECTIONS:
        name = fields.get(f"{section}.name")
        if name is not None and name not in names(section):
            raise ConfigError(
                f"Unknown config.{section}.name {name!r}. Available: "
                f"{', '.join(names(section))}. If the config file of the run registers "
                "it, have that file run first: give it as --register=FILE, or import "
                "it in Python."
            )
    config = default()
    for field, value in fields.items():
        section, _, option = field.rpartition(".")
        target: ConfigDict = config.get(section, config) or config
        if option not in target:
            raise ConfigError(f"Unknown field config.{field}.")
        try:
            target[option] = tuple(value) if isinstance(value, list) else value
        except TypeError as error:
            raise ConfigError(f"config.{field} = {value!r}: {error}.") from error
    return validate(config)
