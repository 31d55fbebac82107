"""Signed descent: every parameter moves by the learning rate, up or down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ncjax.optimizers.decay import Scalar, with_decay
from ncjax.options import check_value

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def signum(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
    decoupled: Scalar = 0.0,
) -> optax.GradientTransformation:
    """The sign of the averaged gradient, with coupled weight decay.

    g = gradient + weight_decay * theta; m = momentum m + (1 - momentum) g;
    theta -= learning_rate sign(m).

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.
        momentum: factor of the average from step to step, in [0, 1); 0 takes the sign
            of each gradient.
        decoupled: share of the decay that is decoupled, in [0, 1]; 1 is `signumw`.

    Raises:
        ValueError: for an option out of its range.

    References:
        Bernstein et al., signSGD: Compressed Optimisation for Non-Convex Problems,
        ICML 2018.
    """
    import optax

    check_value("momentum", momentum, lambda m: 0 <= m < 1, "in [0, 1)")
    rule = optax.chain(optax.ema(momentum, debias=False), optax.scale_by_sign())
    return with_decay(rule, learning_rate, weight_decay, decoupled)


def signumw(
    learning_rate: optax.ScalarOrSchedule,
    *,
    weight_decay: Scalar = 0.0,
    momentum: Scalar = 0.9,
) -> optax.GradientTransformation:
    """Signum with decoupled decay: theta -= learning_rate (sign(m) + decay * theta).

    The average m knows no decay.  Options as for `signum`.
    """
    return signum(
        learning_rate, weight_decay=weight_decay, momentum=momentum, decoupled=1.0
    )


def lion(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: Scalar = 0.0
) -> optax.GradientTransformation:
    """Lion, the sign of two averages of the gradient, with decoupled weight decay.

    theta -= learning_rate (sign(0.9 m + 0.1 gradient) + weight_decay * theta);
    m = 0.99 m + 0.01 gradient.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.

    Raises:
        ValueError: for a negative decay.

    References:
        Chen et al., Symbolic Discovery of Optimization Algorithms, NeurIPS 2023.
    """
    import optax

    return with_decay(optax.scale_by_lion(), learning_rate, weight_decay, 1.0)
