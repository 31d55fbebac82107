"""Whether targets can be learned, and their moments be taken."""

from __future__ import annotations

import numpy as np

LARGEST = 1e15  # size of a target; t and n of them, squared, are in range


def check_targets(targets: np.ndarray, outputs: int) -> None:
    """Checks the targets of a regression.

    Args:
        targets: targets y [n, t].
        outputs: number of outputs that they are for.

    Raises:
        TypeError: unless they are floating-point numbers.
        ValueError: for another shape, NaN, infinity, values whose squares leave the
            range of float32, or more target dimensions than outputs.
    """
    if not np.issubdtype(targets.dtype, np.floating):
        raise TypeError(
            f"targets are {targets.dtype}, must be floating-point numbers; convert "
            "with `targets.astype(np.float32)`."
        )
    if targets.ndim != 2 or targets.shape[1] != outputs:
        raise ValueError(
            f"targets have shape {targets.shape}, must be [n, {outputs}]: one number "
            f"for each of {outputs} output(s)."
        )
    wrong = np.flatnonzero(~np.isfinite(targets).all(1))
    if wrong.size:
        raise ValueError(
            f"targets have NaN or infinite values in {wrong.size:,} of "
            f"{len(targets):,} rows, first in row {wrong[0]}. Leave these rows out."
        )
    if (largest := np.abs(targets).max(initial=0)) > LARGEST:
        raise ValueError(
            f"targets are as large as {largest:.3g}, and the squares of more than "
            f"{LARGEST:g} leave the range of float32. Divide them by a number of that "
            "size."
        )


def check_spread(targets: np.ndarray) -> None:
    """Raises `ValueError` for targets that are constant in a dimension, or nearly so.

    Args:
        targets: targets y [n, t], finite.
    """
    targets = targets.astype(np.float64)
    size = np.abs(targets).max(0)
    spread = targets.std(0)
    same = np.flatnonzero(spread <= np.maximum(1e-6 * size, 1 / LARGEST))
    if same.size:
        raise ValueError(
            f"targets are constant in dimension(s) {', '.join(map(str, same))}: their "
            f"standard deviation is {spread[same[0]]:.3g} at a size of "
            f"{size[same[0]]:.3g}, which rounding hides. Leave these dimensions out, "
            "or subtract the mean and divide by the deviation first."
        )
