"""Sets of labels: what they must be, and the numbers of the sets of two."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

# There are K(K-1)/2 sets of two labels, and each is compared with each.
MOST_LABELS = 128


def check_sets(labels: np.ndarray, num_classes: int) -> None:
    """Checks that labels are sets, as rows of True and False.

    Args:
        labels: sets of labels [n, K].
        num_classes: number K of labels that there are.

    Raises:
        TypeError: if they are not bool.
        ValueError: if they are not [n, K], if a set is empty, or for more labels than
            `MOST_LABELS`.
    """
    if labels.dtype != np.bool_:
        raise TypeError(
            f"labels are {labels.dtype}, must be bool for the target 'set', True for "
            "each label of an example; convert zeros and ones with "
            "`labels.astype(bool)`."
        )
    if labels.ndim != 2 or labels.shape[1] != num_classes:
        raise ValueError(
            f"labels have shape {labels.shape}, must be [n, {num_classes}]: a column "
            "for each class name."
        )
    if num_classes > MOST_LABELS:
        raise ValueError(
            f"there are {num_classes} labels, and at most {MOST_LABELS} can be "
            "measured, for every two of them are a set of their own. Keep the most "
            "frequent ones."
        )
    empty = np.flatnonzero(~labels.any(1))
    if empty.size:
        raise ValueError(
            f"{empty.size:,} of {len(labels):,} examples have no label, first in row "
            f"{empty[0]}. Leave them out, or add a label that means none of the others."
        )


def pair_labels(num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    """The labels j < k [K(K-1)/2] of each set of two labels, in their order here."""
    return np.triu_indices(num_classes, 1)


def pair_numbers(labels: Bool[Array, "... K"]) -> Int[Array, "..."]:
    """The number of each set of two labels; of another set some number in range."""
    count = labels.shape[-1]
    low = jnp.argmax(labels, -1)
    high = count - 1 - jnp.argmax(labels[..., ::-1], -1)
    number = low * (2 * count - low - 1) // 2 + high - low - 1
    return jnp.clip(number, 0, max(count * (count - 1) // 2 - 1, 0))
