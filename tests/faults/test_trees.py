"""Class trees in hostile files: refused in linear time, in at most 500 characters.

Large trees that are right are read in seconds.
"""

import json
import os

import pytest

from ncjax.config.binding import load_data, load_hierarchy
from ncjax.config.fields import default
from ncjax.hierarchy import Hierarchy, HierarchyError, read
from ncjax.main import main
from tests.faults.limits import assert_refused, cheap
from tests.thin import thin

N = 30_000  # tests check the types of every call: they are slower than users
LONG = "x" * 10**6


def rows(pairs):
    return "".join(f"{child},{parent}\n" for child, parent in pairs)


def cycle(n, more=()):
    return rows([*more, *((f"n{i}", f"n{(i + 1) % n}") for i in range(n))])


def keys(names):
    return "{" + ",".join(f'"{name}": null' for name in names) + "}"


# What it is: ending, text -> what the message says.
CASES = {
    "cycle": (".csv", cycle(N), "has a cycle: n0 -> n1 -> .*-> n0"),
    "cycle beside a tree": (".csv", cycle(N, [("r", ""), ("x", "r")]), "has a cycle"),
    "cycle of one": (".csv", "r,\na,r\nb,a\nc,b\na,c\n", "'a' has two parents"),
    "repeated rows": (".csv", rows([("a", "r")] * N), "'a' is listed twice"),
    "repeated keys": (".json", keys([*range(N), N - 1]), "'29999' comes twice"),
    "one key": (".json", keys(["k"] * N), "'k' comes twice"),
    "repeated leaves": (".nwk", f"({'a,' * N}b)r;", "'a' stands for two nodes"),
    "digits": (".json", f'{{"a": {"1" * 5000}, "b": 2}}', "4300 digits"),
    "digits in a list": (".json", f"[{'1' * 5000}, 2]", "4300 digits"),
    "digits of a point": (".json", f"[1.{'1' * 5000}, 1e999]", "There is "),
    "digits of a parent": (
        ".json",
        f'[{{"name": 1, "parent": 1{"0" * 4999}}}]',
        "digits",
    ),
    "digits as text": (
        ".csv",
        f"{'1' * 5000}.0,{'2' * 5000}.0\n",
        "at least 2 classes",
    ),
    "nested lists": (".json", "[" * N + "1,2" + "]" * N, "nested too deeply"),
    "nested objects": (".json", '{"a":' * N + "1" + "}" * N, "nested too deeply"),
    "brackets": (".nwk", "(" * N, "this bracket is not closed"),
    "comments": (".nwk", "(a,b)r;" + "[" * N, r"has ended, but '\[\[\["),
    "comments before": (".nwk", "[" * N, "is not closed or not opened"),
    "quotes": (".nwk", "'" * (N + 1), "is not closed or not opened"),
    "commas": (".nwk", "," * N, "a leaf without a name"),
    "long name": (".nwk", f"({LONG},{LONG})r;", "stands for two nodes"),
    "long name in quotes": (".nwk", f"('{LONG} {LONG}','b')'b';", "two nodes"),
    "many words": (".csv", f"{'x ' * 60_000}y,r\n", "at least 2 classes"),
    "long cell": (".csv", f"{LONG},r\nb,r\n", "field larger than field limit"),
    "long line": (".csv", "a," * N + "b\n", "Line 1 has 30001 column"),
    "long key": (".json", keys([LONG, LONG]), "comes twice"),
    "long text": (".json", json.dumps({"name": "r", "children": LONG}), "one root"),
    "unknown key": (".json", json.dumps({"name": "r", LONG: [1], "x": {}}), "unknown"),
    "deep and wide": (
        ".csv",
        rows(
            p
            for i in range(N)
            for p in ((f"n{i}", f"n{i + 1}"), (f"l{i}", f"n{i + 1}"))
        ),
        r"needs a table of 3.6 GB of their ancestors; 1.1 GB are allowed",
    ),
    "a chain": (
        ".csv",
        rows((f"n{i}", f"n{i + 1}") for i in range(N)),
        "2 classes, got 1",
    ),
    "roots": (".csv", rows((f"n{i}", "") for i in range(N)), "have no parent"),
    "zeros": (".csv", "\0" * N, "it holds zeros"),
    "nothing": (".json", "", "not JSON"),
    "links": (
        ".json",
        json.dumps({"nodes": [{"id": i} for i in range(N)], "links": [{}]}),
        "must have the ids of two nodes",
    ),
}


