"""Schedules of the learning rate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ncjax.optimizers.decay import Scalar

if TYPE_CHECKING:  # Optax is loaded by the first schedule that is made
    import optax


def constant(learning_rate: Scalar, num_epochs: int, steps: int) -> optax.Schedule:
    """The same learning rate throughout.

    Args:
        learning_rate: the learning rate.
        num_epochs: number of epochs of the run.
        steps: number of steps in an epoch.

    Returns:
        Number of a step, from 0 on -> learning rate.
    """
    import optax

    del num_epochs, steps
    return optax.constant_schedule(learning_rate)  # pyrefly: ignore


def step(learning_rate: Scalar, num_epochs: int, steps: int) -> optax.Schedule:
    """Divided by 10 after one third and again after two thirds of the epochs.

    350 epochs: after 116 and 233.  Arguments as for `constant`.

    References:
        Papyan, Han & Donoho, Prevalence of neural collapse, PNAS 2020.
    """
    import optax

    ends = [max(1, third * num_epochs // 3) * steps for third in (1, 2)]
    return optax.join_schedules(
        [optax.constant_schedule(learning_rate * s) for s in (1, 0.1, 0.01)], ends
    )


def cosine(learning_rate: Scalar, num_epochs: int, steps: int) -> optax.Schedule:
    """Half a cosine, from `learning_rate` to 0.  Arguments as for `constant`."""
    import optax

    return optax.cosine_decay_schedule(learning_rate, num_epochs * steps)


# (learning rate at the start, number of epochs, steps per epoch) -> schedule.
SCHEDULES: dict[str, Callable[[Scalar, int, int], optax.Schedule]] = {
    "constant": constant,
    "step": step,
    "cosine": cosine,
}
