"""Centred class means, their directions, and how many dimensions they span."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.collapse.means import centre
from tests.collapse.problems import clusters, compiled, moments_of

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "rank": lambda x: x.rank,
    "numerical_rank": lambda x: (
        np.linalg.norm(x.between_rows, "nuc") ** 2 / np.sum(x.between_rows**2)
    ),
}


@pytest.mark.parametrize("weighting", ["classes", "samples"])
def test_the_basis_is_that_of_the_between_class_covariance(weighting, x64):
    features, labels, _, _ = clusters(5, 7)
    values, directions = compiled.between_basis(
        moments_of(features, labels), global_mean=weighting, between=weighting
    )
    means = np.stack([features[labels == k].mean(0) for k in range(5)])
    share = np.bincount(labels) / len(labels)
    share = share if weighting == "samples" else np.full(5, 1 / 5)
    centred = means - share @ means
    want = centred.T @ np.diag(share) @ centred
    got = directions.T @ np.diag(values**2 / 5) @ directions
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(directions @ directions.T, np.eye(4), atol=1e-12)


def test_a_common_part_is_not_rounded_into_the_means():
    """Features far from 0, in float32: 1e4 times as far as their means are apart."""
    features, labels, _, _ = clusters(4, 6, std=1e-3, offset=1e4)
    features = features.astype(np.float32)
    moments = moments_of(features, labels)
    exact = np.stack([features[labels == k].astype(float).mean(0) for k in range(4)])
    centred = exact - exact.mean(0)
    np.testing.assert_allclose(compiled.centred_means(moments), centred, atol=1e-5)
    shifted = jax.jit(centre)(moments).points(jnp.asarray(features))
    np.testing.assert_allclose(shifted, features - exact.mean(0), atol=1e-5)
