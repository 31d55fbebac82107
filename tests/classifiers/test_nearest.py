"""The nearest frame: against iterations, differences, in float32, and as a layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg

from ncjax.classifiers import LAYER, nearest
from ncjax.classifiers.frames import simplex
from ncjax.classifiers.nearest import nearest_turn, polar_factor
from ncjax.gram import gram_nc2
from tests.losses.trees import CIFAR

RNG = np.random.default_rng(0)
polar = jax.jit(polar_factor)
turned = jax.jit(nearest_turn)


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def orthonormal(d, r):
    return np.linalg.qr(RNG.normal(size=(d, r)))[0]


def unit(x):
    return x / np.linalg.norm(x)


def test_polar_factor_of_ill_conditioned_matrices():
    """Condition 1 to 1000, in float32, against SciPy in float64."""
    for smallest in (1.0, 1e-1, 1e-3):
        left, right = orthonormal(9, 5), orthonormal(5, 5)
        matrix = (left * np.geomspace(1, smallest, 5)) @ right.T
        got = polar(jnp.asarray(100 * matrix, jnp.float32))
        want = linalg.polar(matrix)[0]
        np.testing.assert_allclose(got.T @ got, np.eye(5), atol=1e-5)
        np.testing.assert_allclose(got, want, atol=2e-6 / smallest)


def test_derivative_of_the_polar_factor(x64):
    """At equal singular values too, where that of eigenvectors does not exist."""
    general, frame = RNG.normal(size=(6, 4)), 2 * orthonormal(6, 4)
    for matrix in (general, frame, general[:4]):
        step = 1e-6 * RNG.normal(size=matrix.shape)
        _, got = jax.jvp(polar, (jnp.asarray(matrix),), (jnp.asarray(step),))
        ahead, behind = (linalg.polar(matrix + s * step)[0] for s in (1, -1))
        np.testing.assert_allclose(got, (ahead - behind) / 2, atol=1e-12)
        weight = jnp.asarray(RNG.normal(size=matrix.shape))
        slope = jax.grad(lambda a, w=weight: jnp.vdot(w, polar(a)))(jnp.asarray(matrix))
        np.testing.assert_allclose(
            np.vdot(slope, step), np.vdot(weight, got), rtol=1e-8, atol=1e-14
        )


@pytest.mark.parametrize("proximal", [0.0, 0.5])
def test_no_other_frame_is_nearer(proximal, x64):
    """The objective, at the closed form, at turns of it, and as a manifold sees it."""
    means, rows = RNG.normal(size=(5, 7)), simplex(5)
    before = orthonormal(7, 4)
    centred = unit(means - means.mean(0))

    def objective(v):
        apart = np.sum((centred - unit(rows) @ v.T) ** 2)
        return apart + proximal / 2 * np.sum((v - before) ** 2)

    args = map(jnp.asarray, (means, rows, before))
    found = np.asarray(nearest_turn(*args, proximal))
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-12)
    least = objective(found)
    for size in (1e-3, 0.1, 1.0):
        for _ in range(20):
            twist = RNG.normal(size=(7, 7))
            other = linalg.expm(size * (twist - twist.T) / 7) @ found
            assert objective(other) > least
    # Critical on the manifold: the gradient is V times a symmetric matrix.
    slope = 2 * centred.T @ unit(rows) + proximal * before
    inner = found.T @ slope
    np.testing.assert_allclose(inner, inner.T, atol=1e-12)
    np.testing.assert_allclose(slope, found @ inner, atol=1e-12)


def test_frames_of_means_that_are_frames():
    """The nearest frame of a turned frame is itself; without means nothing moves."""
    rows, turn = simplex(5), orthonormal(7, 4)
    means = jnp.asarray(3 * rows @ turn.T + RNG.normal(size=7), jnp.float32)
    before = jnp.asarray(orthonormal(7, 4), jnp.float32)
    rows = jnp.asarray(rows, jnp.float32)
    np.testing.assert_allclose(turned(means, rows, before), turn, atol=2e-6)
    np.testing.assert_allclose(turned(0 * means, rows, before), before, atol=2e-6)


@pytest.mark.parametrize(
    "differentiable", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_layer_of_a_simplex(differentiable):
    labels = jnp.arange(20) % 5
    features = jnp.asarray(RNG.normal(size=(20, 7)), jnp.float32)
    options = {"momentum": 0.0, "proximal": 0.0, "temperature": 0.2}
    classifier = nearest(5, differentiable=differentiable, **options)
    layer = classifier.layer()
    start = layer.init(jax.random.key(0), features)
    assert set(start) == {"batch_stats"}  # nothing is learned

    def apply(x):
        options = {"train": True, "labels": labels, "mutable": ["batch_stats"]}
        return layer.apply(start, x, **options)

    logits, new = apply(features)
    weights, _ = classifier.weights({"batch_stats": {LAYER: new["batch_stats"]}})
    units = features / jnp.linalg.norm(features, axis=1, keepdims=True)
    np.testing.assert_allclose(logits, units @ weights.T, atol=2e-5)
    assert gram_nc2(np.asarray(weights @ weights.T)) < 1e-5
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), 5, rtol=1e-5)
    means = np.stack([units[labels == k].mean(0) for k in range(5)])
    centred = (means - means.mean(0)).astype(np.float64)
    want = simplex(5) @ linalg.polar(centred.T @ simplex(5))[0].T
    np.testing.assert_allclose(weights / 5, want, atol=1e-5)
    # Evaluation has the frame that training has left.
    np.testing.assert_allclose(layer.apply(new, features), logits, atol=2e-5)
    # Through the frame a logit depends on the other examples of the batch.
    slope = jax.grad(lambda x: apply(x)[0][0, 0])(features)
    assert np.any(slope[1:] != 0) == differentiable
    assert np.isfinite(slope).all()


def test_layer_of_a_tree():
    classifier = nearest(10, hierarchy=CIFAR, target="tree", norm=2.0)
    layer = classifier.layer()
    features = jnp.asarray(RNG.normal(size=(30, 9)), jnp.float32)
    start = layer.init(jax.random.key(0), features)
    labels, mutable = jnp.arange(30) % 10, ["batch_stats"]
    _, new = layer.apply(start, features, train=True, labels=labels, mutable=mutable)
    weights, _ = classifier.weights({"batch_stats": {LAYER: new["batch_stats"]}})
    np.testing.assert_allclose(weights @ weights.T / 100, classifier.gram, atol=1e-5)


def test_bad_options():
    with pytest.raises(ValueError, match="proximal must be at least 0 and finite"):
        nearest(5, proximal=-1.0)
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        nearest(5, temperature=0.0)
    with pytest.raises(
        ValueError, match="frame has 4 dimensions, and the features have 3"
    ):
        nearest(5).layer().init(jax.random.key(0), jnp.ones((1, 3)))
