"""The programs of a sweep: which of its networks can train in one of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from ncjax import grid
from ncjax.config import default, validate
from ncjax.config.binding import numeric_fields
from ncjax.config.check import ValidConfig
from ncjax.grid import Setting
from ncjax.options import ConfigError, flat, suggest
from ncjax.training.network import Network
from ncjax.training.plan import Members

# Fields that say what is measured and kept, or how the networks are computed: in them
# no two runs of a sweep can differ in a way that a table would show.
_FIXED = ("eval", "checkpoint", "num_seeds")


@dataclasses.dataclass(frozen=True)
class Member:
    """One run of a sweep.

    Attributes:
        name: name of its folder.
        setting: swept field -> its value; always with the seed.
        config: its configuration, that of a run alone.
    """

    name: str
    setting: Setting
    config: ValidConfig


@dataclasses.dataclass(frozen=True)
class Program:
    """Runs of a sweep whose networks train in one program.

    Attributes:
        members: the runs.
        traced: swept fields in which they differ, as numbers that JAX traces.
    """

    members: tuple[Member, ...]
    traced: tuple[str, ...]

    @property
    def config(self) -> ValidConfig:
        """The configuration of the program, but for its traced fields and its seeds."""
        return self.members[0].config

    def networks(self) -> Members:
        """The seeds and the traced fields of the networks."""
        settings = [member.setting for member in self.members]
        return Members(
            tuple(setting["seed"] for setting in settings),
            {field: tuple(s[field] for s in settings) for field in self.traced},
        )

    def split(self, most: int) -> list[Program]:
        """Programs of at most so many networks, as even as can be."""
        parts = math.ceil(len(self.members) / most)
        chunks = np.array_split(np.arange(len(self.members)), parts)
        return [
            Program(tuple(self.members[i] for i in chunk), self.traced)
            for chunk in chunks
        ]


def read_fields(
    config: ConfigDict, swept: Mapping[str, Sequence[Any] | str]
) -> dict[str, tuple[Any, ...]]:
    """Field -> its values, of texts of `ncjax.grid` or sequences of values.

    Raises:
        ConfigError: for a field that does not exist or cannot be swept, or values that
            it cannot have.
    """
    known, found = flat(config.to_dict()), {}
    for field, values in swept.items():
        if field not in known:
            raise ConfigError(
                f"The swept field config.{field} does not exist."
                f"{suggest(field, known)} --help lists all fields."
            )
        if field.partition(".")[0] in _FIXED:
            raise ConfigError(
                f"config.{field} cannot be swept: it is the same for all runs of a "
                "sweep. Set it with --config."
            )
        like = flat(default().to_dict())[field]
        if isinstance(values, str):
            found[field] = grid.parse_values(field, values, like)
        else:
            found[field] = grid.check_values(field, list(values), like)
    if not found:
        raise ConfigError("A sweep needs a field, such as optimizer.weight_decay.")
    if "seed" in found and config.num_seeds > 1:
        raise ConfigError(
            f"config.seed is swept, and config.num_seeds = {config.num_seeds}: these "
            "are two ways to say which seeds to train. Take one of them."
        )
    return found


def members(
    config: ConfigDict,
    swept: Mapping[str, Sequence[Any]],
    together: Sequence[Sequence[str]] = (),
) -> list[Member]:
    """The runs of a sweep, each with a valid configuration of its own.

    Raises:
        ConfigError: for a setting that is not valid, naming it.
    """
    seeds = range(config.seed, config.seed + config.num_seeds)
    found: list[Member] = []
    for setting in grid.settings(swept, together):
        own = ConfigDict(config.to_dict())
        own.update_from_flattened_dict(setting | {"num_seeds": 1})
        try:
            validate(own)
        except ConfigError as error:
            raise ConfigError(f"The run {grid.label(setting)}: {error}") from error
        for seed in [setting["seed"]] if "seed" in setting else seeds:
            own.seed = seed
            whole = setting | {"seed": seed}
            found.append(Member(grid.label(whole), whole, validate(own)))
    _check_names(found)
    return found


def _check_names(found: Sequence[Member]) -> None:
    names = [member.name for member in found]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Two runs of the sweep have the name {name!r}: their values differ "
                "only after the fourth digit. Take values further apart."
            )


def programs(found: Sequence[Member], swept: Mapping[str, Any]) -> list[Program]:
    """The runs in groups of those that can train in one program, in order."""
    groups: dict[tuple, list[Member]] = {}
    traced: dict[tuple, tuple[str, ...]] = {}
    for member in found:
        numeric = numeric_fields(member.config)
        own = tuple(f for f in swept if f in numeric and len(swept[f]) > 1)
        fixed = {f: member.setting[f] for f in swept if f not in (*own, "seed")}
        key = tuple(fixed.values())
        groups.setdefault(key, []).append(member)
        traced[key] = own
    return [Program(tuple(group), traced[key]) for key, group in groups.items()]


def usable(
    devices: Sequence[jax.Device], networks: int, batch_size: int
) -> Sequence[jax.Device]:
    """The devices that the networks of a program train on: the first of those given.

    They make as many groups as can be, each with as many networks as the others; among
    such numbers of devices it is the largest with which the devices of a group divide
    the batch evenly.  So 5 networks train on 5 devices of 8, and 4 on all 8, two of
    which share each batch.

    Args:
        devices: devices there are.
        networks: number of networks of the program.
        batch_size: examples per step of a network.
    """

    def groups(count: int) -> int:
        return math.gcd(networks, count)

    even = [
        count
        for count in range(1, len(devices) + 1)
        if batch_size % (count // groups(count)) == 0
    ]
    return devices[: max(even, key=lambda count: (groups(count), count))]


def largest_part(count: int, fits: Callable[[int], bool]) -> int:
    """The largest of the fewest even parts of a number such that each of them fits.

    Args:
        count: the number to divide, at least 1.
        fits: whether a part of this size fits; a part of 1 does.
    """
    for parts in range(1, count + 1):
        small, more = divmod(count, parts)
        if fits(small) and (not more or fits(small + 1)):
            return small + bool(more)
    return 1


def network_bytes(network: Network, config: ConfigDict) -> tuple[int, int]:
    """Memory in bytes that training takes, estimated from shapes alone.

    Returns:
        What each network of a program holds all the time: its state, the next one, the
        gradients.  And what a step holds on the way, at most: every array between the
        first and the last, forwards and backwards.
    """
    state = jax.eval_shape(network.init, jax.random.key(0), {})
    batch, shape = config.batch_size, network.dataset.image_shape
    images = jax.ShapeDtypeStruct((batch, *shape), np.float32)
    one = network.objective.label
    labels = jax.ShapeDtypeStruct((batch, *one.shape[1:]), one.dtype)
    traced = jax.make_jaxpr(network.step)(state, images, labels)
    between = sum(
        math.prod(out.aval.shape) * out.aval.dtype.itemsize
        for equation in traced.jaxpr.eqns
        for out in equation.outvars
    )
    held = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(state))
    return 3 * held, between
