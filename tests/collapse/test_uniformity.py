"""Uniformity on the sphere: definitions, and wide features in float32."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.spatial
import scipy.special

from ncjax import collapse
from tests.collapse.definitions import distances
from tests.collapse.problems import compiled


def riesz(x):
    exponent = x.d - 2 or 1
    return np.log(np.mean(distances(x.m) ** -float(exponent))) / exponent


# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "uniformity": lambda x: np.mean(-np.log(distances(x.m))),
    "uniformity_var": lambda x: np.var(-np.log(distances(x.m))),
    "uniformity_riesz": riesz,
}


def test_uniformity_of_wide_features_in_float32():
    """The energy itself, distance^-510, is 0 or infinite in float32."""
    rows = np.random.default_rng(0).normal(size=(30, 512))
    rows[1] = rows[0] + 0.5 * rows[1]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    distances = scipy.spatial.distance.pdist(unit)
    got = compiled.riesz_kernel(jnp.asarray(rows, jnp.float32))
    want = scipy.special.logsumexp(-510 * np.log(distances)) - np.log(len(distances))
    np.testing.assert_allclose(got, want / 510, rtol=1e-5)
    near = compiled.riesz_kernel(jnp.asarray(rows, jnp.float32), exponent=1e-3)
    mean, variance = compiled.log_kernel(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(near, mean, atol=1e-3)
    np.testing.assert_allclose(mean, -np.log(distances).mean(), rtol=1e-5)
    np.testing.assert_allclose(variance, np.log(distances).var(), rtol=1e-4)
    with pytest.raises(ValueError, match="log_kernel"):
        collapse.riesz_kernel(jnp.asarray(rows), exponent=0.0)
