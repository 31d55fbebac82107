"""The optimizers that a configuration chooses: of all layers, and of the last one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from ncjax.classifiers import LAYER
from ncjax.config.fields import Choice, Hyper
from ncjax.optimizers import (
    DECOUPLED,
    KEEP_ROW_SUMS,
    OF_ALL_LAYERS,
    OPTIMIZERS,
    SCHEDULES,
    with_head,
)
from ncjax.options import ConfigError, check_value, is_traced, options_of

if TYPE_CHECKING:
    import optax

BindOptimizer = Callable[[Hyper], "optax.GradientTransformation"]


def bind_optimizer(optimizer: Choice, num_epochs: int, steps: int) -> BindOptimizer:
    """Hyper-parameters -> optimizer with its schedule; {} gives the configuration's.

    The run has `num_epochs` epochs of `steps` steps each.

    Raises:
        ConfigError: for an optimizer that cannot leave the last layer to another, or an
            option of the last layer that has no effect.
    """
    _check_head(optimizer)
    body = _bind_one(optimizer, num_epochs, steps)

    def bound(hyper: Hyper) -> optax.GradientTransformation:
        head = last_layer(optimizer, hyper)
        if head is optimizer:
            return body(hyper)
        own = _bind_one(head, num_epochs, steps)
        return with_head(body(hyper), own(hyper), LAYER)

    return bound


def _check_head(optimizer: Choice) -> None:
    """Raises `ConfigError` for an optimizer of the last layer that cannot be had."""
    head = last_layer(optimizer)
    if head is optimizer:
        return
    for name in {optimizer.name, head.name} & OF_ALL_LAYERS:
        raise ConfigError(
            f"The optimizer {name!r} is one of all layers together: with it leave "
            "config.optimizer.head, head_learning_rate and head_weight_decay at their "
            "defaults."
        )
    decays = "weight_decay" in options_of(head.function)
    if optimizer.values["head_weight_decay"] >= 0 and not decays:
        raise ConfigError(
            f"config.optimizer.head_weight_decay has no effect: {head.name!r} has no "
            "weight decay. Leave it at -1.0."
        )


def last_layer(optimizer: Choice, hyper: Iterable[str] = ()) -> Choice:
    """The optimizer of the last layer; the given one if it is that of all layers.

    Args:
        optimizer: the choice of the configuration.
        hyper: fields that take values of their own in the networks of a program; with
            one of the last layer its optimizer is apart, whatever the values.
    """
    values, section = optimizer.values, optimizer.section
    usual = all(values[option] == common for option, common in _COMMON.items())
    differ = {f"{section}.{option}" for option in _COMMON} & {*hyper}
    if usual and not values["head"] and not differ:
        return optimizer
    name = values["head"] or optimizer.name
    return _Head(section, name, OPTIMIZERS[name], values)


# Options of the last layer, with the value that means: as all other layers.
_COMMON = {"head_learning_rate": 0.0, "head_weight_decay": -1.0}


class _Head(Choice):
    """The choice for the last layer, which may have values of its own."""

    def now(self, hyper: Hyper) -> dict[str, Any]:
        """The values, with those of the last layer in the place of the common ones."""
        values = super().now(hyper)
        for option, common in _COMMON.items():
            own, name = values[option], option.removeprefix("head_")
            if is_traced(own):
                values[name] = jnp.where(own == common, values[name], own)
            elif own != common:
                values[name] = own
        return values


def numeric_options(optimizer: Choice) -> set[str]:
    """Options in which the networks of one program may differ.

    They are the learning rate and the numbers with a point, also those of the last
    layer unless the optimizer is one of all layers together.
    """
    head = last_layer(optimizer, [f"{optimizer.section}.head_learning_rate"])
    found = {"learning_rate"}
    for function in (optimizer.function, head.function):
        usual = options_of(function).items()
        found |= {option for option, value in usual if isinstance(value, float)}
    if {optimizer.name, head.name} & OF_ALL_LAYERS:
        return found
    own = "weight_decay" in options_of(head.function)
    return found | {"head_learning_rate", *(["head_weight_decay"] if own else [])}


@dataclasses.dataclass(frozen=True)
class Decay:
    """The weight decay of the last layer, and the steps that it is part of.

    Attributes:
        weight_decay: factor lambda of the decay, coupled and decoupled together.
        decoupled: share of it that is decoupled, in [0, 1].
        momentum: factor of the velocity from step to step; 0 without a velocity.
        nesterov: whether the velocity is Nesterov's.
        linear: whether a sum of rows without a gradient moves by the decay alone.
    """

    weight_decay: float | jax.Array
    decoupled: float | jax.Array
    momentum: float | jax.Array
    nesterov: bool
    linear: bool


def bind_decay(optimizer: Choice) -> Callable[[Hyper], Decay]:
    """Hyper-parameters -> the weight decay of the last layer."""

    def decay(hyper: Hyper) -> Decay:
        head = last_layer(optimizer, hyper)
        takes = options_of(head.function)
        found: Mapping[str, Any] = {
            k: v for k, v in head.now(hyper).items() if k in takes
        }
        share = 1.0 if head.name in DECOUPLED else found.get("decoupled", 0.0)
        return Decay(
            weight_decay=found.get("weight_decay", 0.0),
            decoupled=share,
            momentum=found.get("momentum", 0.0),
            nesterov=found.get("nesterov", False),
            linear=head.name in KEEP_ROW_SUMS,
        )

    return decay


def bind_weight_decay(optimizer: Choice) -> Callable[[Hyper], float | jax.Array]:
    """Hyper-parameters -> lambda of the penalty (lambda/2)|theta|^2 of the last layer.

    It is the coupled share of the decay: 0 for an optimizer that has no such penalty.
    """
    decay = bind_decay(optimizer)

    def penalty(hyper: Hyper) -> float | jax.Array:
        found = decay(hyper)
        return found.weight_decay * (1 - found.decoupled)

    return penalty


def bind_rate(
    optimizer: Choice, num_epochs: int, steps: int
) -> Callable[[Hyper], optax.Schedule]:
    """Hyper-parameters -> learning rate of a step, by its number.

    Raises:
        ValueError: for a learning rate at the start that is not positive and finite.
    """
    schedule = SCHEDULES[optimizer.values["schedule"]]

    def rate(hyper: Hyper) -> optax.Schedule:
        values = optimizer.now(hyper)
        start, name = values["learning_rate"], "learning_rate"
        if isinstance(optimizer, _Head) and start is values["head_learning_rate"]:
            name = "head_learning_rate"
        within, must_be = lambda r: 0 < r < math.inf, "positive and finite"
        check_value(f"optimizer.{name}", start, within, must_be)
        return schedule(start, num_epochs, steps)

    return rate


def _bind_one(optimizer: Choice, num_epochs: int, steps: int) -> BindOptimizer:
    rate = bind_rate(optimizer, num_epochs, steps)
    return lambda hyper: optimizer.bind(hyper)(rate(hyper))
