"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.checks import Scalar, check_weight_decay

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def adamw(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: Scalar = 0.0
) -> optax.GradientTransformation:
    """Adam with decoupled decay: theta -= learning_rate (Adam's step + decay * theta).

    This is not an L2 penalty: the lambda of the theory is 0.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.

    Raises:
        ValueError: for a negative decay.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019.
    """
    import optax

    check_weight_decay(weight_decay)
    return optax.adamw(learning_rate, weight_decay=weight_decay)
