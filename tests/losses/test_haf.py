"""HAF against hand-computed values and a literal version in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon

from ncjax.hierarchy import balanced
from ncjax.losses import OUTPUTS, cross_entropy, haf
from ncjax.losses.haf import jensen_shannon
from tests.losses.depths import CHAIN, NAMES, TREES
from tests.losses.trees import softmax

quick = jax.jit(haf, static_argnames="hierarchy")  # labels are not checked


def literal(tree, outputs, labels, weights, margin):
    """Example by example and group by group, with the divergence of SciPy."""
    groups, start = [tree.superclasses(depth)[0] for depth in tree.levels], 0
    p = []
    for g in groups:
        p.append(softmax(outputs[:, start : start + g.max() + 1]))
        start += g.max() + 1
    found = []
    for i, label in enumerate(labels):
        total, after = -np.log(p[-1][i, groups[-1][label]]), (i + 1) % len(labels)
        for level in range(len(groups) - 1):
            sums = np.zeros(p[level].shape[1])
            for group in range(p[level + 1].shape[1]):
                (k, *_) = np.flatnonzero(groups[level + 1] == group)
                sums[groups[level][k]] += p[level + 1][i, group]
            total += weights[0] * jensenshannon(p[level][i], sums) ** 2
            if groups[level][label] != groups[level][labels[after]]:
                apart = jensenshannon(p[level][i], p[level][after]) ** 2
                total += weights[1] * max(margin - apart, 0)
        found.append(total)
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("weights", "margin"), [((1.0, 1.0), 3.0), ((0.5, 2.0), 0.3)])
def test_a_literal_version(name, weights, margin):
    tree = TREES[name]
    rng = np.random.default_rng(0)
    outputs = 2 * rng.normal(size=(30, OUTPUTS["haf"](tree).size))
    labels = rng.integers(0, tree.num_classes, 30).astype(np.int32)
    got = quick(
        jnp.asarray(outputs, jnp.float32),
        jnp.asarray(labels),
        hierarchy=tree,
        consistency_weight=weights[0],
        margin_weight=weights[1],
        margin=margin,
    )
    want = literal(tree, outputs, labels, weights, margin)
    np.testing.assert_allclose(got, want, rtol=2e-5)


def test_by_hand():
    """Two groups of two: the head of the groups says 1/2, the classes say 1 and 0."""
    far = 40.0
    outputs = jnp.array([[0.0, 0, far, 0, 0, 0], [0.0, 0, 0, 0, far, 0]])
    got = quick(outputs, jnp.array([0, 2]), hierarchy=balanced([2, 2]))
    # JS of (1/2, 1/2) and (1, 0); the two examples have the same p_1.
    js = (np.log(2) / 2 + np.log(2 / 3) / 2) / 2 + np.log(4 / 3) / 2
    np.testing.assert_allclose(got, [js + 3] * 2, rtol=1e-6)
    same = quick(outputs, jnp.array([0, 1]), hierarchy=balanced([2, 2]))
    np.testing.assert_allclose(same, [js, js + far], rtol=1e-6)  # one group: no pair


def test_the_divergence():
    p = jnp.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5], [0.0, 0.5, 0.5]])
    q = jnp.array([[0.0, 0.4, 0.6], [0.2, 0.3, 0.5], [0.0, 0.1, 0.9]])
    want = [jensenshannon(a, b) ** 2 for a, b in zip(p, q)]
    np.testing.assert_allclose(jensen_shannon(p, q), want, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(want[0], np.log(2), rtol=1e-6)
    assert np.isfinite(jax.grad(lambda p: jensen_shannon(p, q).sum())(p)).all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_zero_and_far_away(name):
    tree = TREES[name]
    size = OUTPUTS["haf"](tree).size
    rows = np.zeros((4, size), np.float32)
    rows[1, ::2], rows[2, 0], rows[3, -1] = 1e4, 1e4, -1e4
    labels = jnp.array([0, 1, tree.num_classes - 1, 0], jnp.int32)
    value, grad = jax.jit(
        jax.value_and_grad(lambda z: haf(z, labels, hierarchy=tree).sum())
    )(jnp.asarray(rows))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    assert np.abs(grad).max() > 0.1


def test_one_level_is_cross_entropy():
    rng = np.random.default_rng(0)
    z, y = jnp.asarray(rng.normal(size=(9, 6)), jnp.float32), jnp.arange(9) % 6
    np.testing.assert_allclose(
        quick(z, y, hierarchy=balanced([6])), cross_entropy(z, y), rtol=1e-6
    )


def test_bad_input():
    z, y = jnp.zeros((1, 8)), jnp.zeros(1, jnp.int32)
    size = OUTPUTS["haf"](CHAIN).size
    z = jnp.zeros((1, size))
    for option in ("consistency_weight", "margin_weight", "margin"):
        with pytest.raises(ValueError, match=f"loss.{option} must be at least 0"):
            haf(z, y, hierarchy=CHAIN, **{option: -1.0})
    with pytest.raises(ValueError, match=f"have 4 columns, but .* have {size} groups"):
        haf(jnp.zeros((1, 4)), y, hierarchy=CHAIN)
    with pytest.raises(ValueError, match="row 0 has 4, and"):
        haf(z, jnp.array([4]), hierarchy=CHAIN)
    inside = jax.jit(lambda y: haf(z, y, hierarchy=CHAIN))
    assert np.isnan(inside(jnp.array([4]))).all()
