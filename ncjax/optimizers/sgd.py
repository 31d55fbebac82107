"""Stochastic gradient descent with momentum."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.checks import Scalar, check_momentum, check_weight_decay
from ncjax.options import is_traced

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """SGD with momentum and coupled weight decay on every parameter.

    g = gradient + weight_decay * theta; v = momentum v + g; theta -= learning_rate v.
    The decay is the gradient of (weight_decay/2)|theta|^2, as in PyTorch's `SGD` and in
    the theory's lambda.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.
        momentum: factor of the velocity from step to step, in [0, 1).
        nesterov: take the gradient's step after that of the velocity (Nesterov).

    Raises:
        ValueError: for an option out of its range.
    """
    import optax

    check_weight_decay(weight_decay)
    check_momentum(momentum)
    # With a momentum of 0 no velocity is stored, unless JAX traces it.
    velocity = momentum if is_traced(momentum) else momentum or None
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.sgd(learning_rate, momentum=velocity, nesterov=nesterov),
    )
