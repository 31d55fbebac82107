"""Optimizers: gradients, with their weight decay, become steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax

from ncjax.options import check_value, is_traced

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax

Scalar = float | jax.Array  # a number, or an array [] that JAX may trace


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

    _check_decay(weight_decay)
    check_value("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1)")
    # With a momentum of 0 no velocity is stored, unless JAX traces it.
    velocity = momentum if is_traced(momentum) else momentum or None
    return optax.chain(
        optax.add_decayed_weights(weight_decay),
        optax.sgd(learning_rate, momentum=velocity, nesterov=nesterov),
    )


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

    _check_decay(weight_decay)
    return optax.chain(
        optax.add_decayed_weights(weight_decay), optax.adam(learning_rate)
    )


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

    _check_decay(weight_decay)
    return optax.adamw(learning_rate, weight_decay=weight_decay)


def _check_decay(weight_decay: Scalar) -> None:
    check_value("weight_decay", weight_decay, lambda d: d >= 0, "at least 0")
