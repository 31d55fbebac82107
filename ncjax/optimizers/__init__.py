"""Optimizers and learning-rate schedules, by name.

To add one: write the function (keyword arguments with defaults are its options), add a
line to `OPTIMIZERS` or `SCHEDULES`, add a test.
"""

from __future__ import annotations

from collections.abc import Callable

import optax


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: float = 0.0,
    momentum: float = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """SGD with momentum and coupled weight decay on every parameter.

    g = grad + weight_decay * theta; v = momentum v + g; theta -= learning_rate v.
    The decay is the gradient of (weight_decay/2)|theta|^2, as in PyTorch's `SGD` and in
    the theory's lambda.
    """
    _check(weight_decay=weight_decay, momentum=momentum)
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.sgd(learning_rate, momentum=momentum or None, nesterov=nesterov),
    )


def adam(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Adam with coupled weight decay (an L2 penalty), as in PyTorch's `Adam`."""
    _check(weight_decay=weight_decay)
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
    )


def adamw(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Adam with decoupled decay, which is not an L2 penalty: the theory's lambda is 0.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """
    _check(weight_decay=weight_decay)
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def constant(learning_rate: float, num_epochs: int, steps: int) -> optax.Schedule:
    """The same learning rate throughout."""
    del num_epochs, steps
    return optax.constant_schedule(learning_rate)


def step(learning_rate: float, num_epochs: int, steps: int) -> optax.Schedule:
    """Divided by 10 after one third and again after two thirds of the epochs.

    350 epochs: after 116 and 233.

    References:
        Papyan, Han & Donoho, Prevalence of neural collapse, PNAS 2020.
    """
    ends = [max(1, third * num_epochs // 3) * steps for third in (1, 2)]
    return optax.join_schedules(
        [optax.constant_schedule(learning_rate * s) for s in (1, 0.1, 0.01)], ends
    )


def cosine(learning_rate: float, num_epochs: int, steps: int) -> optax.Schedule:
    """Half a cosine, from `learning_rate` to 0."""
    return optax.cosine_decay_schedule(learning_rate, num_epochs * steps)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
}

# (learning_rate, num_epochs, steps per epoch) -> learning rate at a step.
SCHEDULES: dict[str, Callable[[float, int, int], optax.Schedule]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
}


def _check(weight_decay: float, momentum: float = 0.0) -> None:
    if weight_decay < 0:
        raise ValueError(f"weight_decay must be at least 0, got {weight_decay}.")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
