"""What an experiment is: solved first, then stated, then drawn."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from ncjax.ufm.run.report import Figure, Findings, Report

# Called as progress(stage, name=number, ...): tells the user what is under way.
Progress = Callable[..., None]


class Field(NamedTuple):
    """A field of the configuration."""

    default: Any
    meaning: str
    above: float | None = None  # the value must be finite and more than this


@dataclasses.dataclass(frozen=True)
class Experiment:
    """An experiment on unconstrained-features models.

    Attributes:
        solve: (configuration, progress) -> everything computed.
        state: everything computed -> title, facts, statements and rows.
        draw: everything computed -> the figure.
        fields: fields of the configuration that only this experiment has, by their
            dotted name.
        plain_model: whether `config.model` describes the `Problem` that is solved, to
            be checked beforehand.
    """

    solve: Callable[[ConfigDict, Progress], Any]
    state: Callable[[Any], Findings]
    draw: Callable[[Any], Figure]
    fields: Mapping[str, Field] = dataclasses.field(default_factory=dict)
    plain_model: bool = True

    def __call__(self, config: ConfigDict, progress: Progress) -> Report:
        """Runs the experiment.

        Args:
            config: the configuration, of `ncjax.ufm.run.default`.
            progress: called with what is under way.

        Raises:
            ConfigError: for a configuration that the experiment cannot use.
        """
        found = self.solve(config, progress)
        return Report(self.state(found), self.draw(found))
