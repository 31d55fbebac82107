"""Optimizers and learning-rate schedules, by name.

To add an optimizer: write a function (learning rate, options as keyword arguments with
defaults), add a line to `OPTIMIZERS`, add a test; `config.optimizer` offers its options
by itself.  A schedule is a function in `schedules`, with a line in `SCHEDULES`.

The learning rate and the numeric options may be traced by JAX, so that networks that
train in one program can differ in them; ranges are checked where values are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ncjax.optimizers.schedules import SCHEDULES as SCHEDULES
from ncjax.optimizers.steps import adam, adamw, sgd

if TYPE_CHECKING:
    import optax

OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
}

# Optimizers whose weight decay is no penalty (lambda/2)|theta|^2 on the loss.
DECOUPLED = frozenset({"adamw"})
