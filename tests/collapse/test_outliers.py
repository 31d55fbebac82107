"""NC5 and NECO: where features of out-of-distribution data lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.collapse.definitions import unit
from tests.collapse.problems import clusters, compiled, moments_of, simplex


def test_nc5_matches_loops_and_vanishes_for_orthogonal_outliers(x64):
    features, labels, _, _ = clusters()
    outliers = np.random.default_rng(1).normal(size=(30, 9)) + 1
    moments = moments_of(features, labels)
    mu = np.stack([features[labels == k].mean(0) for k in range(6)])
    ood = outliers.mean(0)
    want = np.mean(np.abs([unit(m) @ unit(ood) for m in mu]))
    array, summary = jnp.asarray(outliers), moments_of(outliers, np.arange(30) % 4)
    sparse = moments_of(features, labels + 1)  # class 0 is empty
    np.testing.assert_allclose(compiled.nc5(moments, summary), want)
    np.testing.assert_allclose(compiled.nc5(sparse, array), want)
    means = np.hstack([simplex(3, 4), np.zeros((3, 2))])
    moments = moments_of(means, np.arange(3))
    away = jnp.asarray([[0.0, 0, 0, 0, 1, 2]])
    np.testing.assert_allclose(compiled.nc5(moments, away), 0, atol=1e-15)
    np.testing.assert_allclose(
        compiled.nc5(moments, jnp.asarray(means[:1])), (1 + 0.5 + 0.5) / 3
    )


def test_neco_matches_principal_components(x64):
    features, labels, _, _ = clusters(4, 9, std=0.5)
    queries = np.random.default_rng(1).normal(size=(7, 9))
    moments = moments_of(features, labels)
    _, _, components = np.linalg.svd(features - features.mean(0))
    for rank in (3, 5):
        want = np.linalg.norm(queries @ components[:rank].T, axis=1)
        want /= np.linalg.norm(queries, axis=1)
        directions = compiled.principal_directions(moments, rank=rank)
        got = compiled.neco(jnp.asarray(queries), directions)
        np.testing.assert_allclose(got, want, rtol=1e-10)
    default = compiled.principal_directions(moments)
    same = compiled.principal_directions(moments, rank=3)
    np.testing.assert_array_equal(default, same)


def test_neco_tells_outliers_under_collapse():
    means = np.hstack([simplex(4, 5), np.zeros((4, 3))])
    labels = np.arange(40) % 4
    rng = np.random.default_rng(0)
    features = means[labels] + 0.01 * rng.normal(size=(40, 8))
    moments = moments_of(features.astype(np.float32), labels)
    directions = compiled.principal_directions(moments)
    inside = compiled.neco(jnp.asarray(features, jnp.float32), directions)
    outside = compiled.neco(jax.random.normal(jax.random.key(0), (40, 8)), directions)
    assert inside.min() > 0.99 > outside.max()
    with pytest.raises(ValueError, match=r"rank must be in 1\.\.8.*got 9"):
        compiled.principal_directions(moments, rank=9)


def test_a_feature_of_0_has_no_score():
    directions = jnp.eye(3)[:2]
    found = compiled.neco(jnp.array([[0.0, 0, 0], [3, 0, 4]]), directions)
    np.testing.assert_allclose(found, [np.nan, 0.6])
