"""The best optimum that can be had of a model, and what speaks for it."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np

from ncjax.ufm.certify import bounds, why_not
from ncjax.ufm.cpcc import Correlated
from ncjax.ufm.model import Model
from ncjax.ufm.solve import Solution, solve, solve_many

STARTS = 50  # random ones, where there is no certificate
_GAP = 1e-9  # duality gap of a global optimum
_SAME = 1e-8  # objectives that differ by less are those of one optimum


class Proof(NamedTuple):
    """Why an optimum is thought to be global.

    `kind` is "certified": no point lies lower by more than `gap`; "closed form"; or
    "starts": the best of `starts` random starts, of which `reached` ended there (none
    where it is the simplex of `Correlated`), and nothing proves that no other point
    lies lower.
    """

    kind: str
    gap: float = np.nan
    starts: int = 0
    reached: int = 0

    def __str__(self) -> str:
        """In words."""
        if self.kind == "certified":
            return f"certified (gap {self.gap:.0e})"
        if self.kind == "starts":
            return (
                f"best of {self.starts} random starts, reached by {self.reached}; "
                "no certificate"
            )
        return self.kind


def solve_proven(problem: Model, starts: int = STARTS) -> tuple[Solution, Proof]:
    """One start where that is certified, else the best of many.

    Args:
        problem: a model of any kind.
        starts: number of random starts, of the seeds from 0 on.
    """
    if why_not(problem) is None:
        # The regulariser of `Correlated` is 0 at a simplex, the optimum of some losses.
        alone = problem.alone if isinstance(problem, Correlated) else problem
        found = solve(alone)
        at = bounds(problem, found.params)
        if at.gap <= _GAP and at.bias_residual <= 0.01 * _GAP:
            found = found._replace(objective=at.objective)
            return found, Proof("certified", max(float(at.gap), 0.0))
    every = solve_many(problem, range(starts))
    values = np.where(np.isfinite(every.objective), every.objective, np.inf)
    best = int(np.argmin(values))
    reached = int(np.sum(values <= values[best] + _SAME))
    one = jax.tree.map(lambda x: x[best], every)
    if isinstance(problem, Correlated):
        simplex = problem.at_simplex()
        if simplex is not None and simplex.objective <= values[best] + _SAME:
            lowest = simplex.objective + _SAME
            one, reached = simplex, int(np.sum(values <= lowest))
    return one, Proof("starts", starts=starts, reached=reached)
