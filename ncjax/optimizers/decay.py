"""Weight decay of any optimizer: coupled, decoupled, or a share of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax

from ncjax.options import check_value, is_traced

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax

Scalar = float | jax.Array  # a number, or an array [] that JAX may trace


def with_decay(
    rule: optax.GradientTransformation,
    learning_rate: optax.ScalarOrSchedule,
    weight_decay: Scalar,
    decoupled: Scalar,
) -> optax.GradientTransformation:
    """An optimizer from its rule, with weight decay on every parameter.

    theta -= learning_rate (rule(gradient + coupled theta) + decoupled theta), where
    coupled = (1 - share) weight_decay is the gradient of a penalty
    (coupled/2)|theta|^2, and decoupled = share weight_decay is none.

    Args:
        rule: makes the direction of a step out of gradients.
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.
        decoupled: share of the decay that is decoupled, in [0, 1].

    Raises:
        ValueError: for a decay or a share out of its range.
    """
    import optax

    check_value("weight_decay", weight_decay, lambda d: d >= 0, "at least 0")
    check_value("decoupled", decoupled, lambda share: 0 <= share <= 1, "in [0, 1]")
    parts = [rule]
    if _may_differ(decoupled, 0.0):
        parts.append(optax.add_decayed_weights(weight_decay * decoupled))
    step = optax.chain(*parts, optax.scale_by_learning_rate(learning_rate))
    if not _may_differ(decoupled, 1.0):
        return step
    coupled = optax.add_decayed_weights(weight_decay * (1 - decoupled))
    return optax.chain(coupled, step)


def _may_differ(share: Scalar, value: float) -> bool:
    return is_traced(share) or float(share) != value
