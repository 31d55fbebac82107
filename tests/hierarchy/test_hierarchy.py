"""Class trees: structure, distances, formats, built-in trees, figures."""

import itertools
import json
import re
import sys
import tracemalloc
import types

import jaxtyping
import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ncjax import hierarchy
from ncjax.data import synthetic
from ncjax.data.dataset import leaves
from ncjax.hierarchy import BUILTIN, Hierarchy, HierarchyError, balanced, from_nested

# Chain over a single child, a leaf under the root, leaves of uneven depth:
# root -> a -> b -> {x, y}, root -> c -> {u, d -> {v, w}}, root -> z.
UNEVEN = {"root": {"a": {"b": ["x", "y"]}, "c": {"u": None, "d": ["v", "w"]}, "z": {}}}


@st.composite
def trees(draw):
    """Arguments of random trees: nodes in random order, with random labels."""
    size = draw(st.integers(3, 25))
    parents = [-1] + [draw(st.integers(max(0, i - 6), i - 1)) for i in range(1, size)]
    if len(set(range(size)) - set(parents)) < 2:
        parents.append(0)
    usual = st.text(min_size=1, max_size=6)
    tricky = st.sampled_from(["T-shirt/top", "it's", "a,b", '"q"', "x;y", "(z)", "[c]"])
    names = (usual | tricky).filter(
        lambda name: name == name.strip() and len(name.splitlines()) == 1
    )
    names = draw(
        st.lists(names, min_size=len(parents), max_size=len(parents), unique=True)
    )
    order = draw(st.permutations(range(len(parents))))
    place = np.argsort(order)
    classes = [names[i] for i in range(len(parents)) if i not in parents]
    return (
        [names[i] for i in order],
        [-1 if parents[i] < 0 else int(place[parents[i]]) for i in order],
        draw(st.permutations(classes)),
    )


def path(tree, k):
    """Nodes from the root to class k, by the definition."""
    nodes = [int(tree.leaves[k])]
    while nodes[0]:
        nodes.insert(0, int(tree.parents[nodes[0]]))
    return nodes


def lca(tree, j, k):
    return max(set(path(tree, j)) & set(path(tree, k)), key=lambda n: tree.depths[n])


# Structure and distances


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


def test_rules_differ_on_an_uneven_tree(monkeypatch):
    tree = from_nested(
        {"root": {"deep": {"er": ["a", "b"], "c": None}, "low": ["d", "e"]}}
    )
    height, depth = (
        tree.distances(rule, normalise=False) for rule in ("height", "depth")
    )
    assert height[3, 4] == 1  # d and e meet one edge above them
    assert depth[3, 4] == 2  # which is one edge under the root of a tree of height 3
    assert (height != depth).sum() == 2
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users
    with pytest.raises(ValueError, match=r"Unknown rule 'lca'\. Available: height, d"):
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
        (["a", "cat", "c"], [-1, 0, 0], ["cats", "c"], r"did you mean 'cat'\?"),
        ("ab", [-1, 0], None, "at least 2 classes, got 1"),
    ],
)
def test_bad_trees(names, parents, classes, message):
    with pytest.raises(HierarchyError, match=message):
        Hierarchy(list(names), np.array(parents), classes)


def test_bad_depth():
    with pytest.raises(ValueError, match=r"in 0\.\.3, got 4"):
        BUILTIN["cifar10"]().superclasses(4)


# Formats


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


@given(trees())
@settings(max_examples=30, deadline=None)
def test_other_programs_read_the_newick(parts):
    """Brackets and commas of a reader that knows only quotes."""
    tree = Hierarchy(*parts)
    bare = re.sub(r"'(?:[^']|'')*'", "q", hierarchy.to_newick(tree))
    assert re.fullmatch(r"[A-Za-z0-9.+\-(),]+;", bare)
    assert bare.count("(") == bare.count(")") == sum(map(bool, tree.children))


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
    assert hierarchy.from_table([(1, 9), (2, 9)]).class_names == ("1", "2")
    assert hierarchy.from_table([("b", "r"), ("a", "r")]).class_names == ("b", "a")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", "r"), ("b", "r", "x")], "Row 2 is .*must be a pair"),
        (["ar", "br"], "Row 1 is 'ar'"),
        ([("a", "r"), ("r", float("nan"))], "Row 2 is .*nan.*pair of names"),
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


