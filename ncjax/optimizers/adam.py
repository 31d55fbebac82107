"""Adam with coupled weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.checks import Scalar, check_weight_decay

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def adam(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: Scalar = 0.0
) -> optax.GradientTransformation:
    """Adam with coupled weight decay (an L2 penalty), as in PyTorch's `Adam`.

    The decay is added to the gradient before Adam rescales it.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.

    Raises:
        ValueError: for a negative decay.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, ICLR 2015.
    """
    import optax

    check_weight_decay(weight_decay)
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
    )
