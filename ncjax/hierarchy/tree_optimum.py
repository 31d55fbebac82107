"""An optimum of the unconstrained-features model (UFM) on a balanced tree.

Row k of a [K, K] matrix here belongs to a sample of class k, as in `logits` [n, K].
"""

from __future__ import annotations

import dataclasses

import numpy as np

from ncjax.hierarchy.algebra import TreeLevels


@dataclasses.dataclass(frozen=True)
class TreeOptimum:
    """An optimum of the UFM that shares the symmetry of a balanced tree.

    Attributes:
        levels: the levels of the tree; index h of the arrays below is the level at
            which two classes meet.
        logits: entries of Z by level [L + 1]; entry 0 is the logit of the right class.
            Rows of Z sum to 0.
        probabilities: softmax of a row of Z, by level [L + 1].
        singular_values: singular values of Z [L], for the contrasts at levels 1..L; 0
            where the groups that meet at the level have merged.
        objective: loss plus c |Z|_*, in nats.
        proven: whether the problem is convex, so that this is the global optimum.
    """

    levels: TreeLevels
    logits: np.ndarray
    probabilities: np.ndarray
    singular_values: np.ndarray
    objective: float
    proven: bool

    @property
    def active(self) -> np.ndarray:
        """Levels 1..L at which classes stay apart, bool [L]."""
        return self.singular_values > 0

    @property
    def regime(self) -> str:
        """Which levels have merged, in words."""
        merged = (np.flatnonzero(~self.active) + 1).tolist()
        if len(merged) == len(self.active):
            return "trivial: c is so large that all classes have merged"
        return f"merged levels: {merged}" if merged else "all levels active"

    @property
    def rank(self) -> int:
        """Rank of Z, of the class means and of the classifier; 0 if all have merged."""
        return int(np.sum(self.levels.multiplicities[1:][self.active]))

    @property
    def gram(self) -> np.ndarray:
        """Z [K, K]: the Gram matrix of means and classifier, up to scale."""
        return self.logits[self.levels.table]

    @property
    def cosines(self) -> np.ndarray:
        """Cosine of the means of two classes, by level [L + 1]; NaN if all merged."""
        with np.errstate(invalid="ignore"):
            return self.logits / self.logits[0]

    @property
    def nc2(self) -> float:
        """Distance of the unit Gram matrix from the simplex's; NaN if all merged."""
        counts = self.levels.multiplicities[1:]
        size = np.sqrt(counts @ self.singular_values**2)
        if size == 0:
            return float("nan")
        gaps = self.singular_values / size - 1 / np.sqrt(counts.sum())
        return float(np.sqrt(counts @ gaps**2))