NESTED = {"root": {"animal": ["cat", "dog"], "car": None}}
CSV = "cat,animal\ndog,animal\nanimal,root\ncar,root\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nested.json", json.dumps(NESTED)),
        ("map.json", '{"cat":"animal","dog":"animal","animal":"root","car":"root"}'),
        ("null.json", '{"cat":"r/a","dog":"r/a","r/a":"r","car":"r","r":null}'),
        (
            "list.json",
            '[{"name":"root"},{"name":"cat","parent":"animal"},{"name":"dog","parent":'
            '"animal","id":3},{"name":"animal","parent":"root"},{"name":"car","parent":'
            '"root"}]',
        ),
        ("plain.csv", CSV),
        ("bom.csv", "\ufeff" + CSV.replace("\n", "\r\n") + "\r\n\r\n"),
        ("blanks.csv", CSV.replace(",", " , ") + '"root",\n'),
        ("titles.csv", "Child,Parent\n" + CSV),
        (
            "swapped.csv",
            "parent,note,name\n\n,top,root\nanimal,,cat\nanimal,,dog\nroot,,animal\n"
            "root,x,car\n",
        ),
        ("tabs.tsv", "node\tparent\n" + CSV.replace(",", "\t")),
        ("tree.nwk", "((cat:1,dog:2e-1)animal:0.5,car)root;"),
        ("tree.newick", "[a comment]\n( ('cat' ,dog [x,(]) animal\n,car : 3)root"),
    ],
)
def test_files_as_users_write_them(tmp_path, name, text):
    (tmp_path / name).write_bytes(text.encode())
    tree = hierarchy.read(tmp_path / name)
    assert tree.class_names == ("cat", "dog", "car")
    np.testing.assert_array_equal(tree.lca_heights(), [[0, 1, 2], [1, 0, 2], [2, 2, 0]])
    moved = hierarchy.read(str(tmp_path / name), ["car", "cat", "dog"])
    assert moved.class_names == ("car", "cat", "dog")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.json", '{\n"a": [1,}', "Line 2, column 9: not JSON"),
        ("t.json", "", "Line 1, column 1: not JSON"),
        ("t.json", '{"a": ["x"], "a": ["y"]}', "key 'a' comes twice"),
        ("t.json", '[{"name": "a"}, {"parent": "a"}]', "Entry 2 is .*must be like"),
        ("t.json", '[{"name": "a"}, "b"]', "Entry 2 is 'b'"),
        ("t.json", '{"a": "r", "b": 3.5}', "Entry 2 is .*3.5"),
        ("t.json", '{"r": ["a", 3.5]}', "3.5 of type float under 'r'"),
        ("t.json", "[" * 100_000, "nested too deeply"),
        ("t.json", '[{"name":"a","parent":"r"},{"name":"a","parent":"s"}]', "entry 2"),
        ("t.csv", "", "got 0 nodes"),
        ("t.csv", "a,r\nb;r\n", r"Line 2 has 1 column\(s\), but must have 2.*','"),
        ("t.csv", "child,parent\na,r\nb,r,x\n", "Line 3 has 3 column"),
        (
            "t.csv",
            "a,r\n\nb,r\na,s\n",
            "two parents, 'r' and 's', in line 1 and line 4",
        ),
        ("t.csv", 'a,r\n"b,r\n', "Line 2: unexpected end"),
        ("t.csv", "a,b\nb,a\n", "cycle"),
        ("t.tsv", "a,r\n", r"but must have 2, separated by '\\t'"),
        ("t.nwk", "", "holds no tree"),
        ("t.nwk", "((a,b),c;", "Line 1, column 1: this bracket is not closed"),
        ("t.nwk", "(a,b));", r"Line 1, column 6: '\)' stands outside all"),
        ("t.nwk", "(a,b),c;", "column 6: ',' stands outside"),
        ("t.nwk", "(a,\n(b,));", "Line 2, column 4: a leaf without a name"),
        ("t.nwk", "(,a);", "column 2: a leaf without a name"),
        ("t.nwk", "(a b,c);", "column 4: 'b' follows 'a'; quote names"),
        ("t.nwk", "(a:1 b,c);", "column 6: 'b' follows 'a'"),
        ("t.nwk", "((a,d):1 b,c);", "'b' comes after a branch length"),
        ("t.nwk", "(a:x,b);", "'x' after the colon is no number"),
        ("t.nwk", "a(b,c);", "column 2: a bracket opens after a node"),
        ("t.nwk", "(a,b)(c,d);", "column 6: a bracket opens after a node"),
        ("t.nwk", "(a,'b);", "column 4: the quote ' is not closed"),
        ("t.nwk", "(a,b[);", r"column 5: the comment \[ is not closed"),
        ("t.nwk", "(a,b]);", r"column 5: the bracket \] is not closed or not opened"),
        ("t.nwk", "(a,b);\n(c,d);", "the tree has ended, but .* follows"),
        ("t.nwk", "(a,b)a;", "'a' stands for two nodes"),
    ],
)
def test_bad_files(tmp_path, name, text, message):
    file = tmp_path / name
    file.write_text(text)
    with pytest.raises(HierarchyError, match=message) as caught:
        hierarchy.read(file)
    assert str(caught.value).startswith(f"{file}: ")


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(HierarchyError, match=r"Cannot read .*no\.csv: No such file"):
        hierarchy.read(tmp_path / "no.csv")
    with pytest.raises(HierarchyError, match=r"Unknown format '\.yaml'.*\.json, \.csv"):
        hierarchy.read(tmp_path / "tree.yaml")
    with pytest.raises(HierarchyError, match="Unknown format ''"):
        hierarchy.write(balanced(2, 1), tmp_path / "tree")
    (tmp_path / "latin.csv").write_bytes(b"a,r\nb\xe9,r\n")
    with pytest.raises(HierarchyError, match="Line 2 is not UTF-8"):
        hierarchy.read(tmp_path / "latin.csv")
    with pytest.raises(FileNotFoundError):
        hierarchy.write(balanced(2, 1), tmp_path / "no" / "tree.csv")
    file = tmp_path / "tree.csv"
    hierarchy.write(balanced(2, 1), file)
    hierarchy.write(balanced(3, 1), file)
    assert file.read_text() == "child,parent\nroot,\n0,root\n1,root\n2,root\n"


