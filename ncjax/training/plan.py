"""What a run does, as numbers: its networks, epochs, measurements, checkpoints."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
from ml_collections import ConfigDict

from ncjax.config.binding import check_hyper, numeric_fields
from ncjax.config.fields import choice


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

    def each(self) -> list[dict[str, float]]:
        """The fields of `hyper` with the value of each network."""
        return [{k: v[i] for k, v in self.hyper.items()} for i in range(len(self))]

    def arrays(self) -> dict[str, np.ndarray]:
        """The fields of `hyper` as float32 arrays [S], or [] for a single network."""
        one = len(self) == 1
        return {
            field: np.asarray(values[0] if one else values, np.float32)
            for field, values in self.hyper.items()
        }


@dataclasses.dataclass(frozen=True)
class Plan:
    """When a run does what.

    Attributes:
        num_epochs: number of epochs.
        measured: epochs after which the networks are measured.
        checkpoint_every: number of epochs from one checkpoint to the next.
        keep: number of checkpoints that are kept.
        members: the networks.
        learning_rate: learning rate at the start, where all networks have the same.
    """

    num_epochs: int
    measured: frozenset[int]
    checkpoint_every: int
    keep: int
    members: Members
    learning_rate: float

    def saves(self, epoch: int) -> bool:
        """Whether a checkpoint is written after an epoch; always after the last."""
        return epoch == self.num_epochs or epoch % self.checkpoint_every == 0


def make_plan(config: ConfigDict, members: Members | None = None) -> Plan:
    """The plan of a valid configuration.

    Args:
        config: the configuration.
        members: the networks, by default those of `config.seed` and `config.num_seeds`.
    """
    every = config.checkpoint.every_epochs or math.ceil(config.num_epochs / 10)
    return Plan(
        num_epochs=config.num_epochs,
        measured=frozenset(measured_epochs(config)),
        checkpoint_every=every,
        keep=config.checkpoint.keep,
        members=members or members_of(config),
        learning_rate=config.optimizer.learning_rate,
    )


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
    check_hyper(given, allowed, len(seeds))
    return Members(seeds, given)


def measured_epochs(config: ConfigDict) -> list[int]:
    """Epochs after which to measure: those given, or log-spaced; always the last."""
    if config.eval.epochs:
        return sorted({*config.eval.epochs, config.num_epochs})
    points = np.geomspace(1, config.num_epochs, config.eval.num_points)
    return sorted({round(float(p)) for p in points})
