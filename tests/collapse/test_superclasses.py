"""Superclasses: pooled labels, closed forms, means that follow a tree."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax.moments
from ncjax import collapse
from ncjax.hierarchy import BUILTIN, Hierarchy
from ncjax.hierarchy.soft_labels import soft_label_limit
from ncjax.moments import ClassMoments

CIFAR = BUILTIN["cifar10"]()
# Compiled whole: eager primitives take seconds.
class_moments = jax.jit(
    ncjax.moments.class_moments, static_argnames=("num_classes", "scatter")
)
group_moments = jax.jit(collapse.group_moments, static_argnums=2)
nc1 = jax.jit(collapse.nc1)


def tree_metrics(moments, tree):
    return jax.jit(functools.partial(collapse.tree_metrics, hierarchy=tree))(moments)


def draw(k=10, d=24, n=300, common=100.0, seed=0):
    """Unbalanced classes, features with a large common part."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.choice(k, n, p=np.arange(1, k + 1) / (k * (k + 1) / 2)))
    labels[:k] = np.arange(k)
    means = common + rng.normal(size=(k, d))
    features = means[labels] + 0.1 * rng.normal(size=(n, d))
    return jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.int32)


@pytest.mark.parametrize("depth", [1, 2])
def test_groups_are_the_moments_of_pooled_labels(depth):
    features, labels = draw()
    groups, names = CIFAR.superclasses(depth)
    got = group_moments(
        class_moments(features, labels, 10), jnp.asarray(groups), len(names)
    )
    want = class_moments(features, jnp.asarray(groups)[labels], len(names))
    np.testing.assert_allclose(got.count, want.count)
    np.testing.assert_allclose(got.means, want.means, rtol=1e-6)
    np.testing.assert_allclose(got.spread, want.spread, rtol=1e-5)
    np.testing.assert_allclose(got.scatter, want.scatter, rtol=1e-4, atol=1e-3)
    assert nc1(got) == pytest.approx(float(nc1(want)), rel=1e-4)


def test_an_empty_class_and_an_empty_group():
    features, labels = draw()
    kept = np.asarray(labels) != 3
    moments = class_moments(features[kept], labels[kept], 10)
    groups = jnp.asarray(CIFAR.superclasses(2)[0])
    got = group_moments(moments, groups, 6)
    want = class_moments(features[kept], groups[labels[kept]], 6)
    np.testing.assert_allclose(got.means, want.means, rtol=1e-6)
    alone = jnp.asarray([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    same = group_moments(moments, alone, 10)
    np.testing.assert_allclose(same.count, moments.count)
    np.testing.assert_allclose(same.means[4], moments.means[4], rtol=1e-6)
    assert same.count[3] == 0


def test_variance_of_groups_along_directions():
    features, labels = draw()
    groups = jnp.asarray(CIFAR.superclasses(1)[0])
    moments = class_moments(features, labels, 10, scatter="none")
    grouped = group_moments(moments, groups, 2)
    directions = jax.jit(collapse.between_basis)(grouped)[1]
    variance = jax.jit(collapse.within_variance)
    within = variance(features, labels, moments, directions)
    got = within + collapse.group_variance(moments, grouped, groups, directions)
    want = variance(features, groups[labels], grouped, directions)
    np.testing.assert_allclose(got, want, rtol=1e-4)


def test_rows_of_a_classifier_are_averaged():
    rows = jnp.arange(8.0).reshape(4, 2)
    got = collapse.group_rows(rows, jnp.array([0, 0, 1, 0]), 2)
    np.testing.assert_allclose(got, [[8 / 3, 11 / 3], [4, 5]], rtol=1e-6)


def moments_of_means(means):
    """Two samples of each class, at its mean."""
    k = len(means)
    features = jnp.asarray(np.repeat(means, 2, axis=0), jnp.float32)
    return class_moments(features, jnp.repeat(jnp.arange(k), 2), k, scatter="none")


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "fashion_mnist"])
def test_means_that_follow_the_tree(name):
    tree = BUILTIN[name]()
    gram = soft_label_limit(tree.distances(), free_bias=True)
    values, vectors = np.linalg.eigh(gram)
    means = vectors * np.sqrt(np.maximum(values, 0))
    got = tree_metrics(moments_of_means(means), tree)
    np.testing.assert_allclose(got["gram"], 0, atol=1e-5)
    # Squared distances are proportional to tree distances, so distances nearly are.
    pairs = np.triu_indices(tree.num_classes, 1)
    roots = np.corrcoef(np.sqrt(tree.distances()[pairs]), tree.distances()[pairs])[0, 1]
    np.testing.assert_allclose(got["cophenetic"], roots, rtol=1e-4)
    assert got["sibling_cosine"] > 0


def test_a_simplex_knows_no_tree():
    got = tree_metrics(moments_of_means(np.eye(10)), CIFAR)
    for name in ("sibling_cosine", "cosine_h1", "cosine_h2", "cosine_h3"):
        np.testing.assert_allclose(got[name], -1 / 9, rtol=1e-5)
    np.testing.assert_allclose(got["gram"], 0.713462, atol=1e-5)  # its NC2, as known


def test_cosines_by_height_literally():
    features, labels = draw(common=0.0)
    moments = class_moments(features, labels, 10)
    means = np.asarray(moments.means, np.float64)
    means -= means.mean(0)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    heights = CIFAR.lca_heights()
    got = collapse.cosines_by_height(moments, jnp.asarray(heights), 3)
    for h in (1, 2, 3):
        np.testing.assert_allclose(
            got[h - 1], (unit @ unit.T)[heights == h].mean(), atol=1e-5
        )


def test_no_pair_of_a_height_is_left_out():
    # The only node of height 1 has a single child: no pair is that near.
    tree = Hierarchy(["root", "chain", "a", "b", "c"], [-1, 0, 1, 0, 0])
    got = tree_metrics(moments_of_means(np.eye(3)), tree)
    assert "cosine_h1" not in got
    np.testing.assert_allclose(got["sibling_cosine"], got["cosine_h2"])


def test_perfect_superclasses():
    """Two superclasses whose classes coincide: NC1 of the level is 0, NC2 too."""
    means = np.array([[1.0, 0], [1, 0], [-1, 0], [-1, 0]])
    tree = Hierarchy(["root", "x", "y", *"abcd"], [-1, 0, 0, 1, 1, 2, 2])
    moments = moments_of_means(means)
    span = jax.jit(collapse.Span.of)(moments)
    (level,) = collapse.superclass_levels(moments, tree, span)
    assert level.name == "level1"
    assert isinstance(level.moments, ClassMoments)
    within = jnp.zeros(len(level.basis[0]))
    got = collapse.level_metrics(
        level, moments, within, jnp.asarray(means, jnp.float32)
    )
    for name in ("nc1", "nc2", "nc3"):
        np.testing.assert_allclose(got[name], 0, atol=1e-6, err_msg=name)


def test_permuted_classes_change_nothing():
    features, labels = draw()
    order = np.random.default_rng(1).permutation(10)
    names = [CIFAR.class_names[i] for i in order]
    moved = jnp.asarray(np.argsort(order), jnp.int32)[labels]
    before = tree_metrics(class_moments(features, labels, 10), CIFAR)
    after = tree_metrics(class_moments(features, moved, 10), CIFAR.restrict(names))
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
        before,
        after,
    )
