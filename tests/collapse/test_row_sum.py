"""NC0: the row sum of the classifier, its norm and its mean square."""

import jax.numpy as jnp
import numpy as np
import pytest

from tests.collapse.problems import compiled

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "nc0": lambda x: np.linalg.norm(sum(x.w)),
    "nc0_squared": lambda x: np.linalg.norm(sum(x.w)) ** 2 / len(x.w),
}


def test_by_hand():
    rows = jnp.array([[1.0, 2.0], [2.0, 2.0], [0.0, 0.0], [9.0, 9.0]])
    present = jnp.array([True, True, True, False])
    assert compiled.nc0(rows, present) == 5
    assert compiled.nc0_squared(rows, present) == pytest.approx(25 / 3)
    assert compiled.nc0(rows) == pytest.approx(np.hypot(12, 13))


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_norm_keeps_any_scale(scale):
    rows = jnp.array([[3.0, 0.0], [0.0, 4.0]]) * scale
    assert compiled.nc0(rows) == pytest.approx(5 * scale, rel=1e-6)


def test_the_law_of_pytorch_s_initialisation():
    """Uniform in +-1/sqrt(d): |W'1| is near sqrt(K/3), the 1.75 of the paper's map."""
    rng = np.random.default_rng(0)
    rows = rng.uniform(-1, 1, (10, 512)) / np.sqrt(512)
    assert compiled.nc0(jnp.asarray(rows)) == pytest.approx((10 / 3) ** 0.5, rel=0.1)
