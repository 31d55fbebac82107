"""The order of all classes against that of the tree: literal versions, extremes."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.evaluation.mistakes import Mistakes
from ncjax.evaluation.order import Order
from ncjax.hierarchy import BUILTIN, Hierarchy, balanced
from tests.thin import thin

CHAIN = Hierarchy(["r", "x", "y", *"abcd"], [-1, 0, 1, 2, 2, 1, 0])
TREES = {
    "five levels": BUILTIN["cifar100_5"](),
    "uneven": BUILTIN["digits"](),
    "chain": CHAIN,
    "flat": balanced([6]),
}


def draw(tree, n=60, seed=0):
    rng = np.random.default_rng(seed)
    k = tree.num_classes
    labels = rng.integers(0, k, n).astype(np.int32)
    return rng.normal(size=(n, k)) + 2 * np.eye(k)[labels], labels


def means(tree, scores, labels):
    values = Order(tree).values(jnp.asarray(scores, jnp.float32), jnp.asarray(labels))
    return {name: float(value.mean()) for name, value in values.items()}


def literal_hops(tree, scores, label, k):
    """As the definition reads, for one example."""
    heights = tree.lca_heights()[label].tolist()
    levels = sorted(set(heights))
    place = [levels.index(height) for height in heights]
    right = sorted(place)
    weights = []
    for level in range(len(levels)):
        count = right.count(level)
        start = 2.0**-level
        end = 0.0 if level == len(levels) - 1 else start / 2
        step = (start - end) / count
        weights += [start - step * i for i in range(count)]
    found = [place[j] for j in np.argsort(-scores, kind="stable")]
    worst = right[:k][::-1]
    missed = sum(weights[i] * abs(right[i] - found[i]) for i in range(k))
    most = sum(weights[i] * abs(right[i] - worst[i]) for i in range(k))
    return min(max(1 - missed / most, 0), 1), found[:k] == right[:k]


@pytest.mark.parametrize("name", thin(list(TREES), keep={0, 3}))
def test_literal_versions(name):
    tree = TREES[name]
    scores, labels = draw(tree)
    got = means(tree, scores, labels)
    tops = [k for k in (5, 20) if k < tree.num_classes] + [tree.num_classes]
    for k in tops:
        at = "" if k == tree.num_classes else f"@{k}"
        pairs = [literal_hops(tree, s, y, k) for s, y in zip(scores, labels)]
        hops, exact = map(np.mean, zip(*pairs))
        np.testing.assert_allclose(got[f"hops{at}"], hops, rtol=1e-5)
        np.testing.assert_allclose(got[f"exact_order{at}"], exact, rtol=1e-6)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    right = np.ones(len(labels), bool)
    for depth in range(1, tree.height + 1):
        groups, names = tree.superclasses(depth)
        of = np.stack([p[:, groups == g].sum(1) for g in range(len(names))], 1)
        right &= of.argmax(1) == groups[labels]
    np.testing.assert_allclose(got["fpa"], right.mean(), rtol=1e-6)


@pytest.mark.parametrize("name", thin(list(TREES), keep={0, 3}))
def test_the_order_of_the_tree_and_its_reverse(name):
    tree = TREES[name]
    labels = np.arange(tree.num_classes)
    scores = -tree.lca_heights().astype(float)
    best = means(tree, scores, labels)
    assert set(best.values()) == {1.0}
    worst = means(tree, -scores, labels)
    assert worst.pop("fpa") < 1
    assert worst["hops"] < 1e-6
    assert worst["exact_order"] == 0


def test_by_hand():
    """To a b is a sibling, c a cousin, d a stranger: E is 0 1 2 3, w 1 1/2 1/4 1/8."""
    # One class at each place: the last weight is that with which the last level begins.
    scores = np.array([[4.0, 2, 3, 1], [4, 1, 2, 3], [1, 2, 3, 4]])
    got = Order(CHAIN).values(jnp.asarray(scores), jnp.zeros(3, int))
    worst = 3 + 0.5 + 0.25 + 3 / 8
    missed = np.array([0.5 + 0.25, 2 * 0.5 + 2 / 8, worst])
    np.testing.assert_allclose(got["hops"], 1 - missed / worst, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(got["exact_order"], [False] * 3)
    np.testing.assert_array_equal(got["fpa"], [True, True, False])


def test_all_orders_of_four_classes_by_hand():
    """Mean |E - O| at the four places is 3/2, 1, 1, 3/2: 1 - (39/16) / (33/8) = 9/22.

    One of the 24 orders, 3 2 0 1, is worse than the reverse by 1/8 and cut off at 0.
    """
    orders = np.array(list(itertools.permutations(range(4))))
    scores = -np.argsort(orders, axis=1).astype(float)
    got = Order(CHAIN).values(jnp.asarray(scores), jnp.zeros(24, int))
    np.testing.assert_allclose(got["hops"].mean(), 9 / 22 + 1 / 33 / 24, rtol=1e-5)
    hops = dict(zip(map(tuple, orders.tolist()), got["hops"].tolist(), strict=True))
    assert hops[0, 1, 2, 3] == 1
    assert hops[3, 2, 1, 0] == hops[3, 2, 0, 1] == 0
    np.testing.assert_allclose(hops[1, 0, 2, 3], 1 - 1.5 / 4.125, rtol=1e-6)
    assert got["exact_order"].sum() == 1


@pytest.mark.slow
def test_a_random_order():
    """Each place holds any class: |E - O| is its mean over the g of all classes.

    That few examples are worse than `worst`, and cut off at 0, is not in the mean.
    """
    tree = TREES["five levels"]
    rng = np.random.default_rng(1)
    label = 7
    scores = rng.normal(size=(2000, 100))
    got = means(tree, scores, np.full(2000, label))
    order = Order(tree)
    right, (weights, worst) = order._right[label], order._weights(100)
    away = np.abs(right[:, None] - right[None]).mean(1)
    want = 1 - (weights[label] * away).sum() / worst[label]
    assert 0.2 < want < 0.4
    np.testing.assert_allclose(got["hops"], want, atol=0.01)
    assert got["exact_order"] == 0


def test_what_mistakes_add_up_to():
    """Severity by depth, hierarchical F, calibration of the levels: literally."""
    tree = BUILTIN["fashion_mnist"]()  # where the two distances differ
    scores, labels = draw(tree, n=300)
    mistakes = Mistakes(tree, order=True, crm=True)
    values = jax.jit(mistakes.values)(
        jnp.asarray(scores, jnp.float32), jnp.asarray(labels)
    )
    got = mistakes.summary(jax.tree.map(lambda v: v.mean(0), values))
    assert not [name for name in got if "__" in name or name.startswith("_")]
    decisions = scores.argmax(1)
    wrong = decisions != labels
    away = tree.distances("depth", normalise=False)[labels, decisions]
    np.testing.assert_allclose(
        got["mistake_severity_depth"], away[wrong].mean(), rtol=1e-5
    )
    above = tree.ancestors()[:, 1:]  # without the root
    common = (above[labels] & above[decisions]).sum()
    precision, recall = common / above[decisions].sum(), common / above[labels].sum()
    np.testing.assert_allclose(got["hierarchical_precision"], precision, rtol=1e-5)
    np.testing.assert_allclose(got["hierarchical_recall"], recall, rtol=1e-5)
    f1 = 2 * precision * recall / (precision + recall)
    np.testing.assert_allclose(got["hierarchical_f1"], f1, rtol=1e-5)
    p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    groups, names = tree.superclasses(1)
    of = np.stack([p[:, groups == g].sum(1) for g in range(len(names))], 1)
    confidence, right = of.max(1), of.argmax(1) == groups[labels]
    want = 0.0
    for low in np.arange(15) / 15:
        inside = (confidence > low) & (confidence <= low + 1 / 15)
        want += abs((right[inside] - confidence[inside].astype(float)).sum()) / 300
    np.testing.assert_allclose(got["level1_ece"], want, rtol=1e-4)
    assert "crm_hierarchical_f1" in got


def test_where_both_distances_are_one_there_is_one_severity():
    tree = BUILTIN["cifar10"]()
    scores, labels = draw(tree)
    values = Mistakes(tree).values(jnp.asarray(scores), jnp.asarray(labels))
    assert "_depth_distance" not in values
