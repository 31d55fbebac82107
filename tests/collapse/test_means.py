"""Centred class means, their directions, and how many dimensions they span."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse.means import centre, total_cov
from tests.collapse.problems import clusters, compiled, moments_of
from tests.collapse.test_decisions import nearest_loop

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


def test_total_covariance_is_that_of_all_features(x64):
    features, labels, _, _ = clusters(5, 7)
    got = jax.jit(total_cov)(moments_of(features, labels))
    np.testing.assert_allclose(got, np.cov(features.T, ddof=0), rtol=1e-10, atol=1e-12)


def nearest(span, deviations, labels):
    points = span.coordinates(deviations, labels)
    return collapse.nearest_row(points, span.means, span.present)


@pytest.mark.parametrize("k", [5, 40])  # fewer and more classes than dimensions
def test_span_gives_nearest_means_and_within_variance(k):
    """A common part of 1e3, deviations 1e-2 or 1: float32 against loops in float64."""
    for std in (1e-2, 1.0):
        features, labels, _, _ = clusters(k, 9, 30, std, offset=1e3)
        features = features.astype(np.float32)
        moments = moments_of(features, labels)
        arrays = jnp.asarray(features), jnp.asarray(labels)
        span = jax.jit(collapse.Span.of)(moments)
        deviations = span.deviations(*arrays)
        got = nearest(span, deviations, arrays[1])
        np.testing.assert_array_equal(got, nearest_loop(features, labels))
        np.testing.assert_allclose(
            jnp.mean(deviations**2, axis=0),
            compiled.within_variance(*arrays, moments, span.directions),
            rtol=1e-5,
        )
        # Against float64, of residuals about another sample of each class.
        order = np.unique(labels[::-1], return_index=True)[1]
        pivot = features[::-1][order]
        moved = span.with_pivot(jnp.asarray(pivot))
        residual = jnp.asarray(features - pivot[labels])
        means = np.stack(
            [features[labels == c].mean(0, dtype=np.float64) for c in range(k)]
        )
        want = (features - means[labels]) @ np.asarray(span.directions, np.float64).T
        for got in (
            deviations,
            moved.residual_deviations(residual, arrays[1]),
        ):
            np.testing.assert_allclose(got, want, atol=2e-5 * std)


def test_span_of_classes_without_samples():
    """Features of a class that the means do not know: the others decide as before."""
    features, labels, _, _ = clusters(6, 9, 20, 1.0, offset=100.0)
    features = features.astype(np.float32)
    some = labels != 2
    moments = moments_of(features[some], labels[some], 6)
    span = jax.jit(collapse.Span.of)(moments)
    arrays = jnp.asarray(features), jnp.asarray(labels)
    got = nearest(span, span.deviations(*arrays), arrays[1])
    np.testing.assert_array_equal(got, compiled.nearest_mean(arrays[0], moments))
    assert not (got == 2).any()
