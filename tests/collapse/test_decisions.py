"""NC4 and the nearest class mean."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse import decisions
from tests.collapse.problems import clusters, compiled, moments_of, simplex


def nearest_loop(features, labels):
    h = np.asarray(features, np.float64)
    mu = np.stack([h[labels == k].mean(0) for k in range(labels.max() + 1)])
    return np.array([np.argmin([np.sum((x - m) ** 2) for m in mu]) for x in h])


@pytest.mark.parametrize("memory", [2**24, 60])
def test_nearest_mean_nc4_and_accuracy(memory, x64, monkeypatch):
    monkeypatch.setattr(decisions, "_LOGITS", memory)  # 60: ten rows at a time
    features, labels, classifier, bias = clusters(std=1.5)
    moments = moments_of(features, labels)
    want = nearest_loop(features, labels)
    arrays = jnp.asarray(features), jnp.asarray(labels)
    np.testing.assert_array_equal(collapse.nearest_mean(arrays[0], moments), want)
    weights = np.random.default_rng(0).integers(0, 3, len(labels)).astype(float)
    for logits in (features @ classifier.T, features @ classifier.T + 20 * bias):
        wrong = logits.argmax(1) != want
        assert 0 < wrong.mean() < 1
        got = collapse.nc4(arrays[0], jnp.asarray(logits), moments)
        np.testing.assert_allclose(got, wrong.mean())
        got = collapse.nc4(
            arrays[0], jnp.asarray(logits.argmax(1)), moments, jnp.asarray(weights)
        )
        np.testing.assert_allclose(got, np.average(wrong, weights=weights))
    hits = want == labels
    assert 0 < hits.mean() < 1
    np.testing.assert_allclose(collapse.ncc_accuracy(*arrays, moments), hits.mean())
    outside = arrays[1].at[:5].set(-1)
    np.testing.assert_allclose(
        collapse.ncc_accuracy(arrays[0], outside, moments, jnp.asarray(weights)),
        np.average(hits[5:], weights=weights[5:]),
    )


def test_common_part_does_not_flip_decisions():
    """A common part 3e4 times the class differences, in float32."""
    rng = np.random.default_rng(0)
    means, labels = simplex(10, 32), np.repeat(np.arange(10), 20)
    features = means[labels] + 0.3 * rng.normal(size=(200, 32)) + 3e4 / np.sqrt(32)
    features = features.astype(np.float32)
    moments = moments_of(features, labels)
    got = compiled.nearest_mean(jnp.asarray(features), moments)
    want = nearest_loop(features, labels)
    assert (want != labels).any()
    np.testing.assert_array_equal(got, want)


def test_nc4_is_about_the_decision_not_the_label():
    """All samples misplaced by network and means alike: NC4 0, accuracy 0."""
    means = jnp.asarray(simplex(3, 4), jnp.float32)
    moments = moments_of(means, np.arange(3))
    swapped = means[jnp.array([1, 2, 0])]
    assert compiled.nc4(swapped, swapped @ means.T, moments) == 0
    assert compiled.ncc_accuracy(swapped, jnp.arange(3), moments) == 0
