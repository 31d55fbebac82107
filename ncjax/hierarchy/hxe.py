"""The geometry that the hierarchical cross-entropy (HXE) selects on a balanced tree.

L = -sum_l w(C_l) log p(C_l | C_{l+1}) along the path C_0, C_1, ... of a class to the
root, with w falling by a factor exp(-alpha) a level.  On logits by level it is
-w_1 z_0 + sum_a c_a LSE_a, where LSE_a runs over the n_a classes within level a and
c_a = w_a - w_{a+1}.  The model, its constant c and the conventions are those of
`ncjax.hierarchy.soft_labels`.

References:
    Bertinetto et al., Making Better Mistakes, CVPR 2020 (the loss).  The optimum was
    derived for this project and checked against certified numerical optima.
"""

from __future__ import annotations

import numpy as np

from ncjax.hierarchy.algebra import (
    TreeLevels,
    entry_matrix,
    to_eigenvalues,
    tree_levels,
)
from ncjax.hierarchy.soft_labels import check_c
from ncjax.hierarchy.tree import Hierarchy
from ncjax.hierarchy.tree_optimum import TreeOptimum


def hxe_weights(levels: TreeLevels, alpha: float, weighting: str) -> np.ndarray:
    """HXE's weight of the edges below level h = 1..L: exp(-alpha t) [L].

    t is the height of the edge's lower node ("height", the paper's definition) or its
    depth ("depth", the authors' code before it normalises the weights).

    Args:
        levels: the levels of a balanced tree.
        alpha: discount per level, finite and >= 0.
        weighting: "height" or "depth".

    Raises:
        ValueError: if alpha is negative or not finite, or for another weighting.
    """
    if not 0 <= alpha < np.inf:
        raise ValueError(f"alpha must be finite and >= 0, got {alpha}.")
    heights = levels.heights[1:] - 1
    if weighting == "height":
        return np.exp(-alpha * heights)
    if weighting == "depth":
        return np.exp(-alpha * (levels.tree_height - heights))
    raise ValueError(f"Unknown weighting {weighting!r}. Available: height, depth.")


def hxe_recursion(weights: np.ndarray, sizes: np.ndarray, c: float) -> np.ndarray:
    """Softmax of the HXE optimum if all levels are active [L + 1].

    With c_a = w_a - w_{a+1} (c_L = w_L), from T_L = 1 down:
    x_h = c / sum_{a >= h} c_a/T_a, T_{h-1} = T_h - (n_h - n_{h-1}) x_h, x_0 = T_0.
    T_h is the probability of the group of n_h classes around the right one.

    Args:
        weights: w [L], from `hxe_weights`.
        sizes: n [L + 1], the leaves below a node of each level.
        c: strength of the weight decay, sqrt(n lW lH) > 0.

    Returns:
        x [L + 1], the probability of a class by the level at which it meets the right
        one.  NaN from where the recursion leaves (0, 1): not all levels are active.
    """
    falls = _falls(weights)
    found = np.full(len(sizes), np.nan)
    total, pull = 1.0, 0.0
    for h in range(len(weights), 0, -1):
        pull += falls[h - 1] / total
        if pull <= 0:
            return found
        found[h] = c / pull
        total -= (sizes[h] - sizes[h - 1]) * found[h]
        if total <= 0:
            return np.full(len(sizes), np.nan)
    found[0] = total
    return found


def hxe_optimum(
    tree: Hierarchy, alpha: float, c: float, weighting: str = "height"
) -> TreeOptimum:
    """Optimum of the UFM with HXE on a balanced tree.

    Where all levels are active, `hxe_recursion` gives the softmax of a row of Z.  That
    solution is valid if and only if all singular values of its Z are >= 0.  Otherwise
    levels merge, and what is left is a problem in the L singular values, which is
    solved here to rounding.

    Height weights make the problem convex.  They push siblings further apart than
    distant classes; the coarsest levels merge first, and Z = 0 if and only if K c >= 1.
    Depth weights do the opposite: distant classes are the furthest apart and siblings
    merge first; Z = 0 is stable for K c >= exp(-alpha).  With them the problem is not
    convex, so that the result is a critical point (`proven` is False); no search over
    all Z from random starts has found a better one.  See `hxe_small_c` for c -> 0.

    Args:
        tree: a balanced tree.
        alpha: discount per level, >= 0; 0 is cross-entropy.
        c: strength of the weight decay, sqrt(n lW lH) > 0.
        weighting: "height" or "depth"; see `hxe_weights`.

    Raises:
        HierarchyError: if the tree is not balanced.
        ValueError: for an alpha, c or weighting that is not allowed.
    """
    from scipy import special  # late: it takes half a second to import

    levels = tree_levels(tree)
    sizes = levels.sizes
    check_c(c)
    weights = hxe_weights(levels, alpha, weighting)
    probabilities = hxe_recursion(weights, sizes, c)
    with np.errstate(invalid="ignore"):
        values = to_eigenvalues(np.log(probabilities), sizes)[1:]
    if not np.all(values >= 0):
        values = _hxe_values(weights, sizes, c)
    logits = entry_matrix(sizes)[:, 1:] @ values
    loss, _, _ = _hxe(logits, weights, sizes)
    return TreeOptimum(
        levels=levels,
        logits=logits,
        probabilities=special.softmax(logits + _log_counts(sizes))
        / np.diff(sizes, prepend=0),
        singular_values=values,
        objective=float(loss + c * (levels.multiplicities[1:] @ values)),
        proven=weighting == "height" or alpha == 0,  # convex
    )