def test_newick_names():
    text = "(('T-shirt/top',Ankle_boot)'it''s',(a,b):1,[c]c):0;"
    tree = hierarchy.from_newick(text)
    assert tree.class_names == ("T-shirt/top", "Ankle_boot", "a", "b", "c")
    assert set(tree.names) - set(tree.class_names) == {"it's", "node 1", "node 2"}
    assert hierarchy.to_newick(tree) == (
        "(('T-shirt/top','Ankle_boot')'it''s',c,(a,b)'node 2')'node 1';"
    ).replace(",c,(a,b)'node 2'", ",(a,b)'node 2',c")


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
    with pytest.raises(HierarchyError, match=r"needs networkx.*ncjax\[trees\]"):
        hierarchy.to_networkx(balanced(2, 1))


def test_hypernym_paths():
    paths = {
        "cat": ["entity", "animal", "feline"],
        "dog": ["entity", "animal", "canine", "dog"],
        "car": ["entity", "artifact"],
    }
    tree = hierarchy.from_wordnet(["dog", "car", "cat"], paths)
    assert tree.class_names == ("dog", "car", "cat")
    np.testing.assert_array_equal(tree.lca_heights()[0], [0, 3, 2])
    assert hierarchy.from_wordnet(["dog", "cat"], paths).names[0] == "animal"
    for change, message in (
        (
            {"dog": ["entity", "pet", "feline"]},
            "paths of 'cat' and 'dog' differ.*'feline'",
        ),
        ({"dog": ["entity", "animal", "cat"]}, "'cat' lies above the class 'dog'"),
        ({"dog": []}, "'dog' has no hypernyms"),
        ({"dog": "canine"}, "'dog' has no hypernyms.*Got 'canine'"),
        ({"dog": ["animal"]}, "above 'animal': entity and nothing"),
        ({"dog": ["thing"]}, "one root, but 'entity' and 'thing'"),
    ):
        with pytest.raises(HierarchyError, match=message):
            hierarchy.from_wordnet(["cat", "dog", "car"], paths | change)
    with pytest.raises(HierarchyError, match="'cow' has no hypernyms"):
        hierarchy.from_wordnet(["cat", "cow"], paths)


