"""Trees as data sets publish them; all samples are invented."""

import json

import pytest

from ncjax import hierarchy
from ncjax.hierarchy import HierarchyError
from ncjax.hierarchy.published import cut, from_is_a, from_ranks, rename


def taxon(name, *ranks):
    titles = ("kingdom", "phylum", "class", "order", "family", "genus")
    return {"name": name, "supercategory": ranks[0], **dict(zip(titles, ranks))}


TAXA = [
    taxon("Fel alba", "Anim", "Chor", "Mam", "Carn", "Felid", "Fel"),
    taxon("Ros rubra", "Plan", "Trac", "Magn", "Rosal", "Rosac", "Ros"),
    taxon("Fel nigra", "Anim", "Chor", "Mam", "Carn", "Felid", "Fel"),
    taxon("Can lata", "Anim", "Chor", "Mam", "Carn", "Canid", "Can"),
]


def write(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    return tmp_path / name


@pytest.mark.parametrize("kind", ["list", "annotations", "csv"])
def test_taxa_with_their_ranks(tmp_path, kind):
    if kind == "csv":
        titles = list(TAXA[0])
        lines = [",".join(row[t] for t in titles) for row in TAXA]
        path = write(tmp_path, "taxa.csv", "\n".join([",".join(titles), *lines]))
    else:
        rows = [{"id": i, **row} for i, row in enumerate(TAXA)]
        whole = rows if kind == "list" else {"info": {}, "categories": rows}
        path = write(tmp_path, "taxa.json", json.dumps(whole))
    tree = hierarchy.read(path)
    assert tree.class_names == tuple(row["name"] for row in TAXA)
    assert tree.names[0] == "root"
    heights = tree.lca_heights()
    assert (heights[0, 2], heights[0, 3], heights[0, 1]) == (1, 3, 7)
    assert set(tree.superclasses(1)[1]) == {"Anim", "Plan"}


def test_words_that_name_several_taxa():
    """A genus of two kingdoms, and a class called as its phylum."""
    rows = [
        taxon("a", "Anim", "Chor", "Chor", "O", "F", "Prun"),
        taxon("b", "Plan", "Trac", "Magn", "P", "G", "Prun"),
        taxon("c", "Plan", "Trac", "Magn", "P", "H", "Prun"),
        taxon("O", "Plan", "Trac", "", "Q", "I", None),
    ]
    tree = from_ranks(rows)
    assert tree.class_names == ("a", "b", "c", "O")
    assert {"Prun", "Prun (genus)", "Prun (genus 2)", "Chor (class)"} < set(tree.names)
    assert "O (order)" in tree.names  # a class has its own name
    assert tree.depths[tree.leaves].tolist() == [7, 7, 7, 5]
    with pytest.raises(HierarchyError, match="Entry 2 is a taxon without a 'name'"):
        from_ranks([rows[0], {**rows[1], "name": " "}])


IS_A = """n01 n02
n01 n03
n02 n04
n02 n05
n03 n06
n05 n07
n03 n07
"""


def test_lines_of_parent_and_child(tmp_path):
    path = write(tmp_path, "is_a.txt", "\ufeff" + IS_A.replace("\n", "\r\n"))
    tree = hierarchy.read(path)
    assert tree.class_names == ("n04", "n06", "n07")
    # n07 lies below n05 and n03: the one that is farther from the root counts.
    assert tree.names[tree.parents[tree.names.index("n07")]] == "n05"
    # A class may have nodes below it, which go.
    some = hierarchy.read(path, ["n06", "n05", "n04"])
    assert some.class_names == ("n06", "n05", "n04")
    assert "n07" not in some.names
    with pytest.raises(HierarchyError, match=r"is_a.txt: .*'n7' is no node .*'n07'\?"):
        hierarchy.read(path, ["n7", "n04"])
    with pytest.raises(HierarchyError, match="'n05' is not a leaf"):
        cut(tree, ["n05", "n07"])
    with pytest.raises(HierarchyError, match=r"not written as \.txt"):
        hierarchy.write(tree, tmp_path / "new.txt")


def test_names_from_another_file(tmp_path):
    path = write(tmp_path, "is_a.txt", IS_A)
    words = "n01\tentity\nn04\tcrane, bird of the marsh\nn06\tcrane\nn07 lift truck\n"
    names = write(tmp_path, "words.txt", words)
    tree = hierarchy.read(path, names=names)
    assert tree.class_names == ("crane (n04)", "crane (n06)", "lift truck")
    assert tree.names[0] == "entity"
    assert "n02" in tree.names  # has no name
    some = hierarchy.read(path, ["lift truck", "crane (n06)"], names=names)
    assert some.class_names == ("lift truck", "crane (n06)")
    assert "n04" not in rename(some, "n03 thing").names
    names.write_text("n01\n")
    with pytest.raises(HierarchyError, match=r"words.txt: Line 1 is 'n01', but must"):
        hierarchy.read(path, names=names)


NODES = """1\t|\t1\t|\tno rank\t|\t\t|
2\t|\t1\t|\tgenus\t|\tXX\t|
30\t|\t2\t|\tspecies\t|\t\t|
4\t|\t2\t|\tspecies\t|\t\t|
5\t|\t1\t|\tspecies\t|\t\t|
"""
NAMES = """1\t|\troot\t|\t\t|\tscientific name\t|
2\t|\tFel\t|\tFel <anim>\t|\tscientific name\t|
30\t|\tFel alba\t|\t\t|\tscientific name\t|
30\t|\twhite fel\t|\t\t|\tcommon name\t|
4\t|\tFel nigra\t|\t\t|\tscientific name\t|
"""


def test_the_tables_of_ncbi(tmp_path):
    path = write(tmp_path, "nodes.dmp", NODES)
    tree = hierarchy.read(path)
    assert tree.class_names == ("30", "4", "5")
    assert tree.lca_heights().tolist() == [[0, 1, 2], [1, 0, 2], [2, 2, 0]]
    names = write(tmp_path, "names.dmp", NAMES)
    named = hierarchy.read(path, names=names)
    assert named.class_names == ("Fel alba", "Fel nigra", "5")
    assert {"root", "Fel <anim>"} < set(named.names)
    table = "tax_id,parent_tax_id,rank\n1,1,\n2,1,genus\n30,2,\n4,2,\n5,1,\n"
    assert hierarchy.read(write(tmp_path, "nodes.csv", table)) == tree


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b\na\n", "Line 2 is 'a', but must be two words"),
        ("a b\n\na b c\n", "Line 3 is 'a b c', but must be two words"),
        ("a | \n", "Line 1 is .*but must be"),
        ("a b\nb a\n", "cycle"),
        ("", "got 0 nodes"),
    ],
)
def test_bad_lines(text, message):
    with pytest.raises(HierarchyError, match=message):
        from_is_a(text)


def test_several_roots_get_a_common_one():
    tree = from_is_a("a b\na c\nroot d\n")
    assert tree.names[0] == "node 1"
    assert set(tree.class_names) == {"b", "c", "d"}
