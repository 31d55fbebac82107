"""Muon: the averaged gradient of a matrix with its singular values near 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax

from ncjax.optimizers.decay import Scalar
from ncjax.options import check_value

if TYPE_CHECKING:  # Optax is loaded by the first optimizer that is made
    import optax


def muon(
    learning_rate: optax.ScalarOrSchedule, *, weight_decay: Scalar = 0.0
) -> optax.GradientTransformation:
    """Muon with decoupled decay: theta -= learning_rate (s O + weight_decay * theta).

    O is the average of the gradients (0.95, Nesterov's) after five steps of Newton and
    Schulz, which take its singular values near 1; s = sqrt(max(1, outputs/inputs)).
    Kernels of convolutions are matrices, with all positions and channels of the input
    against the channels of the output.  Biases and the scales of BatchNorm are no
    matrices: they take Adam's steps (with Nesterov's average), with the same learning
    rate and decay.  Another optimizer for the last layer is `config.optimizer.head`.

    Args:
        learning_rate: the learning rate, or a schedule of the number of the step.
        weight_decay: factor of the decay, at least 0.

    Raises:
        ValueError: for a negative decay.

    References:
        Jordan et al., Muon: An Optimizer for Hidden Layers in Neural Networks, 2024.
        Liu et al., Muon is Scalable for LLM Training, 2025 (the decay).
    """
    import optax

    check_value("weight_decay", weight_decay, lambda d: d >= 0, "at least 0")
    return optax.contrib.muon(
        learning_rate,
        weight_decay=weight_decay,
        adam_weight_decay=weight_decay,
        muon_weight_dimension_numbers=_matrices,
    )


def _matrices(params: Any) -> Any:
    """Which axes of each parameter are inputs and which outputs; None: no matrix."""
    from optax.contrib import MuonDimensionNumbers

    def axes(x: jax.Array) -> MuonDimensionNumbers | None:
        if x.ndim < 2:
            return None
        return MuonDimensionNumbers(tuple(range(x.ndim - 1)), x.ndim - 1)

    return jax.tree.map(axes, params)
