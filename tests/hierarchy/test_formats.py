"""Trees from nested collections and tables; round trips through every format."""

import json

import numpy as np
import pytest
from hypothesis import given, settings

from ncjax import hierarchy
from ncjax.data import synthetic
from ncjax.data.dataset import leaves
from ncjax.hierarchy import Hierarchy, HierarchyError, from_nested
from tests.hierarchy.random_trees import UNEVEN, trees


@given(trees())
@settings(max_examples=100, deadline=None)
def test_round_trips(tmp_path_factory, parts):
    tree = Hierarchy(*parts)
    assert from_nested(tree.nested(), tree.class_names) == tree
    assert from_nested(json.loads(json.dumps(tree.nested())), tree.class_names) == tree
    text = hierarchy.to_newick(tree)
    assert hierarchy.from_newick(text, tree.class_names) == tree
    assert hierarchy.from_networkx(hierarchy.to_networkx(tree)) == tree
    folder = tmp_path_factory.mktemp("trees")
    for suffix in ("json", "csv", "TSV", "nwk", "newick"):
        hierarchy.write(tree, folder / f"tree.{suffix}")
        assert hierarchy.read(folder / f"tree.{suffix}", tree.class_names) == tree
        if suffix not in ("nwk", "newick"):  # tables keep the order of the labels
            assert hierarchy.read(folder / f"tree.{suffix}") == tree
    assert len(list(folder.iterdir())) == 5  # nothing temporary stays


def test_nested():
    tree = from_nested({"root": {"animal": ["cat", "dog"], "car": None}})
    assert tree.class_names == ("cat", "dog", "car")
    assert tree.names == ("root", "animal", "car", "cat", "dog")
    assert tree.nested() == {"root": {"animal": ["cat", "dog"], "car": None}}
    same = from_nested([{"animal": ("cat", "dog")}, "car"], ["dog", "cat", "car"])
    assert same.names[0] == "node 1"
    assert same.class_names == ("dog", "cat", "car")
    several = from_nested({"animal": {"cat": [], "dog": {}}, "node 1": "car"})
    assert several.names == ("node 2", "animal", "node 1", "cat", "dog", "car")
    counted = from_nested({"animal": {"cat": 3, "dog": 0.5}, "car": 1})
    assert counted.class_names == ("cat", "dog", "car")
    assert from_nested({"one": {1: 2}, "two": ["a", 3]}).class_names == ("2", "a", "3")
    assert from_nested({"odd": [1, 3], "even": [0, 2]}).class_names == (*"1302",)


def test_nested_tuples_of_a_dataset():
    dataset = synthetic(num_classes=6, train_size_per_class=1, test_size_per_class=1)
    tree = from_nested(dataset.tree, dataset.class_names)
    assert tree.class_names == dataset.class_names == tuple(leaves(dataset.tree))
    np.testing.assert_array_equal(tree.lca_heights()[0], [0, 1, 2, 2, 3, 3])
    assert set(tree.names) == {*"012345", *(f"node {i}" for i in range(1, 7))}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"r": {"a": 0.5, "b": None}}, "0.5 of type float under 'a'"),
        ({"r": ["a", True]}, "True of type bool under 'r'"),
        ({"r": ["a", None]}, "None of type NoneType under 'r'"),
        (("a", ("b", ())), "empty group in a group without a name"),
        ({"r": ["a", {}]}, "empty group under 'r'"),
        ({"r": {None: ["a", "b"]}}, "None of type NoneType under 'r'"),
        ({"r": {"a": ["x", "y"], "b": ["x", "z"]}}, "'x' stands for two nodes"),
        ({"r": {"r": ["x", "y"]}}, "'r' stands for two nodes"),
        ("cat", "at least 2 classes, got 1"),
        ({}, "at least 2 classes, got 1"),
    ],
)
def test_bad_nested(tree, message):
    with pytest.raises(HierarchyError, match=message):
        from_nested(tree)


def test_table():
    want = from_nested(UNEVEN)
    rows = [
        (n, want.names[p] if p >= 0 else None) for n, p in zip(want.names, want.parents)
    ]
    assert hierarchy.from_table(rows, want.class_names) == want
    assert hierarchy.from_table(dict(reversed(rows[1:])), want.class_names) == want
    nothing = (None, "", np.nan, np.float32("nan"), np.datetime64("NaT", "s"))
    for missing in (*nothing, -1, -1.0, "9", 9, 9.0):  # or the root itself
        table = [(1, 9.0), (2, 9.0), (9, missing)]
        assert hierarchy.from_table(table) == hierarchy.from_table(table[:2]), missing
    assert hierarchy.from_table([(1, 9), (2, 9)]).class_names == ("1", "2")
    assert hierarchy.from_table([("b", "r"), ("a", "r")]).class_names == ("b", "a")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "r"), ("b", "r", "x")], "Row 2 is .*must be a pair"),
        (["ar", "br"], "Row 1 is 'ar'"),
        ([("a", "r"), ("r", 2.5)], r"Row 2 is .*2\.5.*pair of names"),
        ([("a", "r"), (True, "r")], "Row 2 is .*True.*pair of names"),
        ([("a", "r"), 7], "Row 2 is 7, but must be a pair"),
        ([("a", "r"), (float("nan"), "r")], "Row 2 names no child"),
        ([("a", "r"), ("", "r")], "Row 2 names no child"),
        (
            [("a", "r"), ("b", "r"), ("a", "r")],
            "'a' is listed twice, in row 1 and row 3",
        ),
        (
            [("a", "r"), ("a", "b"), ("b", "r")],
            "two parents, 'r' and 'b', in row 1 and",
        ),
        ([("a", "r"), ("b", "s")], "one root, but 'r' and 's'"),
        ([("a", "r"), ("b", "a"), ("r", "a")], "cycle"),
    ],
)
def test_bad_table(rows, message):
    with pytest.raises(HierarchyError, match=message):
        hierarchy.from_table(rows)