class Synset:
    """As much of a synset of nltk as is asked for."""

    def __init__(self, name, *above, instance=False):
        self._name, self._above, self._instance = name, above, instance

    def name(self):
        return self._name

    def hypernyms(self):
        return [] if self._instance else [*self._above]

    def instance_hypernyms(self):
        return [*self._above] if self._instance else []

    def max_depth(self):
        return 1 + max((above.max_depth() for above in self._above), default=-1)


@pytest.fixture
def wordnet(monkeypatch):
    """A WordNet of a few synsets in the place of nltk's."""

    class WordNetError(Exception):
        pass

    entity = Synset("entity.n.01")
    animal = Synset("animal.n.01", entity)
    pet = Synset("domestic_animal.n.01", animal)
    canine = Synset("canine.n.02", Synset("carnivore.n.01", animal))
    dog, hot_dog = Synset("dog.n.01", pet, canine), Synset("hot_dog.n.01", entity)
    felix = Synset("felix.n.01", Synset("cat.n.01", animal), instance=True)
    synsets = {s.name(): s for s in (entity, animal, dog, hot_dog, felix)}

    def synset(name):
        if name not in synsets:
            raise WordNetError(name)
        return synsets[name]

    corpus = types.SimpleNamespace(
        ensure_loaded=lambda: None,
        synset=synset,
        synsets=lambda noun, pos: [s for n, s in synsets.items() if n[:-5] == noun],
        synset_from_pos_and_offset=lambda pos, at: {2084071: dog}.get(at),
    )
    modules = {
        "nltk": {},
        "nltk.corpus": {"wordnet": corpus},
        "nltk.corpus.reader": {},
        "nltk.corpus.reader.wordnet": {"WordNetError": WordNetError},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    return corpus


def test_wordnet(wordnet):
    want = {
        "entity.n.01": {
            "animal.n.01": {
                "carnivore.n.01": {"canine.n.02": ["dog"]},
                "cat.n.01": ["felix"],
            },
            "hot dog": None,
        }
    }
    tree = hierarchy.from_wordnet(["dog", "felix", "hot dog"])
    assert tree == from_nested(want, ["dog", "felix", "hot dog"])
    classes = {"wauwau": "n02084071", "sausage": "hot_dog.n.01"}
    tree = hierarchy.from_wordnet(classes)
    assert tree.class_names == ("wauwau", "sausage")
    assert tree.height == 4
    for wrong, message in (
        (["dog", "qwx"], "no noun 'qwx' for the class 'qwx'"),
        ({"dog": "dog.n.09", "b": "felix"}, "no noun 'dog.n.09' for the class 'dog'"),
        ({"dog": "n00000001", "b": "felix"}, "no noun 'n00000001'"),
        (["dog", "animal"], "'animal' lies above the class 'dog'"),
        ({"dog": "dog", "b": "n02084071"}, "'dog' and 'b' are both 'dog.n.01'"),
    ):
        with pytest.raises(HierarchyError, match=message):
            hierarchy.from_wordnet(wrong)


@pytest.mark.parametrize("absent", ["nltk", "corpus"])
def test_wordnet_is_optional(wordnet, monkeypatch, absent):
    if absent == "nltk":
        monkeypatch.setitem(sys.modules, "nltk.corpus", None)
    else:

        def fail():
            raise LookupError

        monkeypatch.setattr(wordnet, "ensure_loaded", fail)
    message = r"needs WordNet: pip install 'ncjax\[trees\]'.*nltk.downloader wordnet"
    with pytest.raises(HierarchyError, match=message):
        hierarchy.from_wordnet(["cat", "dog"])


# Built-in trees


def test_builtin_trees_have_the_labels_of_the_data():
    tops = "T-shirt/top|Trouser|Pullover|Dress|Coat|Sandal|Shirt|Sneaker|Bag|Ankle boot"
    assert BUILTIN["fashion_mnist"]().class_names == tuple(tops.split("|"))
    for name in ("mnist", "digits"):
        assert BUILTIN[name]().class_names == tuple("0123456789")
    ten = "airplane automobile bird cat deer dog frog horse ship truck"
    assert BUILTIN["cifar10"]().class_names == tuple(ten.split())
    for name in ("cifar100", "cifar100_deep"):
        tree = BUILTIN[name]()
        assert tree.class_names == tuple(sorted(tree.class_names))  # as in the data
        assert tree.num_classes == 100
        some = "apple bowl chair dolphin lamp mouse plain rose squirrel train"
        assert tree.class_names[::10] == (*some.split(),)


def test_cifar100_superclasses():
    flat, deep = BUILTIN["cifar100"](), BUILTIN["cifar100_deep"]()
    groups, names = flat.superclasses(1)
    assert len(names) == 20
    np.testing.assert_array_equal(np.bincount(groups), [5] * 20)
    assert {c for c, g in zip(flat.class_names, groups) if names[g] == "people"} == {
        *("baby", "boy", "girl", "man", "woman")
    }
    assert deep.height == 6
    of = {name: i for i, name in enumerate(deep.names)}
    for leaf, group in zip(deep.leaves, groups):  # the superclasses stay whole
        assert deep.parents[leaf] == of[names[group]]
    assert (deep.distances() != deep.distances("depth")).any()


def test_builtin_shapes():
    heights = {name: make().height for name, make in BUILTIN.items()}
    assert heights == {
        **{"cifar10": 3, "cifar100": 2, "cifar100_deep": 6},
        **{"digits": 3, "mnist": 3, "fashion_mnist": 3},
    }
    fashion = BUILTIN["fashion_mnist"]()
    row = dict(zip(fashion.class_names, fashion.lca_heights()[0].tolist()))
    assert (row["Shirt"], row["Dress"], row["Bag"], row["Sandal"]) == (1, 2, 3, 3)
    assert (fashion.distances() != fashion.distances("depth")).any()
    digits = BUILTIN["digits"]().lca_heights()
    assert (digits[6, 9], digits[3, 8], digits[1, 7], digits[1, 8]) == (1, 2, 1, 3)


def test_balanced():
    tree = balanced((2, 3))
    assert tree.class_names == tuple("012345")
    assert tree.nested() == {"root": {"1.0": [*"012"], "1.1": [*"345"]}}
    assert balanced(2, 3) == balanced((2, 2, 2))
    k = np.arange(8)
    want = np.frompyfunc(lambda a, b: int(a ^ b).bit_length(), 2, 1).outer(k, k)
    np.testing.assert_array_equal(balanced(2, 3).lca_heights(), want.astype(int))
    np.testing.assert_array_equal(
        balanced(3, 2).distances(), balanced(3, 2).distances("depth")
    )
    assert balanced((1, 2, 1)).height == 3
    for arguments, message in (
        ((2,), "arity=2 and height=None"),
        (((2, 2), 2), r"arity=\(2, 2\) and height=2"),
        ((2, 0), "height=0, must be 1"),
        ((0, 2), "arity=0, must be 1"),
        (((),), r"arity=\(\)"),
        (((2, 0),), "must be 1 or larger at each depth"),
    ):
        with pytest.raises(ValueError, match=message):
            balanced(*arguments)
    with pytest.raises(HierarchyError, match="at least 2 classes, got 1"):
        balanced(1, 4)


# Figures


def texts(figure):
    """Labels of the rows, names of the inner nodes."""
    (axes,) = figure.axes
    return [t.get_text() for t in axes.get_yticklabels()], [
        t.get_text() for t in axes.texts
    ]


@pytest.mark.parametrize("name", BUILTIN)
def test_drawing_names_all_nodes(name):
    tree = BUILTIN[name]()
    rows, inner = texts(figure := hierarchy.draw(tree))
    assert sorted(rows) == sorted(tree.class_names)
    assert sorted(rows + inner) == sorted(tree.names)
    figure.draw_without_rendering()
    spans = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in itertools.pairwise(spans))  # no overlap
    assert figure.axes[0].get_xlim() == (tree.height, 0)


def test_drawing_of_many_classes():
    rows, inner = texts(hierarchy.draw(balanced(10, 4)))
    assert len(rows) == 100
    assert rows[0] == "2.0 (100 classes)"
    assert len(inner) == 11
    rows, _ = texts(hierarchy.draw(balanced(10_000, 1)))
    assert len(rows) == 121
    assert rows[-1] == "… 9,880 more"


def test_drawing_into_given_axes():
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots(1, 2)
    assert hierarchy.draw(BUILTIN["cifar10"](), axes[1]) is figure
    assert not axes[0].texts
    assert any(text.get_text().endswith("…") for text in axes[1].texts)
