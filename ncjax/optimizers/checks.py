"""The ranges of the options that several optimizers share."""

from __future__ import annotations

import jax

from ncjax.options import is_traced

Scalar = float | jax.Array  # a number, or an array [] that JAX may trace


def check_weight_decay(weight_decay: Scalar) -> None:
    """Raises `ValueError` for a weight decay that is known to be negative."""
    if not is_traced(weight_decay) and weight_decay < 0:
        raise ValueError(f"weight_decay must be at least 0, got {weight_decay}.")


def check_momentum(momentum: Scalar) -> None:
    """Raises `ValueError` for a momentum that is known to be outside [0, 1)."""
    if not is_traced(momentum) and not 0 <= momentum < 1:
        raise ValueError(f"momentum must be in [0, 1), got {momentum}.")
