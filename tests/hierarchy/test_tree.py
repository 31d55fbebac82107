"""Class trees: structure, distances, what is refused."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from ncjax import hierarchy
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, balanced, from_nested
from tests.hierarchy.random_trees import UNEVEN, trees


def path(tree, k):
    """Nodes from the root to class k, by the definition."""
    nodes = [int(tree.leaves[k])]
    while nodes[0]:
        nodes.insert(0, int(tree.parents[nodes[0]]))
    return nodes


def lca(tree, j, k):
    return max(set(path(tree, j)) & set(path(tree, k)), key=lambda n: tree.depths[n])


def test_cifar10_heights_are_those_of_the_papers():
    tree = BUILTIN["cifar10"]()
    rows = {
        "airplane": [0, 2, 3, 3, 3, 3, 3, 3, 2, 2],
        "automobile": [2, 0, 3, 3, 3, 3, 3, 3, 2, 1],
        "bird": [3, 3, 0, 2, 2, 2, 2, 2, 3, 3],
        "cat": [3, 3, 2, 0, 1, 1, 2, 1, 3, 3],
        "frog": [3, 3, 2, 2, 2, 2, 0, 2, 3, 3],
    }
    heights = tree.lca_heights()
    for name, row in rows.items():
        np.testing.assert_array_equal(heights[tree.class_names.index(name)], row)
    np.testing.assert_array_equal(heights, heights.T)
    np.testing.assert_allclose(tree.distances(), heights / 3, rtol=1e-6)
    np.testing.assert_array_equal(tree.distances(), tree.distances("depth"))


def test_uneven_tree_by_hand():
    tree = from_nested(UNEVEN, list("xyuvwz"))
    assert tree.names[0] == "root"
    assert (tree.height, tree.num_classes, tree.num_nodes) == (3, 6, 11)
    of = {name: i for i, name in enumerate(tree.names)}
    heights = {"root": 3, "a": 2, "b": 1, "c": 2, "d": 1, "u": 0, "z": 0, "x": 0}
    depths = {"root": 0, "a": 1, "b": 2, "c": 1, "d": 2, "u": 2, "z": 1, "x": 3}
    assert {name: tree.heights[of[name]] for name in heights} == heights
    assert {name: tree.depths[of[name]] for name in depths} == depths
    want = [
        [0, 1, 3, 3, 3, 3],
        [1, 0, 3, 3, 3, 3],
        [3, 3, 0, 2, 2, 3],
        [3, 3, 2, 0, 1, 3],
        [3, 3, 2, 1, 0, 3],
        [3, 3, 3, 3, 3, 0],
    ]
    np.testing.assert_array_equal(tree.lca_heights(), want)
    np.testing.assert_array_equal(np.diag(tree.lca_depths()), [3, 3, 2, 3, 3, 1])
    np.testing.assert_array_equal(tree.distances(normalise=False), want)
    assert tree.distances().dtype == np.float32
    lineage = [[tree.names[node] for node in row] for row in tree.lineage]
    assert list(map("".join, zip(*lineage[1:]))) == [
        "abx",
        "aby",
        "cuu",
        "cdv",
        "cdw",
        "zzz",
    ]
    mask = tree.ancestors()
    assert mask.shape == (6, 11)
    assert {tree.names[m] for m in np.flatnonzero(mask[3])} == {"root", "c", "d", "v"}
    groups, names = tree.superclasses(1)
    assert [names[g] for g in groups] == ["a", "a", "c", "c", "c", "z"]
    assert len(set(tree.superclasses(0)[0])) == 1
    assert [tree.superclasses(3)[1][g] for g in tree.superclasses(3)[0]] == [*"xyuvwz"]
    assert tree.levels == (1, 2, 3)
    assert from_nested({"r": {"only": {"a": ["x", "y"], "z": None}}}).levels == (2, 3)


def test_rules_differ_on_an_uneven_tree():
    tree = from_nested(
        {"root": {"deep": {"er": ["a", "b"], "c": None}, "low": ["d", "e"]}}
    )
    height, depth = (
        tree.distances(rule, normalise=False) for rule in ("height", "depth")
    )
    assert height[3, 4] == 1  # d and e meet one edge above them
    assert depth[3, 4] == 2  # which is one edge under the root of a tree of height 3
    assert (height != depth).sum() == 2
    with pytest.raises(ValueError, match=r"Unknown distance 'lca'\. Available: heigh"):
        tree.distances("lca")


@given(trees())
@settings(max_examples=60, deadline=None)
def test_matrices_follow_the_definitions(parts):
    tree = Hierarchy(*parts)
    k = tree.num_classes
    heights, depths, mask = tree.lca_heights(), tree.lca_depths(), tree.ancestors()
    for i in range(k):
        nodes = path(tree, i)
        assert set(np.flatnonzero(mask[i])) == set(nodes)
        assert tree.depths[nodes[-1]] == len(nodes) - 1
        for j in range(k):
            node = lca(tree, i, j)
            assert heights[i, j] == tree.heights[node]
            assert depths[i, j] == tree.depths[node]
    for node, below in enumerate(tree.children):
        assert tree.heights[node] == max(
            (tree.heights[c] + 1 for c in below), default=0
        )
    for rule in ("height", "depth"):
        d = tree.distances(rule)
        assert (np.diag(d) == 0).all()
        assert (d[~np.eye(k, dtype=bool)] > 0).all()
        assert d.max() <= 1
        np.testing.assert_array_equal(d, d.T)
        # Ultrametric: of three classes, the two largest distances are equal.
        assert (d[:, None] <= np.maximum(d[:, :, None], d[None])).all()
    for depth in range(tree.height + 1):
        groups, names = tree.superclasses(depth)
        together = groups[:, None] == groups
        np.testing.assert_array_equal(
            together, (depths >= depth) | np.eye(k, dtype=bool)
        )
        assert len(names) == groups.max() + 1


@given(trees(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_permuted_classes_permute_the_matrices(parts, random):
    tree = Hierarchy(*parts)
    order = list(range(tree.num_classes))
    random.shuffle(order)
    moved = tree.restrict([tree.class_names[k] for k in order])
    np.testing.assert_array_equal(
        moved.lca_heights(), tree.lca_heights()[np.ix_(order, order)]
    )
    np.testing.assert_array_equal(
        moved.distances("depth"), tree.distances("depth")[np.ix_(order, order)]
    )
    np.testing.assert_array_equal(
        moved.superclasses(1)[0], tree.superclasses(1)[0][order]
    )
    assert (moved == tree) == (order == sorted(order))


def test_restrict():
    tree = BUILTIN["cifar10"]()
    small = tree.restrict(["truck", "cat", "dog"])
    assert small.class_names == ("truck", "cat", "dog")
    assert "ship" not in small.names
    np.testing.assert_array_equal(
        small.lca_heights(), [[0, 3, 3], [3, 0, 1], [3, 1, 0]]
    )
    assert tree.restrict(tree.class_names) == tree
    assert hash(tree.restrict(tree.class_names)) == hash(tree)
    assert tree != small
    assert tree != "cifar10"
    with pytest.raises(HierarchyError, match=r"'trucks' is not a leaf.*mean 'truck'"):
        tree.restrict(["trucks", "cat"])
    with pytest.raises(HierarchyError, match="'cat' is given twice"):
        tree.restrict(["cat", "cat"])


def test_ten_thousand_classes():
    tree = balanced((10, 1, 10, 100))
    assert repr(tree) == "Hierarchy(10000 classes, 10121 nodes, height 4)"
    tracemalloc.start()
    heights = tree.lca_heights()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heights.shape == (10_000, 10_000)
    assert peak < 1.2 * heights.nbytes == 1.2 * 2 * 10**8
    assert heights[0, [0, 1, 100, 1000]].tolist() == [0, 1, 2, 4]
    deep = balanced((2, *[1] * 5000))  # no recursion
    assert from_nested(deep.nested()) == deep
    assert hierarchy.from_newick(hierarchy.to_newick(deep)) == deep


@pytest.mark.parametrize(
    ("names", "parents", "classes", "message"),
    [
        ("abcd", [-1, -1, 0, 0], None, "one root, but 'a' and 'b' both have no parent"),
        ("abcd", [-1, 3, 1, 2], None, "has a cycle: b -> d -> c -> b"),
        ("ab", [1, 0], None, "has a cycle: a -> b -> a"),
        ("abcb", [-1, 0, 0, 0], None, "'b' stands for two nodes"),
        ("abc", [-1, 0, 3], None, "parent of 'c' is number 3.*nodes are 0..2"),
        ("abc", [-1, 0], None, "3 nodes need as many parents"),
        ("abc", [-1, 0, 0.5], None, "whole numbers.*float64"),
        ("", [], None, "got 0 nodes"),
        (["a", " b", "c"], [-1, 0, 0], None, "the name ' b'; a name must not"),
        (["a", "", "c"], [-1, 0, 0], None, "Node 1 has the name ''"),
        (["a", "b\nb", "c"], [-1, 0, 0], None, "line break"),
        ("abcd", [-1, 0, 1, 1], ["b", "c", "d"], "class 'b' is not a leaf"),
        ("abcd", [-1, 0, 0, 0], ["b", "c"], "leaf 'd' is not one of the 2 classes"),
        ("abcd", [-1, 0, 0, 0], ["b", "c", "c"], "class 'c' is given twice"),
        ("abc", [-1, 0, 0], ["b", "x"], "class 'x' is not a leaf.*Its leaves: b, c"),
        (["a", "cat", "c"], [-1, 0, 0], ["cats", "c"], r"Did you mean 'cat'\?"),
        ("ab", [-1, 0], None, "at least 2 classes, got 1"),
    ],
)
def test_bad_trees(names, parents, classes, message):
    with pytest.raises(HierarchyError, match=message):
        Hierarchy(list(names), np.array(parents), classes)


def test_a_root_may_be_its_own_parent():
    assert Hierarchy([*"rab"], [0, 0, 0]) == Hierarchy([*"rab"], [-1, 0, 0])
    with pytest.raises(HierarchyError, match="one root, but 'r' and 'a'"):
        Hierarchy([*"rab"], [0, 1, 0])


def test_bad_depth():
    with pytest.raises(ValueError, match=r"in 0\.\.3, got 4"):
        BUILTIN["cifar10"]().superclasses(4)
