"""Trees in files: as users write them, and what is wrong with bad ones."""

import codecs
import json
import re
from pathlib import Path

import numpy as np
import pytest

from ncjax import hierarchy
from ncjax.hierarchy import HierarchyError, balanced

NESTED = {"root": {"animal": ["cat", "dog"], "car": None}}

CSV = "cat,animal\ndog,animal\nanimal,root\ncar,root\n"
# As pandas writes whole numbers of a column with gaps.
IDS = "1,4.0,cat\n2,4.0,dog\n3,5.0,car\n4,5.0,animal\n5,,root\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nested.json", json.dumps(NESTED)),
        ("map.json", '{"cat":"animal","dog":"animal","animal":"root","car":"root"}'),
        (
            "counts.json",
            '\ufeff{"root": {" animal": {"cat": 3, "dog ": 2.5}, "car": 0}}',
        ),
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
        ("ids.csv", "id,parent_id,name\n" + IDS),
        ("itself.csv", CSV + "root,root\n"),
        ("tabs.tsv", "node\tparent\n" + CSV.replace(",", "\t")),
        ("double.nwk", '\ufeff(("cat":1, " dog")"an ""animal""",car)root;'),
        ("blanks.nwk", "((' cat ',dog)animal,car)root;\n"),
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


NOTHING = [
    *("", "nan", "NaN", "NAN", "-nan", "None", "none", "NONE", "null", "NULL", "Null"),
    *("NA", "na", "N/A", "n/a", "#N/A", "<NA>", "nil", "NaT", "\\N", "-", "-1", "-1.0"),
]


def parents(nothing):
    above = {"cat": "animal", "dog": "animal", "animal": "root", "car": "root"}
    return above | {"root": nothing}


@pytest.mark.parametrize("nothing", NOTHING)
def test_every_spelling_of_no_parent(tmp_path, nothing):
    want = hierarchy.from_table([line.split(",") for line in CSV.split()])
    for name, row in (
        ("plain.csv", f"root,{nothing}\n"),
        ("quoted.csv", f'root,"{nothing}"\n'),
    ):
        (tmp_path / name).write_text(CSV + row)
        assert hierarchy.read(tmp_path / name) == want
    (tmp_path / "t.tsv").write_text(f"{CSV}root,{nothing}\n".replace(",", "\t"))
    assert hierarchy.read(tmp_path / "t.tsv") == want
    rows = [{"name": name, "parent": want.names[0]} for name in ("a", "b")]
    flat = [*rows, {"name": "root", "parent": nothing}]
    for tree, height in ((flat, 1), (parents(nothing), 2)):
        (tmp_path / "t.json").write_text(json.dumps(tree))
        assert hierarchy.read(tmp_path / "t.json").height == height
    # A node of that name has a row of its own.
    if nothing:
        text = CSV.replace("root", nothing) + f"{nothing},\n"
        (tmp_path / "named.csv").write_text(text)
        assert hierarchy.read(tmp_path / "named.csv").names[0] == nothing
    if nothing:
        (tmp_path / "two.csv").write_text(f"a,{nothing}\nb,{nothing}\n")
        with pytest.raises(
            HierarchyError, match=r"one root.*both have.*stands for none"
        ):
            hierarchy.read(tmp_path / "two.csv")


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
        ("t.nwk", '(a,"b);', 'column 4: the quote " is not closed'),
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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tree.csv", "child,parent\r\nm\u00f6we,bird\r\nbird,\r\nowl,bird\r\n"),
        ("tree.json", '{"bird": ["m\u00f6we", "owl"]}'),
        ("tree.nwk", "(m\u00f6we,owl)bird;\n"),
    ],
)
def test_encodings_of_spreadsheets(name, text, encoding, tmp_path):
    marks = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
    path = tmp_path / name
    path.write_bytes(marks.get(encoding, b"") + text.encode(encoding))
    tree = hierarchy.read(path)
    assert set(tree.class_names) == {"m\u00f6we", "owl"}
    if encoding in marks:
        path.write_bytes(text.encode(encoding))  # nothing says what it is
        with pytest.raises(HierarchyError, match=f"{name} is no text in UTF-8"):
            hierarchy.read(path)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(HierarchyError, match=r"Cannot read .*no\.csv: No such file"):
        hierarchy.read(tmp_path / "no.csv")
    with pytest.raises(HierarchyError, match=r"Unknown format '\.yaml'.*\.json, \.csv"):
        hierarchy.read(tmp_path / "tree.yaml")
    with pytest.raises(HierarchyError, match="Unknown format ''"):
        hierarchy.write(balanced(2, 1), tmp_path / "tree")
    (tmp_path / "latin.csv").write_bytes(b"a,r\nb\xe9,r\n")
    with pytest.raises(HierarchyError, match="no text in UTF-8: line 2 is not"):
        hierarchy.read(tmp_path / "latin.csv")
    with pytest.raises(FileNotFoundError):
        hierarchy.write(balanced(2, 1), tmp_path / "no" / "tree.csv")
    file = tmp_path / "tree.csv"
    hierarchy.write(balanced(2, 1), file)
    hierarchy.write(balanced(3, 1), file)
    assert file.read_text() == "child,parent\nroot,\n0,root\n1,root\n2,root\n"


def test_the_example_of_the_readme(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (Path(hierarchy.__file__).parent / "README.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(example, {})
    printed = capsys.readouterr().out.strip()
    assert printed == "[0.  0.5 1. ]"
    assert f"# {printed}: " in example
    assert (tmp_path / "tree.png").read_bytes().startswith(b"\x89PNG")
