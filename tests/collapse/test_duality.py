"""NC3 and its relatives: definitions, unrelated and opposite classifiers."""

import jax
import jax.numpy as jnp
import numpy as np

from ncjax import collapse
from tests.collapse.definitions import etf, unit
from tests.collapse.problems import clusters, compiled, moments_of, simplex


def papyan(x):
    distance = np.linalg.norm(unit(x.wc) - unit(x.m))
    return distance**2 if x.convention.squared else distance


def uniform_duality(x):
    products = [w @ m for w, m in zip(x.wc, x.m)]
    cosine = [unit(w) @ unit(m) for w, m in zip(x.wc, x.m)]
    values = cosine if x.convention.normalise_duality else products
    return np.var(values, ddof=x.convention.duality_ddof)


# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "nc3": lambda x: REFERENCES[x.convention.nc3](x),
    "nc3_etf": lambda x: etf(x.wc, x.m),
    "nc3_papyan": papyan,
    "nc3_cosine": lambda x: np.mean([1 - unit(w) @ unit(m) for w, m in zip(x.wc, x.m)]),
    "uniform_duality": uniform_duality,
    "bias_collapse": lambda x: np.linalg.norm(x.w @ x.mu_g + x.bias),
}


def test_nc3_of_unrelated_and_of_opposite_classifier():
    features, labels, _, _ = clusters(10, 64, 5, 0.1)
    moments = moments_of(features.astype(np.float32), labels)
    rows = jax.random.normal(jax.random.key(0), (2000, 10, 64))
    values = jax.jit(jax.vmap(lambda w: collapse.nc3(moments, w)))(rows)
    np.testing.assert_allclose(values.mean(), 1.4155, atol=4e-3)
    means = jnp.asarray(simplex(10, 64), jnp.float32)
    moments = moments_of(means, np.arange(10))
    np.testing.assert_allclose(compiled.nc3(moments, -2 * means), 2, rtol=1e-6)
    np.testing.assert_allclose(compiled.nc3_papyan(moments, -means), 4, rtol=1e-6)
