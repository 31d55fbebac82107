"""Many problems of one structure, solved in one call and certified."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from ncjax import ufm


def solve_certified(
    problems: Sequence[ufm.Problem],
) -> tuple[ufm.Solution, np.ndarray]:
    """Solutions of B problems, and the duality gap of each [B].

    Args:
        problems: problems that differ in numbers only.
    """
    found = ufm.solve_many(problems)
    stacked = ufm.stack(problems)
    with jax.enable_x64(True):
        gaps = jax.vmap(lambda p, x: ufm.bounds(p, x).gap)(stacked, found.params)
    return found, np.asarray(gaps)