def hxe_small_c(
    tree: Hierarchy, alpha: float, c: float, weighting: str = "height"
) -> np.ndarray:
    """Leading order of the logits of `hxe_optimum` as c -> 0, with an error O(c).

    A wrong class gets the probability c/w_h, w = `hxe_weights`.  So the logits of
    neighbouring levels always differ by alpha, while that of the right class grows like
    log(1/c): the geometry tends to the simplex, as slowly as 1/log(1/c).  The arguments
    and errors are those of `hxe_optimum`.

    Returns:
        Entries of Z by level [L + 1].
    """
    levels = tree_levels(tree)
    check_c(c)
    weights = hxe_weights(levels, alpha, weighting)
    logits = np.append(0, np.log(c / weights))
    return logits - np.diff(levels.sizes, prepend=0) @ logits / levels.sizes[-1]


def _hxe(logits, weights, sizes):
    """Loss of a row of Z, its gradient and its Hessian in the logits by level [L + 1].

    L = -w_1 z_0 + sum_a c_a LSE_a, LSE_a over the n_a classes that meet at level <= a.
    """
    from scipy import special  # late: it takes half a second to import

    shifted = logits + _log_counts(sizes)
    loss, curvature = -weights[0] * logits[0], np.zeros((len(sizes), len(sizes)))
    slope = np.append(-weights[0], np.zeros(len(sizes) - 1))
    for a, weight in enumerate(_falls(weights), 1):
        p = np.append(special.softmax(shifted[: a + 1]), np.zeros(len(sizes) - a - 1))
        loss += weight * special.logsumexp(shifted[: a + 1])
        slope += weight * p
        curvature += weight * (np.diag(p) - np.outer(p, p))
    return loss, slope, curvature


def _hxe_values(weights, sizes, c):
    """Singular values [L] that minimise HXE + c |Z|_*.

    L-BFGS-B finds which of them are 0.  Newton's steps on the others, cut off at 0,
    then bring the gradient down to rounding: L-BFGS-B stops earlier, when the objective
    no longer changes in its last digit, where the gradient is about its square root.
    """
    weights, c = weights / weights.max(), c / weights.max()
    to_logits = entry_matrix(sizes)[:, 1:]
    groups = sizes[-1] / sizes
    price = c * (groups[:-1] - groups[1:])

    from scipy import optimize  # seconds to load: only where levels merge

    def objective(values):
        loss, slope, curvature = _hxe(to_logits @ values, weights, sizes)
        slope = slope @ to_logits + price
        return loss + price @ values, slope, to_logits.T @ curvature @ to_logits

    found = optimize.minimize(
        lambda values: objective(values)[:2],
        np.ones(len(price)),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0, None)] * len(price),
        options={"ftol": 1e-15, "gtol": 1e-10},
    ).x
    for _ in range(100):
        _, slope, curvature = objective(found)
        active = (found > 0) | (slope < -1e-15)
        if not active.any():
            break
        step = np.linalg.solve(curvature[np.ix_(active, active)], slope[active])
        moved = found.copy()
        moved[active] = np.maximum(found[active] - step, 0)
        found, change = moved, np.abs(moved - found).max()
        if change <= 1e-14 * found.max():
            break
    return np.where(found > 1e-12 * found.max(), found, 0)


def _falls(weights):
    """c_a = w_a - w_{a+1} for a = 1..L, with w_{L+1} = 0."""
    return -np.diff(weights, append=0)


def _log_counts(sizes):
    return np.log(np.diff(sizes, prepend=0))
