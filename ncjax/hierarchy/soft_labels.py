"""The geometry that soft labels select on a tree.

In the unconstrained-features model (UFM) with K classes of n samples each,

    min over W, H of (1/N) sum_i loss(W h_i, y_i) + (lW/2)|W|^2 + (lH/2)|H|^2,

features collapse to their class means, and all depends on Z, the logits of the class
means, and on c = sqrt(n lW lH): min over Z of (1/K) sum_k loss_k(Z) + c |Z|_*.  For a
balanced tree the optimum is known in closed form; its class means have the Gram matrix
sqrt(lW/(n lH)) Z and the classifier sqrt(n lH/lW) Z, so both are Z up to scale.
`ncjax.hierarchy.hxe` has the same for the hierarchical cross-entropy.

Row k of a [K, K] matrix here belongs to a sample of class k, as in `logits` [n, K].
Everything is float64 NumPy.  The results were derived for this project and checked
against certified numerical optima; soft labels are those of Bertinetto et al., Making
Better Mistakes, CVPR 2020.
"""

from __future__ import annotations

import numpy as np

from ncjax.gram import as_square
from ncjax.hierarchy.algebra import to_eigenvalues, to_entries, tree_levels
from ncjax.hierarchy.tree import Hierarchy
from ncjax.hierarchy.tree_optimum import TreeOptimum


def soft_label_matrix(distances: np.ndarray, beta: float) -> np.ndarray:
    """Soft targets, y_A(C) = exp(-beta d(A, C)) / sum_B exp(-beta d(B, C)).

    Row C is the target of class C and sums to 1.  Symmetric if all classes see the same
    multiset of distances, as in balanced trees.  beta = 0 gives 1/K everywhere, beta =
    inf one-hot targets.

    Args:
        distances: d [K, K]; d(A, A) = 0, all other entries positive.
        beta: sharpness, >= 0.

    Returns:
        float64 [K, K].

    Raises:
        ValueError: if beta is negative or NaN, or the distances are not [K, K].
    """
    distances = as_square(distances)
    check_beta(beta)
    if np.isinf(beta):
        return np.eye(len(distances))
    from scipy import special  # late: it takes half a second to import

    return special.softmax(-beta * distances, axis=1)


def soft_label_limit(distances: np.ndarray, *, free_bias: bool) -> np.ndarray:
    """Z/beta of soft labels on any tree as c -> 0: the smallest logits that fit them.

    The targets fix each row of Z up to a constant, and the nuclear norm chooses the
    constant that centres the row: Z -> -beta D P.  A bias without decay takes up the
    mean row as well: Z -> -beta P D P, which is symmetric and, for a tree, positive
    semi-definite.  On a balanced tree both agree: squared distances of the class means
    are proportional to d(A, B), and their cosines are 1 - d/mean(d), whatever beta.

    Args:
        distances: D [K, K], the distances of the classes in the tree.
        free_bias: whether the model has a bias, without weight decay.

    Returns:
        float64 [K, K]; `ncjax.gram.mean_gram` gives the Gram matrix of the class means
        with these logits.
    """
    distances = as_square(distances)
    rows = -(distances - distances.mean(1, keepdims=True))
    return rows - rows.mean(0) if free_bias else rows


def soft_label_optimum(tree: Hierarchy, beta: float, c: float) -> TreeOptimum:
    """Optimum of the UFM with soft labels on a balanced tree; any beta and c.

    The softmax matrix is the target matrix Y with its eigenvalues soft-thresholded,
    lambda_h(P) = max(lambda_h(Y) - K c, 0), and Z is log P, entry by entry, with its
    rows centred; loss plus c |Z|_* is the entropy of a row of P.  lambda_h(Y) grows
    with h, so that siblings merge first, at K c = lambda_1(Y), and all classes have
    merged at K c >= lambda_L(Y).  While all levels are active, P is y + c off the
    diagonal.  beta to infinity gives the simplex; c to 0 gives `soft_label_limit`.

    Args:
        tree: a balanced tree.
        beta: sharpness of the targets, >= 0; may be infinite.
        c: strength of the weight decay, sqrt(n lW lH) > 0.

    Raises:
        HierarchyError: if the tree is not balanced.
        ValueError: if beta < 0 or c <= 0.
    """
    from scipy import special  # late: it takes half a second to import

    levels = tree_levels(tree)
    sizes = levels.sizes
    check_beta(beta)
    check_c(c)
    counts = np.diff(sizes, prepend=0)
    powers = np.append(1, np.exp(-beta * levels.distances[1:]))
    targets = powers / (counts @ powers)
    spectrum = to_eigenvalues(targets, sizes)
    # Y minus what the threshold takes away keeps the digits of small entries.
    removed = np.minimum(spectrum, sizes[-1] * c)
    removed[0] = 0
    probabilities = targets - to_entries(removed, sizes)
    active = spectrum[1:] > sizes[-1] * c
    logits = np.log(probabilities)
    logits -= counts @ logits / sizes[-1]
    values = np.where(active, to_eigenvalues(logits, sizes)[1:], 0)
    return TreeOptimum(
        levels=levels,
        logits=to_entries(np.append(0, values), sizes),
        probabilities=probabilities,
        singular_values=values,
        objective=float(counts @ special.entr(probabilities)),
        proven=True,
    )


def check_beta(beta: float) -> None:
    """Raises ValueError unless beta >= 0."""
    if not beta >= 0:
        raise ValueError(f"beta must be >= 0, got {beta}.")


def check_c(c: float) -> None:
    """Raises ValueError unless 0 < c < inf."""
    if not 0 < c < np.inf:
        raise ValueError(f"c = sqrt(n lW lH) must be finite and > 0, got {c}.")
