"""NC4, nearest class means, out-of-distribution features."""

import jax
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
    monkeypatch.setattr(decisions, "_DISTANCES", memory)  # 60: ten rows at a time
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
        got = span.nearest(deviations, arrays[1])
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
    got = span.nearest(span.deviations(*arrays), arrays[1])
    np.testing.assert_array_equal(got, compiled.nearest_mean(arrays[0], moments))
    assert not (got == 2).any()


def test_nc4_is_about_the_decision_not_the_label():
    """All samples misplaced by network and means alike: NC4 0, accuracy 0."""
    means = jnp.asarray(simplex(3, 4), jnp.float32)
    moments = moments_of(means, np.arange(3))
    swapped = means[jnp.array([1, 2, 0])]
    assert compiled.nc4(swapped, swapped @ means.T, moments) == 0
    assert compiled.ncc_accuracy(swapped, jnp.arange(3), moments) == 0


def test_nc5_matches_loops_and_vanishes_for_orthogonal_outliers(x64):
    features, labels, _, _ = clusters()
    outliers = np.random.default_rng(1).normal(size=(30, 9)) + 1
    moments = moments_of(features, labels)
    mu = np.stack([features[labels == k].mean(0) for k in range(6)])

    def loop(shift):
        ood = outliers.mean(0) - shift
        return np.mean(
            [
                abs((m - shift) @ ood) / np.linalg.norm(m - shift) / np.linalg.norm(ood)
                for m in mu
            ]
        )

    array, summary = jnp.asarray(outliers), moments_of(outliers, np.arange(30) % 4)
    sparse = moments_of(features, labels + 1)  # class 0 is empty
    np.testing.assert_allclose(compiled.nc5(moments, summary), loop(0))
    np.testing.assert_allclose(compiled.nc5(sparse, array), loop(0))
    got = compiled.nc5(moments, array, center=True)
    np.testing.assert_allclose(got, loop(mu.mean(0)))
    means = np.hstack([simplex(3, 4), np.zeros((3, 2))])
    moments = moments_of(means, np.arange(3))
    away = jnp.asarray([[0.0, 0, 0, 0, 1, 2]])
    np.testing.assert_allclose(compiled.nc5(moments, away), 0, atol=1e-15)
    np.testing.assert_allclose(
        compiled.nc5(moments, jnp.asarray(means[:1])), (1 + 0.5 + 0.5) / 3
    )


@pytest.mark.parametrize("center", [False, True])
def test_neco_matches_principal_components(center, x64):
    features, labels, _, _ = clusters(4, 9, std=0.5)
    queries = np.random.default_rng(1).normal(size=(7, 9))
    moments = moments_of(features, labels)
    _, _, components = np.linalg.svd(features - features.mean(0))
    x = queries - features.mean(0) * center
    for rank in (3, 5):
        want = np.linalg.norm(x @ components[:rank].T, axis=1)
        want /= np.linalg.norm(x, axis=1)
        got = compiled.neco(jnp.asarray(queries), moments, rank=rank, center=center)
        np.testing.assert_allclose(got, want, rtol=1e-10)
    default = compiled.neco(jnp.asarray(queries), moments, center=center)
    same = compiled.neco(jnp.asarray(queries), moments, rank=3, center=center)
    np.testing.assert_array_equal(default, same)


def test_neco_tells_outliers_under_collapse():
    means = np.hstack([simplex(4, 5), np.zeros((4, 3))])
    labels = np.arange(40) % 4
    rng = np.random.default_rng(0)
    features = means[labels] + 0.01 * rng.normal(size=(40, 8))
    moments = moments_of(features.astype(np.float32), labels)
    inside = compiled.neco(jnp.asarray(features, jnp.float32), moments)
    outside = compiled.neco(jax.random.normal(jax.random.key(0), (40, 8)), moments)
    assert inside.min() > 0.99 > outside.max()
    with pytest.raises(ValueError, match=r"rank must be in 1\.\.8.*got 9"):
        compiled.neco(jnp.ones((1, 8)), moments, rank=9)
