"""Losses with an output for each node of the tree, literally and on a flat tree."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.hierarchy import Hierarchy
from ncjax.losses import LOSSES, OUTPUTS, cascade, cross_entropy, multi_level
from tests.losses.trees import TREES, draw, softmax


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_multi_level_adds_the_levels(tree):
    outputs = OUTPUTS["multi_level"](tree)
    rng = np.random.default_rng(0)
    z = jnp.asarray(rng.normal(size=(30, outputs.size)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, tree.num_classes, 30))
    start, parts = 0, []
    for depth in tree.levels:
        groups, names = tree.superclasses(depth)
        part = z[:, start : start + len(names)]
        parts.append(cross_entropy(part, jnp.asarray(groups)[labels]))
        start += len(names)
    np.testing.assert_allclose(
        multi_level(z, labels, hierarchy=tree), sum(parts), rtol=1e-6
    )
    weights = tuple(float(i) for i in range(len(parts)))
    np.testing.assert_allclose(
        multi_level(z, labels, hierarchy=tree, level_weights=weights),
        sum(w * p for w, p in zip(weights, parts, strict=True)),
        rtol=1e-5,
    )
    # The scores are the logits of the last level, in the order of the labels.
    last = cross_entropy(outputs.scores(z), labels)
    np.testing.assert_allclose(last, parts[-1], rtol=1e-6)
    np.testing.assert_allclose(
        z @ jnp.asarray(outputs.readout, jnp.float32).T, outputs.scores(z), rtol=1e-6
    )


@pytest.mark.parametrize("tree", TREES.values(), ids=TREES)
def test_cascade_multiplies_along_the_path(tree):
    outputs = OUTPUTS["cascade"](tree)
    rng = np.random.default_rng(0)
    z = 3 * rng.normal(size=(30, tree.num_nodes - 1))
    labels = rng.integers(0, tree.num_classes, 30)
    p = np.zeros((30, tree.num_classes))
    for k in range(tree.num_classes):
        node, product = tree.leaves[k], np.ones(30)
        while tree.parents[node] >= 0:
            siblings = np.flatnonzero(tree.parents == tree.parents[node]) - 1
            product *= softmax(z[:, siblings])[:, list(siblings).index(node - 1)]
            node = tree.parents[node]
        p[:, k] = product
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-12)
    z32 = jnp.asarray(z, jnp.float32)
    np.testing.assert_allclose(outputs.scores(z32), np.log(p), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        cascade(z32, jnp.asarray(labels), hierarchy=tree),
        -np.log(p[np.arange(30), labels]),
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_flat_tree_makes_all_of_them_flat():
    flat = Hierarchy(["root", *"abcde"], [-1, 0, 0, 0, 0, 0])
    logits, labels = draw(flat)
    z, y = jnp.asarray(logits, jnp.float32), jnp.asarray(labels)
    want = cross_entropy(z, y)
    for name in ("hxe", "multi_level", "cascade"):
        np.testing.assert_allclose(LOSSES[name](z, y, hierarchy=flat), want, rtol=1e-5)
