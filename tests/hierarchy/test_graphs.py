"""Trees from and as graphs of networkx."""

import sys

import networkx
import pytest

from ncjax import hierarchy
from ncjax.hierarchy import HierarchyError, balanced


def test_networkx():
    graph = networkx.DiGraph([("r", "a"), ("r", 7), ("a", "x"), ("a", "y")])
    tree = hierarchy.from_networkx(graph)
    assert tree.class_names == ("7", "x", "y")
    back = hierarchy.to_networkx(tree)
    assert networkx.is_arborescence(back)
    assert set(back.edges) == {("r", "a"), ("r", "7"), ("a", "x"), ("a", "y")}
    for wrong, message in (
        (graph.reverse(), r"'r' has 2 parents: a, 7\. Edges must go.*reverse\(\)"),
        (graph.to_undirected(), "undirected.*bfs_tree"),
        (
            networkx.DiGraph([(1, 2), (1, "2"), (2, 3)]),
            "'2' is listed twice|two parents",
        ),
        (networkx.DiGraph([(1, 2), (2, 1)]), "cycle"),
        (networkx.DiGraph(), "got 0 nodes"),
    ):
        with pytest.raises(HierarchyError, match=message):
            hierarchy.from_networkx(wrong)


def test_networkx_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(
        HierarchyError, match=r"needs networkx.*pip install '.*\[trees\]'"
    ):
        hierarchy.to_networkx(balanced(2, 1))
