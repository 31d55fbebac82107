"""Descent along the gradient: SGD with momentum, and SAM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.decay import Scalar, with_decay
from ncjax.options import check_value, is_traced

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def sgd(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
    decoupled: Scalar = 0.0,
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
        decoupled: share of the decay that is decoupled, in [0, 1]; 1 is `sgdw`.

    Raises:
        ValueError: for an option out of its range.
    """
    rule = velocity(momentum, nesterov)
    return with_decay(rule, learning_rate, weight_decay, decoupled)


def sgdw(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """SGD with momentum and decoupled decay: theta -= learning_rate (v + decay theta).

    The velocity v = momentum v + gradient knows no decay.  Options as for `sgd`.

    References:
        Loshchilov & Hutter, Decoupled Weight Decay Regularization, ICLR 2019, whose
        decay is multiplied by the schedule alone, not by the learning rate.
    """
    rule = velocity(momentum, nesterov)
    return with_decay(rule, learning_rate, weight_decay, 1.0)


def sam(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
    nesterov: bool = False,
    rho: Scalar = 0.05,
) -> optax.GradientTransformation:
    """Sharpness-aware minimisation: `sgd` on the gradient at a worse point nearby.

    The gradient is that of the same batch at theta + rho g/|g|, with g the gradient at
    theta and without weight decay; so a step costs two gradients.  Running statistics
    of BatchNorm are those at theta.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the coupled decay, at least 0.
        momentum: factor of the velocity from step to step, in [0, 1).
        nesterov: take the gradient's step after that of the velocity (Nesterov).
        rho: distance to the point nearby, more than 0.

    Raises:
        ValueError: for an option out of its range.

    References:
        Foret et al., Sharpness-Aware Minimization for Efficiently Improving
        Generalization, ICLR 2021.
    """
    import optax

    check_value("rho", rho, lambda distance: distance > 0, "more than 0")
    outer = sgd(
        learning_rate, weight_decay=weight_decay, momentum=momentum, nesterov=nesterov
    )
    # Without the small number a gradient of 0 would make all parameters NaN.
    ascent = optax.chain(optax.normalize_by_update_norm(eps=1e-12), optax.sgd(rho))
    return optax.contrib.sam(outer, ascent, opaque_mode=True)


def velocity(momentum: Scalar, nesterov: bool) -> optax.GradientTransformation:
    """The rule v = momentum v + gradient.

    Args:
        momentum: factor of the velocity from step to step, in [0, 1).
        nesterov: gives gradient + momentum v in the place of v.

    Raises:
        ValueError: for a momentum out of its range.
    """
    import optax

    check_value("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1)")
    # With a momentum of 0 no velocity is stored, unless JAX traces it.
    if not is_traced(momentum) and float(momentum) == 0:
        return optax.identity()
    return optax.trace(momentum, nesterov)
