"""The best optimum that can be had of a model, and what speaks for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from ncjax.gram import gram_distance
from ncjax.ufm.certify import bounds, why_not
from ncjax.ufm.cpcc import Correlated
from ncjax.ufm.model import Model
from ncjax.ufm.solve import Solution, solve, solve_many

STARTS = 50  # random ones, where there is no certificate
_GAP = 1e-9  # duality gap of a global optimum
_SAME = 1e-8  # objectives that differ by less are those of one optimum
_ALIKE = 1e-3  # Gram matrices that differ by less are those of one optimum
_OTHERS = (1, 2)  # seeds of further starts, to see whether an optimum is the only one


class Proof(NamedTuple):
    """Why an optimum is thought to be global.

    `kind` is "certified": no point lies lower by more than `gap`; "closed form"; or
    "starts": the best of `starts` random starts, of which `reached` ended there (none
    where it is the simplex of `Correlated`), and nothing proves that no other point
    lies lower.  `spread` is the largest distance between the Gram matrix of its class
    means and those of other optima of the same value that were found: more than
    rounding says that theory leaves the frame open.
    """

    kind: str
    gap: float = np.nan
    starts: int = 0
    reached: int = 0
    spread: float = 0.0

    @property
    def unique(self) -> bool:
        """Whether all optima that were found have one Gram matrix."""
        return self.spread < _ALIKE

    def __str__(self) -> str:
        """In words."""
        text = self.kind
        if self.kind == "certified":
            text = f"certified (gap {self.gap:.0e})"
        if self.kind == "starts":
            text = (
                f"best of {self.starts} random starts, reached by {self.reached}; "
                "no certificate"
            )
        if not self.unique:
            text += f"; one of many, Gram matrices up to {self.spread:.2f} apart"
        return text


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
            means = [solve(alone, seed).params["H"] for seed in (0, *_OTHERS)]
            gap = max(float(at.gap), 0.0)
            return found, Proof("certified", gap, spread=_spread(means))
    every = solve_many(problem, range(starts))
    values = np.where(np.isfinite(every.objective), every.objective, np.inf)
    best = int(np.argmin(values))
    there = values <= values[best] + _SAME
    reached, spread = int(there.sum()), _spread(np.asarray(every.params["H"])[there])
    one = jax.tree.map(lambda x: x[best], every)
    if isinstance(problem, Correlated):
        simplex = problem.at_simplex()
        if simplex is not None and simplex.objective <= values[best] + _SAME:
            lowest = simplex.objective + _SAME
            one, reached, spread = simplex, int(np.sum(values <= lowest)), 0.0
    return one, Proof("starts", starts=starts, reached=reached, spread=spread)


def _spread(means: Any) -> float:
    """Largest distance between the Gram matrix of the first [n, d] and the others."""
    centred = [np.asarray(x) - np.mean(x, axis=0) for x in means]
    if np.linalg.norm(centred[0]) < 1e-6:  # all classes have merged
        return 0.0
    grams = [x @ x.T for x in centred]
    return max(gram_distance(gram, grams[0]) for gram in grams)
