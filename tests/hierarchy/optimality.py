"""Losses from their definitions, and the conditions that a global optimum fulfils.

The UFM with soft labels or height-weighted HXE is convex in Z, so that a point with
|G|_2 <= c and <-G, Z> = c |Z|_*, G the gradient of the loss, is a global optimum: that
is an independent proof of each closed form.
"""

import numpy as np
from scipy import special

from ncjax.gram import gram_cosines, gram_nc2


def hxe_loss(logits, tree, alpha, weighting):
    """Loss and gradient from the definition, - sum_l w(C_l) log p(C_l | C_{l+1})."""
    k = len(logits)
    loss, slope = 0.0, np.zeros((k, k))
    for row in range(k):
        node = tree.leaves[row]
        while node:
            w = tree.heights[node] if weighting == "height" else tree.depths[node]
            w = np.exp(-alpha * w)
            for part, sign in ((node, -1), (tree.parents[node], 1)):
                inside = tree.ancestors()[:, part]
                loss += sign * w * special.logsumexp(logits[row, inside])
                slope[row, inside] += sign * w * special.softmax(logits[row, inside])
            node = tree.parents[node]
    return loss / k, slope / k


def soft_label_loss(logits, targets):
    k = len(logits)
    loss = -np.sum(targets * special.log_softmax(logits, axis=1)) / k
    return loss, (special.softmax(logits, axis=1) - targets) / k


def assert_global(optimum, loss, slope, c):
    """The optimality conditions of a convex loss with c |Z|_*."""
    z = optimum.gram
    nuclear = np.linalg.norm(z, "nuc")
    assert np.linalg.norm(slope, 2) <= c * (1 + 1e-8) + 1e-14
    np.testing.assert_allclose(-np.sum(slope * z), c * nuclear, rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(
        optimum.objective, loss + c * nuclear, rtol=1e-12, atol=1e-14
    )


def assert_consistent(optimum):
    """Fields of an optimum against the [K, K] matrices."""
    z, counts = optimum.gram, np.diff(optimum.levels.sizes, prepend=0)
    values = np.linalg.svd(z, compute_uv=False)
    np.testing.assert_allclose(z.sum(1), 0, atol=1e-12)
    np.testing.assert_allclose(
        np.sort(values)[1:],
        np.sort(np.repeat(optimum.singular_values, optimum.levels.multiplicities[1:])),
        atol=1e-9,
    )
    assert optimum.rank == np.sum(values > 1e-9)
    np.testing.assert_allclose(
        optimum.probabilities[optimum.levels.table],
        special.softmax(z, axis=1),
        rtol=1e-11,
    )
    np.testing.assert_allclose(counts @ optimum.probabilities, 1)
    if optimum.rank:
        np.testing.assert_allclose(optimum.nc2, gram_nc2(z), atol=1e-12)
        np.testing.assert_allclose(
            optimum.cosines[optimum.levels.table], gram_cosines(z), atol=1e-9
        )
    else:
        assert np.isnan(optimum.nc2)
