"""Thresholds between levels: evenly spaced, or given."""

from __future__ import annotations

import math

import numpy as np

from ncjax.options import check_value


def make_thresholds(
    num_classes: int,
    thresholds: tuple = (),
    gap: float = 4.0,
    *,
    least: float = 0.0,
) -> tuple[float, ...]:
    """The thresholds b_1 < ... < b_(K-1) between K levels, checked.

    Args:
        num_classes: number of levels K.
        thresholds: the thresholds; () for evenly spaced ones, symmetric about 0.
        gap: distance of neighbouring thresholds, if none are given.
        least: each must be larger than the one before it by more than this.

    Raises:
        ValueError: for thresholds that are not K - 1 finite numbers in increasing
            order, or a gap that is not larger than `least`.
    """
    allowed = f"more than {least:g} and finite"
    check_value("gap", gap, lambda g: least < g < math.inf, allowed)
    count = num_classes - 1
    if not thresholds:
        return tuple(float(gap * (j - (count - 1) / 2)) for j in range(count))
    got = ", ".join(map(str, thresholds))
    numbers = all(isinstance(x, int | float) for x in thresholds)
    if len(thresholds) != count or not numbers:
        raise ValueError(
            f"thresholds must be {count} numbers for {num_classes} levels, got "
            f"{len(thresholds)}: ({got}). Leave them at () for evenly spaced ones."
        )
    if not np.isfinite(thresholds).all() or np.any(np.diff(thresholds) <= least):
        by = f", each by more than {least:g}" if least else ""
        raise ValueError(
            f"thresholds must be finite and increase{by}, got ({got}). Sort them, or "
            "leave out those that are equal."
        )
    return tuple(map(float, thresholds))
