"""What a run does, as numbers: its networks, measurements and checkpoints."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from ncjax.config.binding import numeric_fields
from ncjax.config.fields import choice
from ncjax.options import ConfigError


@dataclasses.dataclass(frozen=True)
class Members:
    """The networks that train in one program.

    Attributes:
        seeds: seed of each network.
        hyper: fields of the configuration in which the networks differ, such as
            "optimizer.learning_rate", with the value of each network.  These are the
            numbers that JAX traces; a field that is not here is the same for all
            networks, and a constant of the program.
    """

    seeds: tuple[int, ...]
    hyper: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.seeds)

    def of(self, i: int) -> dict[str, float]:
        """The fields of `hyper` with the values of one network."""
        return {field: values[i] for field, values in self.hyper.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields of `hyper` as float32 arrays [S], or [] for a single network."""
        one = len(self) == 1
        return {
            field: np.asarray(values[0] if one else values, np.float32)
            for field, values in self.hyper.items()
        }


def members_of(
    config: ConfigDict, hyper: Mapping[str, Sequence[float]] | None = None
) -> Members:
    """The networks of a configuration: one for each seed, and each value of `hyper`.

    Args:
        config: the configuration; its seeds are seed, ..., seed + num_seeds - 1.
        hyper: fields in which the networks differ, each with as many values as there
            are seeds.

    Raises:
        ConfigError: for a field in which the networks of one program cannot differ, or
            a wrong number of values.
    """
    seeds = tuple(range(config.seed, config.seed + config.num_seeds))
    given = {field: tuple(values) for field, values in (hyper or {}).items()}
    allowed = numeric_fields(choice(config, "optimizer"), choice(config, "loss"))
    for field, values in given.items():
        if field not in allowed:
            raise ConfigError(
                f"The networks of one program cannot differ in config.{field}. They "
                f"can in {', '.join(allowed)}."
            )
        if len(values) != len(seeds):
            raise ConfigError(
                f"config.{field} has {len(values)} values for {len(seeds)} networks. "
                "Give one for each."
            )
    return Members(seeds, given)


def measured_epochs(config: ConfigDict) -> list[int]:
    """Epochs after which to measure: those given, or log-spaced; always the last."""
    if config.eval.epochs:
        return sorted({*config.eval.epochs, config.num_epochs})
    points = np.geomspace(1, config.num_epochs, config.eval.num_points)
    return sorted({round(float(p)) for p in points})


def saved_epochs(config: ConfigDict) -> set[int]:
    """Epochs after which a checkpoint is written; always the last."""
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    return {*range(every, config.num_epochs, every), config.num_epochs}