# Of those that take long, one is for every day.
LONG_TO_READ = ("cycle", "cycle beside a tree", "a chain", "repeated rows", "roots")
FEW = [
    pytest.param(case, marks=pytest.mark.slow if case in LONG_TO_READ else ())
    for case in CASES
]


@pytest.mark.parametrize("case", FEW)
def test_refused_in_linear_time(case, tmp_path):
    ending, text, message = CASES[case]
    path = tmp_path / f"tree{ending}"
    path.write_text(text)
    with cheap(seconds=5), pytest.raises(HierarchyError, match=message) as caught:
        read(path)
    said = str(caught.value)
    assert len(said) <= 500
    assert "\n" not in said
    assert str(path) in said


def test_what_is_no_file(tmp_path):
    for ending in (".json", ".csv", ".tsv", ".nwk"):
        path = tmp_path / f"pipe{ending}"
        os.mkfifo(path)
        with pytest.raises(HierarchyError, match="is a pipe; a file is needed"):
            read(path)
        path = tmp_path / f"zero{ending}"
        path.symlink_to("/dev/zero")
        with pytest.raises(HierarchyError, match="is a device; a file is needed"):
            read(path)
        path = tmp_path / f"folder{ending}"
        path.mkdir()
        with pytest.raises(HierarchyError, match="is a folder; a file is needed"):
            read(path)
        path = tmp_path / f"large{ending}"
        with open(path, "wb") as file:
            file.truncate(10**12)
        with pytest.raises(HierarchyError, match="text of 268,435,456 is read at most"):
            read(path)


def test_classes_that_are_not_there_are_named_in_linear_time(tmp_path):
    tree = Hierarchy(["r", *map(str, range(N))], [-1, *[0] * N])
    with (
        cheap(seconds=3),
        pytest.raises(HierarchyError, match="is not a leaf") as caught,
    ):
        tree.restrict([f"{LONG}{i}" for i in range(20)])
    assert len(str(caught.value)) <= 500


def test_a_run_whose_tree_is_a_pipe(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("tree.json")
    assert_refused(main(["", "--config.hierarchy.file=tree.json"]), capsys.readouterr())
    assert [path.name for path in tmp_path.iterdir()] == ["tree.json"]


def test_a_run_whose_tree_has_another_class(tmp_path):
    config = default()
    config.hierarchy.file = str(tmp_path / "tree.csv")
    (tmp_path / "tree.csv").write_text(rows((i, "r") for i in range(1000)))
    assert load_hierarchy(config, load_data(config)).num_classes == 10
    (tmp_path / "tree.csv").write_text(rows((i + 1, "r") for i in range(1000)))
    with pytest.raises(ValueError, match="The class '0' is not a leaf of the tree"):
        load_hierarchy(config, load_data(config))


def leaves(n):
    groups = [(f"g{i}", "root") for i in range(1000)]
    return [*((f"leaf{i}", f"g{i % 1000}") for i in range(n)), *groups]


def nested(n):
    return {
        "root": {f"g{g}": [f"l{i}" for i in range(g, n, 1000)] for g in range(1000)}
    }


def newick(n):
    groups = (",".join(f"l{i}" for i in range(g, n, 1000)) for g in range(1000))
    return f"({','.join(f'({group})g{g}' for g, group in enumerate(groups))})root;"


def records(n):
    pairs = leaves(n)
    return json.dumps([{"name": name, "parent": parent} for name, parent in pairs])


LARGE = {
    ".csv": lambda n: rows(leaves(n)),
    ".nwk": newick,
    ".json": records,
    "nested.json": lambda n: json.dumps(nested(n)),
    "mapped.json": lambda n: json.dumps(dict(leaves(n))),
}


def check_large(kind, leaves, seconds, tmp_path):
    path = tmp_path / f"tree{kind}"
    path.write_text(LARGE[kind](leaves))
    with cheap(seconds, gigabytes=8):
        tree = read(path)
    assert (tree.num_classes, tree.height) == (leaves, 2)


@pytest.mark.parametrize("kind", thin(list(LARGE), keep={0, 2}))
def test_a_large_tree(kind, tmp_path):
    # Quadratic work on so many leaves takes minutes.
    check_large(kind, 20_000, 5, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", LARGE)
def test_a_tree_of_a_million_leaves(kind, tmp_path):
    check_large(kind, 10**6, 20, tmp_path)
