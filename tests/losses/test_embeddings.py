"""Losses on an embedding, with the fixed vectors of the classifier of their name."""

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.classifiers import CLASSIFIERS
from ncjax.classifiers.fixed import frame_gram
from ncjax.classifiers.vectors import symmetric_root
from ncjax.losses import haframe, label_embedding
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
