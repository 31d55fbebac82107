"""An optimum on a balanced tree, and the Gram matrices that belong to logits.

Row k of a [K, K] matrix here belongs to a sample of class k, as in `logits` [n, K].
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import linalg

from ncjax.hierarchy.algebra import TreeLevels


@dataclasses.dataclass(frozen=True)
class TreeOptimum:
    """An optimum of the UFM that shares the symmetry of a balanced tree.

    Attributes:
        levels: the tree; index h below is the level at which two classes meet.
        logits: Z [L + 1]; 0 is the logit of the right class.  Rows of Z sum to 0.
        probabilities: softmax of a row of Z [L + 1].
        singular_values: of Z [L], for the contrasts at level 1..L; 0 where the groups
            that meet there have merged.
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
        """Of Z, of the class means and of the classifier; 0 if all have merged."""
        return int(np.sum(self.levels.multiplicities[1:][self.active]))

    @property
    def gram(self) -> np.ndarray:
        """Z [K, K]: the Gram matrix of means and classifier, up to scale."""
        return self.logits[self.levels.table]

    @property
    def cosines(self) -> np.ndarray:
        """Between class means that meet at level h [L + 1]; NaN if all merged."""
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


def simplex_gram(num_classes: int) -> np.ndarray:
    """P = I - 11'/K, the Gram matrix of a simplex ETF, up to its scale [K, K].

    Raises:
        ValueError: for fewer than 2 classes.
    """
    if num_classes < 2:
        raise ValueError(f"A simplex needs at least 2 classes, got {num_classes}.")
    return np.eye(num_classes) - 1 / num_classes


def mean_gram(logits: np.ndarray) -> np.ndarray:
    """Gram matrix of the class means that belong to Z, up to scale: (Z Z')^{1/2}.

    At a balanced optimum Z = H W' with H H' = sqrt(lW/(n lH)) (Z Z')^{1/2}.  The means
    are not centred: centre the result on both sides, as `gram_nc2` does.

    Args:
        logits: Z [K, K], row k of class k.  The transpose gives the classifier.
    """
    left, values, _ = np.linalg.svd(as_square(logits))
    return (left * values) @ left.T


def gram_cosines(gram: np.ndarray) -> np.ndarray:
    """Cosines between centred vectors with this Gram matrix [K, K]."""
    gram = _centred(gram)
    norms = np.sqrt(np.diag(gram))
    return gram / np.outer(norms, norms)


def gram_nc2(gram: np.ndarray) -> float:
    """NC2 of vectors with this Gram matrix: | G/|G| - P/|P| |, with G centred."""
    gram = _centred(gram)
    simplex = simplex_gram(len(gram))
    return float(linalg.norm(gram / linalg.norm(gram) - simplex / linalg.norm(simplex)))


def as_square(table: np.ndarray) -> np.ndarray:
    """The table in float64.

    Raises:
        ValueError: unless it is [K, K], K at least 2.
    """
    table = np.asarray(table, np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2:
        raise ValueError(f"Expected a [K, K] matrix with K >= 2, got {table.shape}.")
    return table


def _centred(gram: np.ndarray) -> np.ndarray:
    gram = as_square(gram)
    return gram - gram.mean(0) - gram.mean(1)[:, None] + gram.mean()
