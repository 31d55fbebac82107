"""Hier-COS against hand-computed values, a literal version, and its theorem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.evaluation.order import Order
from ncjax.hierarchy import balanced
from ncjax.losses import OUTPUTS, hier_cos
from ncjax.losses.hier_cos import path_targets
from tests.losses.depths import CHAIN, NAMES, TREES

quick = jax.jit(hier_cos, static_argnames="hierarchy")  # labels are not checked


def path_of(tree, label):
    """The nodes below the root on the path of a class, from the top."""
    path, node = [], tree.leaves[label]
    while tree.parents[node] >= 0:
        path.insert(0, node)
        node = tree.parents[node]
    return path


def literal(tree, outputs, labels, weight):
    found = []
    for e, label in zip(np.abs(outputs), labels, strict=True):
        path = path_of(tree, label)
        weights = np.exp(1 / np.arange(len(path), 0, -1))
        t = np.zeros(len(e))
        t[np.array(path) - 1] = (weights / np.linalg.norm(weights)) ** 2
        log_p = e - e.max() - np.log(np.exp(e - e.max()).sum())
        total = sum(a * (np.log(a) - b) for a, b in zip(t, log_p) if a > 0)
        for depth in range(1, tree.height + 1):
            nodes = np.flatnonzero(tree.depths == depth)
            block = e[nodes - 1]
            if depth <= len(path):
                onehot = (nodes == path[depth - 1]).astype(float)
                block = onehot - block / np.linalg.norm(block)
            total += weight * np.abs(block).sum()
        found.append(total)
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_literal_version(name):
    tree = TREES[name]
    rng = np.random.default_rng(0)
    outputs = 3 * rng.normal(size=(30, tree.num_nodes - 1))
    labels = rng.integers(0, tree.num_classes, 30).astype(np.int32)
    e, y = jnp.asarray(outputs, jnp.float32), jnp.asarray(labels)
    got = quick(e, y, hierarchy=tree, level_weight=0.7)
    np.testing.assert_allclose(got, literal(tree, outputs, labels, 0.7), rtol=1e-5)
    scores = OUTPUTS["hier_cos"](tree).scores(e)
    for label in range(tree.num_classes):
        want = np.linalg.norm(outputs[:, np.array(path_of(tree, label)) - 1], axis=1)
        np.testing.assert_allclose(scores[:, label], want, rtol=1e-5)


def test_by_hand():
    """Two classes below the root: t = 1 on the label, |e| = 3, 4, |e_1| = 5."""
    got = quick(
        jnp.array([[3.0, -4.0]]),
        jnp.array([1]),
        hierarchy=balanced([2]),
        level_weight=2.0,
    )
    # 1 - 4/5 and 3/5 off, and -log of a softmax with a gap of 1.
    want = np.log1p(np.exp(-1)) + 2 * (0.2 + 0.6)
    np.testing.assert_allclose(got, [want], rtol=1e-6)
    table, entropies = path_targets(balanced([2, 2]))
    total = np.exp(1) + np.exp(2)
    first = [np.exp(1), 0, np.exp(2), 0, 0, 0]
    np.testing.assert_allclose(table[0], first / total, rtol=1e-12)
    want = -(np.exp([1, 2]) / total * np.log(np.exp([1, 2]) / total)).sum()
    np.testing.assert_allclose(entropies, [want] * 4, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_zero_and_far_away(name):
    tree = TREES[name]
    size = tree.num_nodes - 1
    rows = np.zeros((4, size), np.float32)
    rows[1], rows[2, 0], rows[3, -1] = 1e4, 1e4, -1e4
    labels = jnp.zeros(4, jnp.int32)
    scores = OUTPUTS["hier_cos"](tree).scores

    def total(e):
        return hier_cos(e, labels, hierarchy=tree).sum() + scores(e).sum()

    value, grad = jax.jit(jax.value_and_grad(total))(jnp.asarray(rows))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    assert np.abs(grad[1:]).max() > 0


@pytest.mark.slow
def test_the_targets_rank_all_classes_as_the_tree_does():
    """Theorem 1, for classes at one depth: the lengths fall with the tree distance."""
    tree = TREES["five levels"]
    e = np.sqrt(path_targets(tree)[0]).astype(np.float32)
    scores = OUTPUTS["hier_cos"](tree).scores(jnp.asarray(e))
    found = Order(tree).values(scores, jnp.arange(100))
    np.testing.assert_array_equal(found["hops"], 1)
    assert found["exact_order"].all()


@pytest.mark.slow
def test_descent_finds_the_order_of_the_tree():
    """Free outputs under the loss itself end up so, too."""
    tree = balanced([2, 3])
    labels = jnp.arange(6)
    rng = np.random.default_rng(0)
    e = jnp.asarray(rng.normal(size=(6, tree.num_nodes - 1)), jnp.float32)
    gradient = jax.grad(lambda e: hier_cos(e, labels, hierarchy=tree).sum())
    e = jax.jit(
        lambda e: jax.lax.fori_loop(0, 2000, lambda _, e: e - 0.05 * gradient(e), e)
    )(e)
    scores = OUTPUTS["hier_cos"](tree).scores(e)
    assert (scores.argmax(1) == labels).all()
    np.testing.assert_array_equal(Order(tree).values(scores, labels)["hops"], 1)


def test_bad_input():
    e, y = jnp.zeros((1, 6)), jnp.zeros(1, jnp.int32)
    for bad in (-0.1, float("inf")):
        with pytest.raises(ValueError, match="level_weight must be at least 0 and fin"):
            hier_cos(e, y, hierarchy=CHAIN, level_weight=bad)
    with pytest.raises(ValueError, match="have 4 columns, but the tree has 6 nodes"):
        hier_cos(jnp.zeros((1, 4)), y, hierarchy=CHAIN)
    with pytest.raises(ValueError, match="row 0 has 4, and"):
        hier_cos(e, jnp.array([4]), hierarchy=CHAIN)
    inside = jax.jit(lambda y: hier_cos(e, y, hierarchy=CHAIN))
    assert np.isnan(inside(jnp.array([4]))).all()
