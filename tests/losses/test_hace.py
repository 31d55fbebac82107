"""HACE against hand-computed values and a literal version in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from ncjax.hierarchy import BUILTIN, balanced
from ncjax.losses import cross_entropy, hace
from ncjax.losses.hace import hace_weights
from tests.losses.depths import CHAIN, NAMES, TREES
from tests.losses.trees import draw

quick = jax.jit(hace, static_argnames="hierarchy")  # labels are not checked


def literal(tree, logits, labels, dilution):
    """As the definition reads: mass that moves up the path, and log-sum-exps."""
    below, found = tree.ancestors(), []
    for row, label in zip(logits, labels, strict=True):
        node, mass, total = tree.leaves[label], 1.0, 0.0
        while tree.parents[node] >= 0:
            log_p = logsumexp(row[below[:, node]]) - logsumexp(row)
            total -= mass * (1 - dilution) * log_p
            node, mass = tree.parents[node], mass * dilution
        found.append(total)
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dilution", [0.2, 0.7])
def test_a_literal_version(name, dilution):
    tree = TREES[name]
    logits, labels = draw(tree)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    got = quick(z, y, hierarchy=tree, dilution=dilution)
    want = literal(tree, logits, labels, dilution)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    ce = cross_entropy(z, y)
    assert (got <= ce * (1 + 1e-6)).all()
    assert (got >= (1 - dilution) * ce * (1 - 1e-6)).all()


def test_by_hand():
    """The softmax is 1/2, 1/4, 1/8, 1/8 over a, b | c | d: classes, then y, x."""
    logits = jnp.log(jnp.array([[0.5, 0.25, 0.125, 0.125]] * 3))
    got = quick(logits, jnp.array([0, 2, 3]), hierarchy=CHAIN, dilution=0.5)
    above = np.log(8 / 7) / 8, np.log(8 / 7) / 4
    want = [
        np.log(2) / 2 + np.log(4 / 3) / 4 + above[0],
        np.log(8) / 2 + above[1],
        np.log(8) / 2,
    ]
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_weights_with_that_of_the_root_sum_to_one():
    for tree in TREES.values():
        depths = tree.depths[tree.leaves]
        for dilution in (0.3, 0.9):
            total = hace_weights(tree, dilution).sum(0) + dilution**depths
            np.testing.assert_allclose(total, 1, rtol=1e-12)


def test_one_level_is_a_multiple_of_cross_entropy():
    flat = balanced([6])
    logits, labels = draw(flat)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    want = 0.3 * cross_entropy(z, y)
    got = quick(z, y, hierarchy=flat, dilution=0.7)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=3e-7)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_and_sum_to_zero(name):
    tree = TREES[name]
    k = tree.num_classes
    # All equal; one class far above all; one far below, as label and not.
    rows = np.zeros((4, k), np.float32)
    rows[1, 1], rows[2, 0], rows[3, 1] = 1e4, -1e4, -1e4
    labels = jnp.zeros(4, jnp.int32)
    total = jax.jit(lambda z: hace(z, labels, hierarchy=tree).sum())
    value, grad = jax.value_and_grad(total)(jnp.asarray(rows))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    assert np.abs(grad).sum(1).min() > 0.1
    np.testing.assert_allclose(grad.sum(1), 0, atol=1e-6)


def test_values_beyond_the_range_of_exponentials():
    """Rows near and far in one batch, also where `vmap` computes both branches."""
    tree = TREES["five levels"]
    logits, labels = draw(tree, scale=300.0)
    want = literal(tree, logits, labels, 0.5)
    assert want.max() > 500
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)

    def gradient(z):
        return jax.grad(lambda z: hace(z, y, hierarchy=tree).sum())(z)

    np.testing.assert_allclose(hace(z, y, hierarchy=tree), want, rtol=1e-6, atol=1e-4)
    many = jax.jit(jax.vmap(gradient))(jnp.stack([z, z / 100]))
    for found, rows in zip(many, (z, z / 100), strict=True):
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found, gradient(rows), atol=1e-6)


def test_it_is_not_convex():
    """Some second derivative is negative, where cross-entropy has none."""
    tree = BUILTIN["cifar10"]()
    rng = np.random.default_rng(0)
    labels = jnp.zeros(1, jnp.int32)
    with jax.enable_x64(True):
        hessian = jax.jit(
            jax.hessian(lambda z: hace(z[None], labels, hierarchy=tree)[0])
        )
        rows = 4 * rng.normal(size=(20, 10))
        least = min(np.linalg.eigvalsh(hessian(jnp.asarray(z)))[0] for z in rows)
    assert least < -1e-3


def test_bad_input():
    z, y = jnp.zeros((1, 4)), jnp.zeros(1, jnp.int32)
    for bad in (0.0, 1.0, float("nan")):
        with pytest.raises(ValueError, match=r"loss\.dilution must be above 0 and"):
            hace(z, y, hierarchy=CHAIN, dilution=bad)
    with pytest.raises(ValueError, match="The tree has 4 classes, the logits 5"):
        hace(jnp.zeros((1, 5)), y, hierarchy=CHAIN)
    with pytest.raises(ValueError, match=r"row 0 has 4, and 0\.\.3 are allowed"):
        hace(z, jnp.array([4]), hierarchy=CHAIN)
    inside = jax.jit(lambda y: hace(z, y, hierarchy=CHAIN))
    assert np.isnan(inside(jnp.array([4]))).all()
    assert np.isnan(inside(jnp.array([-1]))).all()
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        hace(z, y, hierarchy=CHAIN, temperature=0.0)
