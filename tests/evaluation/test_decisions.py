"""Decisions as specific as they are certain, against a literal version."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.evaluation.decisions import specific
from ncjax.evaluation.mistakes import Mistakes
from ncjax.hierarchy import balanced
from tests.losses.depths import CHAIN, NAMES, TREES


def draw(tree, n=80):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, tree.num_classes, n).astype(np.int32)
    scores = 3 * rng.normal(size=(n, tree.num_classes))
    scores += 3 * tree.ancestors().astype(float)[labels] @ tree.ancestors().T
    p = np.exp(scores - scores.max(1, keepdims=True))
    return scores, p / p.sum(1, keepdims=True), labels


def literal(tree, p, threshold):
    """All nodes of all examples, one by one."""
    above, found = tree.ancestors(), []
    for row in p:
        best, rank = 0, (0, 1.0)
        for node in range(1, tree.num_nodes):
            total = row[above[:, node]].sum()
            if total >= threshold and (tree.depths[node], total) > rank:
                best, rank = node, (tree.depths[node], total)
        found.append(best)
    return np.array(found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("threshold", [0.3, 0.9])
def test_a_literal_version(name, threshold):
    tree = TREES[name]
    scores, p, labels = draw(tree)
    want = literal(tree, p, threshold)
    got = specific(jnp.asarray(p, jnp.float32), tree, threshold)
    np.testing.assert_array_equal(got, want)
    assert len(np.unique(tree.depths[want])) > 1
    mistakes = Mistakes(tree, calibration=False, specific=threshold)
    values = jax.jit(mistakes.values)(
        jnp.asarray(scores, jnp.float32), jnp.asarray(labels)
    )
    found = mistakes.summary(jax.tree.map(lambda v: v.mean(0), values))
    above = tree.ancestors()
    np.testing.assert_allclose(
        found["specific_right"], above[labels, want].mean(), rtol=1e-6
    )
    bits = np.log2(tree.num_classes / above.sum(0)[want])
    np.testing.assert_allclose(found["specific_information"], bits.mean(), rtol=1e-5)


def test_by_hand():
    """Classes a, b below y, c below x, d below the root."""
    p = jnp.array([[0.5, 0.25, 0.125, 0.125], [0.25, 0.25, 0.25, 0.25]])
    chosen = {
        0.5: ["a", "y"],
        0.75: ["y", "x"],
        0.875: ["x", "r"],
        0.9: ["r", "r"],
        0.25: ["a", "a"],
    }
    for threshold, names in chosen.items():
        nodes = specific(p, CHAIN, threshold)
        assert [CHAIN.names[i] for i in nodes] == names
    # The class d lies less deep than x's classes, and is chosen where it is likely.
    nodes = specific(jnp.array([[0.1, 0.0, 0.0, 0.9]]), CHAIN, 0.9)
    assert CHAIN.names[nodes[0]] == "d"


def test_a_certain_network_says_all_and_an_uncertain_one_nothing():
    tree = balanced([2, 3])
    for p, bits in ((np.eye(6), np.log2(6)), (np.full((6, 6), 1 / 6), 0)):
        mistakes = Mistakes(tree, specific=0.9)
        values = mistakes.values(jnp.log(jnp.asarray(p) + 1e-9), jnp.arange(6))
        assert values["specific_right"].all()
        np.testing.assert_allclose(values["specific_information"], bits, rtol=1e-6)


def test_it_is_left_out_unless_asked_for():
    values = Mistakes(CHAIN).values(jnp.zeros((1, 4)), jnp.zeros(1, jnp.int32))
    assert not [name for name in values if "specific" in name]


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1, float("nan")])
def test_thresholds_out_of_range(bad):
    with pytest.raises(
        ValueError, match="threshold must be above 0 and at most 1, got"
    ):
        specific(jnp.full((1, 4), 0.25), CHAIN, bad)
    with pytest.raises(ValueError, match="The tree has 4 classes, the probabilities 2"):
        specific(jnp.full((1, 2), 0.5), CHAIN, 0.5)
