"""Features in the span of the class means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from tests.collapse.problems import clusters, compiled, moments_of
from tests.collapse.test_decisions import nearest_loop


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
