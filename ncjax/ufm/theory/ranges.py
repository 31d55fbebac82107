"""Ranges of the inputs of closed forms, and roots of scalar equations."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

import numpy as np


def check_positive(**values: float) -> None:
    """Raises ValueError unless all values are finite and > 0; it names the first."""
    for name, value in values.items():
        if not 0 < value < np.inf:
            raise ValueError(f"{name} must be finite and > 0, got {value}.")


def check_at_least(least: int, **values: int) -> None:
    """Raises ValueError unless all values are at least `least`; it names the first."""
    for name, value in values.items():
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_model(
    num_classes: int, per_class: int, lambda_w: float, lambda_h: float
) -> None:
    """Raises ValueError unless these are a balanced model with weight decay."""
    check_at_least(2, num_classes=num_classes)
    check_at_least(1, per_class=per_class)
    check_positive(lambda_w=lambda_w, lambda_h=lambda_h)


def check_width(feature_dim: int | None, needed: int, why: str) -> None:
    """Raises ValueError if the features are narrower than the optimum needs.

    Args:
        feature_dim: width d of the features; None passes.
        needed: least width.
        why: what needs it, for the error.
    """
    if feature_dim is not None and feature_dim < needed:
        raise ValueError(
            f"feature_dim={feature_dim} is too small: {why} needs at least {needed}. "
            "Narrower features have no closed form; solve them numerically."
        )


def check_counts(class_counts: np.ndarray) -> np.ndarray:
    """The class sizes n_k in float64 [K].

    Args:
        class_counts: samples of each class [K].

    Raises:
        ValueError: unless there are at least 2 of them, all positive.
    """
    counts = np.asarray(class_counts, np.float64)
    if counts.ndim != 1 or len(counts) < 2 or not np.all(counts > 0):
        raise ValueError(
            f"class_counts must be at least 2 positive numbers, got {counts.tolist()}."
        )
    return counts


def geometric_mean(first: float, second: float) -> float:
    """sqrt(first * second) of numbers > 0, also where their product underflows."""
    low, high = sorted((first, second))
    return low * math.sqrt(high / low)


def find_root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root between `low` and `high`, where the function has different signs.

    Raises:
        FloatingPointError: if rounding leaves no such root, or none is reached.
    """
    from scipy import optimize  # late: half a second

    tiny = 5e-324  # rounding is relative: the absolute tolerance must never decide
    how = (function, low, high, (), tiny, 1e-15, 5000)
    root = math.nan
    with contextlib.suppress(ValueError, OverflowError):  # equal signs, not in float64
        found, end = optimize.brentq(*how, full_output=True, disp=False)
        root = float(found) if end.converged else math.nan
    if math.isnan(root):
        raise FloatingPointError(
            f"The equation behind this closed form has no root in float64 between "
            f"{low:.4g} and {high:.4g}: its numbers are too large or too small. Take "
            "less extreme ones."
        )
    return root
