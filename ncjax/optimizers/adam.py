"""Adam, and AdamW: Adam with decoupled decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.decay import Scalar, with_decay

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def adam(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    decoupled: Scalar = 0.0,
) -> optax.GradientTransformation:
    """Adam with coupled weight decay (an L2 penalty), as in PyTorch's `Adam`.

    The decay is added to the gradient before Adam rescales it.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.
        decoupled: share of the decay that is decoupled, in [0, 1]; 1 is `adamw`.

    Raises:
        ValueError: for an option out of its range.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.
    """
    import optax

    rule = optax.scale_by_adam()
    return with_decay(rule, learning_rate, weight_decay, decoupled)


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
    return adam(learning_rate, weight_decay=weight_decay, decoupled=1.0)
