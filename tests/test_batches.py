"""What a batch leaves for the scatter makes the scatter."""

import jax
import numpy as np
import pytest

from ncjax.batches import take_means
from ncjax.moments import ClassMoments

take = jax.jit(take_means)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_rows_make_the_scatter(weighted):
    rng = np.random.default_rng(0)
    state, total = ClassMoments.empty(3, 4, scatter="none"), np.zeros((4, 4))
    every = []
    for size in (1.0, 1e12):  # the second batch has another unit
        x = (size * rng.normal(size=(9, 4))).astype(np.float32)
        y = np.array([0, 1, 2, 0, 1, 2, 0, 5, -1], np.int32)
        w = rng.uniform(size=9).astype(np.float32) if weighted else None
        state, rows = take(state, x, y, w)
        residual = np.asarray(rows.residual, np.float64)
        total *= float(rows.rescale)
        total += (np.asarray(rows.mass)[:, None] * residual).T @ residual
        every.append((x[:7], y[:7], np.ones(7) if w is None else w[:7]))
    x, y, w = map(np.concatenate, zip(*every))
    means = np.stack([np.average(x[y == k], 0, w[y == k]) for k in range(3)])
    deviations = (x.astype(np.float64) - means[y]) / float(state.unit)
    expected = (w[:, None] * deviations).T @ deviations
    np.testing.assert_allclose(total, expected, rtol=1e-4)
    assert float(state.left_out) == 4
    assert float(state.total) == pytest.approx(w.sum())
