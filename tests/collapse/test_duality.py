"""NC3 and its relatives: definitions, unrelated and opposite classifiers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

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


def nuclear_cosine(x):
    """Cosine of W and the means, once the best rotation is found."""
    size = np.linalg.norm(x.w) * np.linalg.norm(x.m0)
    return np.linalg.norm(x.w.T @ x.m0, "nuc") / size


# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "nc3": lambda x: REFERENCES[x.convention.nc3](x),
    "nc3_etf": lambda x: etf(x.wc, x.m),
    "nc3_papyan": papyan,
    "nc3_cosine": lambda x: np.mean([1 - unit(w) @ unit(m) for w, m in zip(x.wc, x.m)]),
    "uniform_duality": uniform_duality,
    "bias_collapse": lambda x: np.linalg.norm(x.w @ x.mu_g + x.bias),
    "shape_residual": lambda x: 1 - nuclear_cosine(x),
    "misalignment": lambda x: nuclear_cosine(x) - np.sum(unit(x.w) * unit(x.m0)),
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


@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4)])
def test_principal_angles_match_scipy(k, d, x64):
    features, labels, classifier, _ = clusters(k, d)
    moments = moments_of(features, labels)
    centred = classifier - classifier.mean(0)
    got = compiled.principal_angles(moments, jnp.asarray(centred))
    r = min(k - 1, d)
    means = np.asarray(compiled.centred_means(moments))
    bases = [np.linalg.svd(x)[2][:r].T for x in (means, centred)]
    want = np.sort(scipy.linalg.subspace_angles(*bases))
    np.testing.assert_allclose(got, want, atol=1e-12)
    # W not centred has rank K: angles of subspaces of different dimension.
    got = compiled.principal_angles(moments, jnp.asarray(classifier))
    bases[1] = np.linalg.svd(classifier)[2][: min(k, d)].T
    want = np.sort(scipy.linalg.subspace_angles(*bases))
    np.testing.assert_allclose(got, want, atol=1e-12)


def test_small_angles_in_float32():
    """Alone, arccos resolves 3e-4; a rotation by 1e-5 must show."""
    means = np.zeros((3, 4))
    means[:, :2] = simplex(3, 2)
    moments = moments_of(means.astype(np.float32), np.arange(3))
    turned = means.copy()
    turned[:, 2] = 1e-5 * means[:, 1]
    angles = compiled.principal_angles(moments, jnp.asarray(turned, jnp.float32))
    np.testing.assert_allclose(angles, [0, 1e-5], atol=2e-7)


@pytest.mark.parametrize(("k", "d"), [(4, 9), (9, 4)])
def test_rotation_splits_duality(k, d, x64):
    features, labels, classifier, _ = clusters(k, d)
    moments = moments_of(features, labels)
    rotation = np.linalg.qr(np.random.default_rng(2).normal(size=(d, d)))[0]
    means = np.asarray(compiled.centred_means(moments))
    turned = jnp.asarray(5 * means @ rotation)
    np.testing.assert_allclose(compiled.shape_residual(moments, turned), 0, atol=1e-12)
    for rows in (turned, jnp.asarray(classifier)):
        np.testing.assert_allclose(
            compiled.shape_residual(moments, rows)
            + compiled.misalignment(moments, rows),
            compiled.nc3_papyan(moments, rows) / 2,
        )
