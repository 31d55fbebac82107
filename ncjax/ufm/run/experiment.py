"""What an experiment is: from a configuration to a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ncjax.ufm.run.report import Report

# Called as progress(stage, name=number, ...): tells the user what is under way.
Progress = Callable[..., None]


class Field(NamedTuple):
    """A field of the configuration."""

    default: Any
    meaning: str
    above: float | None = None  # the value must be finite and more than this


class Experiment(NamedTuple):
    """An experiment on unconstrained-features models.

    `run` raises `ConfigError` for a configuration that it cannot use.
    """

    run: Callable[[ConfigDict, Progress], Report]
    fields: Mapping[str, Field] = {}  # those that only it has, by their dotted name
    plain_model: bool = True  # whether `config.model` is the `Problem` that is solved
    uses: tuple[str, ...] | None = None  # fields of `config.model`; None: all
