"""Trees of records, as d3 and networkx write them in JSON, and graphs as node-link."""

import json
import re

import networkx
import pytest
from hypothesis import given, settings, strategies as st

from ncjax import hierarchy
from ncjax.hierarchy import Hierarchy, HierarchyError, from_nested
from ncjax.hierarchy.records import CHILDREN, NAMES, from_records, is_record
from tests.hierarchy.random_trees import trees

WANT = from_nested({"root": {"animal": ["cat", "dog"], "car": None}})

D3 = {
    "name": "root",
    "children": [
        {"name": "animal", "children": [{"name": "cat", "value": 3}, {"name": "dog"}]},
        {"name": "car", "size": 17, "colour": "red"},
    ],
}


def read(tmp_path, tree, classes=None):
    (tmp_path / "tree.json").write_text(json.dumps(tree))
    return hierarchy.read(tmp_path / "tree.json", classes)


@pytest.mark.parametrize(
    "tree",
    [
        D3,
        {  # leaves with counts
            "name": " root",
            "children": [
                {"name": "animal", "children": [{"cat": 3, "dog": 2}]},
                {"car": 1},
            ],
        },
        {
            "name": "root",
            "children": [{"name": "animal", "children": {"cat": 3, "dog": 2}}, "car "],
        },
        {
            "NAME": "root",
            "Children": [{"name": "animal", "nodes": ["cat", "dog"]}, "car"],
        },
        {
            "id": "root",
            "children": [
                {"id": "animal", "children": [{"id": "cat"}, {"id": "dog"}]},
                {"id": "car", "children": []},
            ],
        },
        {
            "name": "root",
            "_children": None,
            "children": [
                {"name": "animal", "_children": ["cat", "dog"], "attributes": {"n": 2}},
                {"name": "car", "parent": "root", "children": None},
            ],
        },
        [  # rows that name their parents by their ids
            {"id": 0, "name": "root", "parent": None},
            {"id": 1, "name": "animal", "parent": 0},
            {"id": 2, "name": "cat", "parent": 1},
            {"id": 3, "name": "dog", "parent": 1},
            {"id": 4, "name": "car", "parent": 0},
        ],
        {
            "root": "root",
            "animal": "root",
            "cat": "animal",
            "dog": "animal",
            "car": "root",
        },
    ],
)
def test_usual_trees(tmp_path, tree):
    assert read(tmp_path, tree, WANT.class_names) == WANT
    if is_record(tree):
        assert from_nested(tree, WANT.class_names) == WANT


def test_a_forest_has_a_root_without_a_name(tmp_path):
    tree = read(tmp_path, D3["children"])
    assert (tree.names[0], tree.class_names) == ("node 1", WANT.class_names)
    alone = read(tmp_path, {"children": D3["children"]})
    assert alone == tree


def record(tree, node, name, children):
    below = [record(tree, child, name, children) for child in tree.children[node]]
    return {name: tree.names[node], "weight": 0.5} | (
        {children: below} if below else {}
    )


@given(trees(), st.sampled_from(NAMES), st.sampled_from(CHILDREN))
@settings(max_examples=40, deadline=None)
def test_every_tree_comes_back(tmp_path_factory, parts, name, children):
    tree = Hierarchy(*parts)
    folder = tmp_path_factory.mktemp("trees")
    classes = tree.class_names
    assert read(folder, record(tree, 0, name, children), classes) == tree
    graph = hierarchy.to_networkx(tree)
    for links in ("links", "edges"):
        assert read(folder, networkx.node_link_data(graph, edges=links)) == tree
    assert read(folder, networkx.tree_data(graph, tree.names[0]), classes) == tree


def test_links_by_ids_beside_names(tmp_path):
    names = ["root", "animal", "cat", "dog", "car"]
    links = [(0, 1), (1, 2), (1, 3), (0, 4)]
    data = {
        "nodes": [{"id": i, "name": name} for i, name in enumerate(names)],
        "links": [{"source": a, "target": b, "value": 1} for a, b in links],
    }
    assert read(tmp_path, data, WANT.class_names) == WANT
    data["links"].append({"source": 2, "target": 9})
    with pytest.raises(
        HierarchyError, match=r"link .*9.* must have the ids of two nod"
    ):
        read(tmp_path, data)
    with pytest.raises(HierarchyError, match="undirected"):
        read(tmp_path, data | {"directed": False})
    with pytest.raises(HierarchyError, match="has 2 parents: animal, root"):
        read(
            tmp_path,
            data | {"links": [*data["links"][:-1], {"source": 0, "target": 2}]},
        )
    with pytest.raises(HierarchyError, match="has no id or no name"):
        read(tmp_path, {"nodes": [{"x": 1}], "links": []})


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (
            {"name": "r", "kids": ["a", "b"]},
            "node 'r' has the unknown key 'kids'.*'children'",
        ),
        (
            {"name": "r", "children": [{"name": "a", "kids": [{"name": "x"}]}, "b"]},
            "node 'a' has the unknown key 'kids'",
        ),
        ({"name": "r", "children": {"a": {}, "b": ["x"]}}, "unknown key 'b'"),
        (
            {"name": "r", "children": ["a", {"size": 2}]},
            "leaf without a name .*under 'r'",
        ),
        ({"name": "r", "children": ["a", 2.5]}, "There is 2.5 under 'r'"),
        (
            {"name": "r", "children": ["a"], "nodes": ["b"]},
            "both 'children' and 'nodes'",
        ),
        ({"name": "r", "children": []}, "at least 2 classes"),
        ({"name": "r", "children": ["a", "r"]}, "'r' stands for two nodes"),
    ],
)
def test_what_is_refused(tmp_path, tree, message):
    with pytest.raises(HierarchyError, match=message) as caught:
        read(tmp_path, tree)
    assert len(str(caught.value)) < 400
    with pytest.raises(HierarchyError, match=message):
        from_records(tree)


def test_messages_do_not_print_the_tree(tmp_path):
    many = [{"name": f"leaf {i}"} for i in range(10_000)]
    for tree in (
        {"name": "r", "kids": many},
        [{"name": "a"}, {"label": many}],
        {"a": "r", "b": many},
        {"nodes": many, "links": [{"source": many}]},
        {"r": {"a": [1.5, many]}},
    ):
        with pytest.raises(HierarchyError) as caught:
            read(tmp_path, tree)
        assert len(re.sub(r"^.*tree\.json: ", "", str(caught.value))) < 500
