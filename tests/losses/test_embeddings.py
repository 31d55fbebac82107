"""Losses on an embedding, with the fixed vectors of the classifier of their name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.classifiers import CLASSIFIERS
from ncjax.classifiers.vectors import frame_gram, symmetric_root
from ncjax.losses import dot_regression, haframe, label_embedding
from tests.losses.trees import CIFAR, softmax


def test_label_embedding_of_nothing_has_a_finite_gradient():
    vectors = CLASSIFIERS["label_embedding"](10, hierarchy=CIFAR).vectors
    grad = jax.grad(
        lambda e: label_embedding(e, jnp.array([0]), vectors=vectors).sum()
    )(jnp.zeros((1, 10)))
    assert np.isfinite(grad).all()


def test_haframe_limits():
    np.testing.assert_allclose(  # the least m would be -1.034
        frame_gram(CIFAR, 1.0)[3, 0], 2 * np.exp(-1) - 1, atol=1e-6
    )
    simplex = (10 * np.eye(10) - 1) / 9
    np.testing.assert_allclose(frame_gram(CIFAR, 200.0), simplex, atol=1e-9)
    labels = jnp.arange(10)
    frame = jnp.asarray(symmetric_root(frame_gram(CIFAR, 3.0)), jnp.float32)
    vectors = CLASSIFIERS["haframe"](10, hierarchy=CIFAR).vectors
    matched = haframe(4 * frame, labels, vectors=vectors, cosine_weight=100.0)
    plain = haframe(4 * frame, labels, vectors=vectors, cosine_weight=0.0)
    np.testing.assert_allclose(matched, plain, rtol=1e-4)  # on the frame: no gap
    exact = -np.log(np.diag(softmax(4 * frame_gram(CIFAR, 3.0))))
    # The spacing of float32 at the largest logit, 4, is 5e-7.
    np.testing.assert_allclose(plain, exact, atol=5e-7)


def test_dot_regression():
    """By hand at a right angle, as Yang et al. and Markou et al. write it, and bad."""
    vectors = CLASSIFIERS["fixed"](3, target="orthogonal", norm=2.0).vectors
    rows = vectors.at(4)
    labels = jnp.arange(3)

    def loss(features, **options):
        features = jnp.asarray(features, jnp.float32)
        return dot_regression(features, labels, vectors=vectors, **options)

    # sqrt(E_W E_H) = 6 and a cosine of 0: (0 - 6)^2 / 12.
    across = np.roll(rows, 1, axis=0)
    np.testing.assert_allclose(loss(across, energy=9.0), 3, rtol=1e-5)
    np.testing.assert_allclose(loss(7 * rows), 0, atol=1e-12)
    features = np.random.default_rng(0).normal(size=(3, 4))
    units = features / np.linalg.norm(features, axis=1, keepdims=True)
    product = np.sum(3 * units * rows, axis=1)
    np.testing.assert_allclose(
        loss(features, energy=9.0), (product - 6) ** 2 / 12, 1e-5
    )
    unit = CLASSIFIERS["fixed"](3).vectors
    product = np.sum(units * unit.at(4), axis=1)
    got = dot_regression(jnp.asarray(features, jnp.float32), labels, vectors=unit)
    np.testing.assert_allclose(got, (product - 1) ** 2 / 2, rtol=1e-5)
    for energy in (0.0, float("inf")):
        with pytest.raises(ValueError, match="energy must be positive and finite"):
            loss(features, energy=energy)
