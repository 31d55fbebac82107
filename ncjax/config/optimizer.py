"""The optimizers that a configuration chooses: of all layers, and of the last one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import jax

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
from ncjax.options import ConfigError, check_value, options_of

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
    body, head = _bind_one(optimizer, num_epochs, steps), last_layer(optimizer)
    if head is optimizer:
        return body
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
    own = _bind_one(head, num_epochs, steps)
    return lambda hyper: with_head(body(hyper), own(hyper), LAYER)


def last_layer(optimizer: Choice) -> Choice:
    """The optimizer of the last layer; the given one if it is that of all layers."""
    values = optimizer.values
    name = values["head"] or optimizer.name
    rate, decay = values["head_learning_rate"], values["head_weight_decay"]
    if (values["head"], rate, decay) == ("", 0, -1):
        return optimizer
    return _Head(optimizer.section, name, OPTIMIZERS[name], values)


class _Head(Choice):
    """The choice for the last layer, which may have values of its own."""

    def now(self, hyper: Hyper) -> dict[str, Any]:
        """The values, with those of the last layer in the place of the common ones."""
        values = super().now(hyper)
        if (rate := values["head_learning_rate"]) != 0:
            values["learning_rate"] = rate
        if (decay := values["head_weight_decay"]) != -1:
            values["weight_decay"] = decay
        return values


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
    head = last_layer(optimizer)
    takes = options_of(head.function)

    def decay(hyper: Hyper) -> Decay:
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
    is_own = isinstance(optimizer, _Head) and optimizer.values["head_learning_rate"]
    name = "head_learning_rate" if is_own else "learning_rate"

    def rate(hyper: Hyper) -> optax.Schedule:
        start = optimizer.now(hyper)["learning_rate"]
        within, must_be = lambda r: 0 < r < math.inf, "positive and finite"
        check_value(f"optimizer.{name}", start, within, must_be)
        return schedule(start, num_epochs, steps)

    return rate


def _bind_one(optimizer: Choice, num_epochs: int, steps: int) -> BindOptimizer:
    rate = bind_rate(optimizer, num_epochs, steps)
    return lambda hyper: optimizer.bind(hyper)(rate(hyper))
