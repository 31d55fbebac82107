"""The parts of the MSE loss sum to it, and vanish where they should."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse, losses
from tests.collapse.problems import clusters, compiled, moments_of, simplex


@pytest.fixture(autouse=True)
def _x64():
    with jax.enable_x64(True):
        yield


def loss(features, labels, classifier, bias, decay, bias_decay=None):
    """The loss itself: mean of `losses.mse` plus weight decay."""
    bias = jnp.zeros(len(classifier)) if bias is None else bias
    logits = jnp.asarray(features) @ classifier.T + bias
    bias_decay = decay if bias_decay is None else bias_decay
    return (
        losses.mse(logits, jnp.asarray(labels)).mean()
        + decay / 2 * jnp.sum(classifier**2)
        + bias_decay / 2 * jnp.sum(bias**2)
    )


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("bias_decay", [None, 0.0, 0.3])
def test_parts_sum_to_the_loss(balanced, with_bias, bias_decay):
    features, labels, classifier, bias = clusters(balanced=balanced)
    classifier = jnp.asarray(classifier)
    bias = jnp.asarray(bias) if with_bias else None
    moments = moments_of(features, labels)
    parts = compiled.mse_decomposition(
        moments, classifier, bias, 5e-3, bias_decay=bias_decay
    )
    want = loss(features, labels, classifier, bias, 5e-3, bias_decay)
    np.testing.assert_allclose(sum(parts), want, rtol=1e-10)
    assert min(parts) > 0


@pytest.mark.parametrize("with_bias", [True, False])
def test_ridge_classifier_is_the_central_path(with_bias):
    features, labels, _, _ = clusters()
    moments = moments_of(features, labels)
    classifier, bias = compiled.ridge_classifier(moments, 5e-3, use_bias=with_bias)
    bias = bias if with_bias else None

    def of(parameters):
        return loss(features, labels, *parameters, 5e-3)

    gradient = jax.grad(of)((classifier, bias))
    for g in jax.tree.leaves(gradient):
        np.testing.assert_allclose(g, 0, atol=1e-11)
    parts = compiled.mse_decomposition(moments, classifier, bias, 5e-3)
    np.testing.assert_allclose(parts.off_path, 0, atol=1e-20)
    np.testing.assert_allclose(sum(parts), of((classifier, bias)), rtol=1e-10)
    # Off the path, the part is the rise of the loss: it is quadratic.
    step = jnp.asarray(np.random.default_rng(0).normal(size=classifier.shape))
    moved = compiled.mse_decomposition(moments, classifier + step, bias, 5e-3)
    rise = of((classifier + step, bias)) - of((classifier, bias))
    np.testing.assert_allclose(moved.off_path, rise, rtol=1e-9)
    np.testing.assert_allclose(moved[:2], parts[:2])


def test_ridge_classifier_of_collapsed_features():
    """Means s e_k, n = 1, no bias: W = s/K / (s^2/K + l) I by hand."""
    k, size, decay = 4, 3.0, 0.01
    moments = moments_of(size * np.eye(k), np.arange(k))
    classifier, _ = compiled.ridge_classifier(moments, decay, use_bias=False)
    gain = size / k / (size**2 / k + decay)
    np.testing.assert_allclose(classifier, gain * np.eye(k), atol=1e-14)
    parts = compiled.mse_decomposition(moments, classifier, None, decay)
    np.testing.assert_allclose(parts.nc1, decay / 2 * k * gain**2)
    np.testing.assert_allclose(parts.nc2_nc3, 0.5 * (1 - gain * size) ** 2)


def test_empty_class_keeps_its_target():
    features, labels, classifier, bias = clusters()
    moments = moments_of(features, labels, 7)
    classifier = jnp.asarray(np.vstack([classifier, np.ones(9)]))
    bias = jnp.asarray(np.append(bias, 0.5))
    parts = compiled.mse_decomposition(moments, classifier, bias, 5e-3)
    want = loss(features, labels, classifier, bias, 5e-3)
    np.testing.assert_allclose(sum(parts), want, rtol=1e-10)


def test_float32_and_bad_input():
    with jax.enable_x64(False):
        means = jnp.asarray(simplex(4, 6), jnp.float32) + 1
        labels = jnp.repeat(jnp.arange(4), 5)
        features = means[labels] + 0.1 * jax.random.normal(jax.random.key(0), (20, 6))
        moments = moments_of(features, np.asarray(labels))
        args = moments, means, jnp.zeros(4), 5e-3
        parts = jax.jit(collapse.mse_decomposition)(*args)
        want = loss(features, labels, means, jnp.zeros(4), 5e-3)
        np.testing.assert_allclose(sum(parts), want, rtol=1e-5)
        with pytest.raises(ValueError, match="weight_decay must be positive, got 0"):
            collapse.mse_decomposition(moments, means, None, 0.0)
        with pytest.raises(ValueError, match="bias_decay must be at least 0, got -1"):
            collapse.mse_decomposition(*args, bias_decay=-1.0)


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12, 1e20, 1e25])
@pytest.mark.parametrize("with_bias", [True, False])
def test_no_scale_of_float32_features_makes_a_wrong_number(scale, with_bias):
    """Against float64, in which these squares are in range."""
    features, labels, classifier, bias = clusters()
    bias = bias if with_bias else None
    features = (scale * features).astype(np.float32)
    classifier = (classifier / scale).astype(np.float32)
    exact = moments_of(features.astype(np.float64), labels)
    want = compiled.mse_decomposition(exact, classifier.astype(float), bias, 5e-3)
    wanted, _ = compiled.ridge_classifier(exact, 5e-3, use_bias=with_bias)
    with jax.enable_x64(False):
        bias = None if bias is None else jnp.asarray(bias, jnp.float32)
        moments = moments_of(features, labels)
        assert moments.pivot.dtype == jnp.float32
        got = compiled.mse_decomposition(moments, classifier, bias, 5e-3)
        best, _ = compiled.ridge_classifier(moments, 5e-3, use_bias=with_bias)
    for found, value in zip(got, want, strict=True):
        if value < 1e38:
            np.testing.assert_allclose(found, value, rtol=1e-3, atol=1e-38)
        else:  # more than float32 holds
            assert not np.isfinite(found)
    far = np.abs(best - wanted).max() / np.abs(wanted).max()
    assert far < 1e-3  # at scale 1 it is 6e-5
