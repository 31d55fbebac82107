"""Principal directions and rows of W, also of matrices with hardly any gap."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.regression.spans import leading_axes, row_axes


@pytest.mark.parametrize("gap", [100.0, 1.5, 1.001])
def test_leading_axes_are_those_of_all_eigenvectors(gap):
    """Of 128 dimensions; the last gap is too small for some steps of iteration."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(128, 128)))[0]
    values = np.concatenate([gap * np.array([9.0, 4, 1]), np.linspace(1, 0.9, 125)])
    matrix = (turn * values) @ turn.T
    axes = jax.jit(leading_axes, static_argnums=1)(jnp.asarray(matrix, jnp.float32), 3)
    found = np.asarray(axes, np.float64)
    np.testing.assert_allclose(found @ found.T, np.eye(3), atol=1e-5)
    kept = np.trace(found @ matrix @ found.T)
    assert kept == pytest.approx(values[:3].sum(), rel=1e-5)


def test_rows_that_depend_on_others_are_no_directions():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(2, 6)).astype(np.float32)
    axes = np.asarray(row_axes(jnp.asarray([*rows, rows[0] - rows[1]])))
    assert np.linalg.norm(axes, axis=1) == pytest.approx([1, 1, 0], abs=1e-5)
    np.testing.assert_allclose(rows - rows @ axes.T @ axes, 0, atol=1e-5)
