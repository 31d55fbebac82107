"""The rules of the house: sizes, plain docstrings, tests for each module, imports."""

import ast
import graphlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / "ncjax").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").glob("*.py"))

# Rooms of the package from the top down; a room may import those of its own layer (not
# in a circle) and of the layers below it.
LAYERS = (
    ("__main__", "main", "cli"),
    ("comparison", "explorer", "measurement", "movie", "sweeps", "ufm.run"),
    ("training",),
    ("report",),
    ("runs",),
    ("config",),
    ("evaluation", "probes"),
    ("ufm",),
    ("models", "classifiers", "losses", "optimizers", "data", "targets"),
    ("ood", "transfer"),
    (
        *("collapse", "regression", "multilabel", "ordinal", "tasks", "complexity"),
        *("hierarchy", "codes", "moments", "cluster"),
    ),
    (
        *("gram", "blocks", "statistics", "averages", "labels", "units"),
        *("io", "style", "options", "struct", "extras", "table", "compiling"),
        *("batches", "grid", "memory"),
    ),
)
LAYER = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}


def name(path):
    return str(path.relative_to(ROOT))


def documented(tree):
    """The module, classes and functions in it."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree) if isinstance(node, kinds)]


def length(function):
    """Lines of a function without its decorators and its docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        lines -= text.end_lineno - text.lineno + 1
    return lines


def test_functions_are_short():
    long = []
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and length(node) > 60:
                long.append(f"{name(path)}: {node.name}, {length(node)} lines")
    assert not long, f"at most 60 lines without the docstring: {long}"


@pytest.mark.parametrize(
    ("paths", "most"), [(PACKAGE, 400), (TESTS, 500), ([ROOT / "README.md"], 150)]
)
def test_files_are_short(paths, most):
    sizes = {name(path): len(path.read_text().splitlines()) for path in paths}
    long = {path: size for path, size in sizes.items() if size > most}
    assert not long, f"at most {most} lines: {long}"


def test_configs_are_short():
    """A config names a recipe and changes a few fields."""
    for path in CONFIGS:
        (function,) = (
            node
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.FunctionDef)
        )
        if not path.name.startswith("ufm_"):
            assert length(function) <= 10, name(path)


# `outputs: of the classifier` does not say what they are; `outputs: number of outputs
# of the classifier` does.
ARGUMENT = re.compile(
    r" +(?!\w+Error:)[\w`*]+(, [\w`*]+)*: (\[[^\]]*\][,;:]? ?)?(of|for(?! each)|as)\b"
)
SUMMARY = re.compile(r"(Of|For|As|Likewise)\b|\w+\.?$")


def test_docstrings_name_the_noun():
    bad = []
    for path in PACKAGE:
        for node in documented(ast.parse(path.read_text())):
            lines = (ast.get_docstring(node, clean=False) or "").splitlines() or [""]
            vague = [line.strip() for line in lines if ARGUMENT.match(line)]
            vague += [lines[0]] if SUMMARY.match(lines[0]) else []
            bad += [f"{name(path)}: {line}" for line in vague]
    assert not bad, "say what it is, not only what it belongs to:\n" + "\n".join(bad)


def words(tree):
    """The names that a module of tests uses: variables, attributes, imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        if isinstance(node, ast.Attribute):
            yield node.attr
        if isinstance(node, ast.Import | ast.ImportFrom):
            source = getattr(node, "module", None) or ""
            yield from source.split(".")
            yield from (part for x in node.names for part in x.name.split("."))


def defined(tree):
    """The public functions, classes and values of a module."""
    for node in tree.body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = [x.id for x in targets if isinstance(x, ast.Name)]
        yield from (x for x in [getattr(node, "name", ""), *names] if x.strip("_") == x)


def unordered(node):
    """The sets in an expression but those of whole numbers, or sorted at once."""
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "sorted":
        return
    if isinstance(node, ast.Set):
        values = (getattr(x, "value", None) for x in node.elts)
        found = not all(isinstance(x, int) for x in values)
    else:
        found = getattr(getattr(node, "func", None), "id", "") in ("set", "frozenset")
    if found or isinstance(node, ast.SetComp):
        yield node
    for child in ast.iter_child_nodes(node):
        yield from unordered(child)


def test_cases_of_a_test_have_an_order():
    """Sets of words differ in order by process; the workers of pytest must agree."""
    bad = []
    for path in TESTS:
        for node in ast.walk(ast.parse(path.read_text())):
            if getattr(getattr(node, "func", None), "attr", "") == "parametrize":
                bad += [f"{name(path)}:{found.lineno}" for found in unordered(node)]
    assert not bad, f"write a tuple, or sort the set: {bad}"


# They only start the command line, which tests do in processes of their own.
STARTERS = {"ncjax/__main__.py", "ncjax/main.py"}


def test_each_module_has_its_test():
    """Some test is named after each module, or names it or what it defines."""
    used = set()
    for path in TESTS:
        used.update(words(ast.parse(path.read_text())))
        if path.name.startswith("test_"):
            used.add(path.stem[5:])
    without = []
    for path in PACKAGE:
        module = path.relative_to(ROOT / "ncjax").with_suffix("")
        known = {module.name, *defined(ast.parse(path.read_text()))} - {"main", ""}
        if module.name != "__init__" and not known & used:
            without.append(name(path))
    assert set(without) <= STARTERS, "no test names:\n" + "\n".join(without)


def test_rooms_have_their_tests():
    """The tests of ncjax/ROOM/ stand in tests/ROOM/."""
    rooms = {p.parent.relative_to(ROOT / "ncjax") for p in PACKAGE}
    missing = [room for room in rooms if not (ROOT / "tests" / room).is_dir()]
    assert not missing


def room(module):
    """The room of a dotted module; None if it is not of this package."""
    parts = module.split(".")
    if parts[0] != "ncjax" or len(parts) == 1:
        return None
    return "ufm.run" if parts[1:3] == ["ufm", "run"] else parts[1]


def imported(tree, types=False):
    """Dotted names that a module imports, also within its functions.

    Those that it imports for types alone are left out, unless asked for.
    """
    only_types = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not types
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in only_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrows():
    """Room -> the rooms that its modules import, with one place of each import."""
    found = {}
    for path in PACKAGE:
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        start = room(dotted)
        if start == "__init__":  # the public face is above all
            continue
        for module in imported(ast.parse(path.read_text())):
            end = room(module)
            if end is not None and end != start:
                found.setdefault(start, {})[end] = f"{name(path)} imports {module}"
    return found


def test_no_imports_run_in_a_circle():
    """Those within functions and those for types alone count, too."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE
    }
    graph = {}
    for path in PACKAGE:
        parts = path.relative_to(ROOT).with_suffix("").parts
        start = ".".join(parts).removesuffix(".__init__")
        for name in imported(ast.parse(path.read_text()), types=True):
            end = name if name in modules else name.rpartition(".")[0]
            # The public face imports what is asked for, the commands from it.
            if end in modules and "ncjax" not in (start, end):
                graph.setdefault(start, set()).add(end)
    list(graphlib.TopologicalSorter(graph).static_order())  # or CycleError, named


def test_every_room_has_its_layer():
    rooms = {room(".".join(p.relative_to(ROOT).with_suffix("").parts)) for p in PACKAGE}
    assert rooms - {"__init__"} <= LAYER.keys()


def test_no_import_runs_upwards():
    upwards = [
        place
        for start, ends in arrows().items()
        for end, place in ends.items()
        # What is no room is a name of the public face, for the commands alone.
        if LAYER.get(end, 1) < LAYER[start]
    ]
    assert not upwards, "\n".join(upwards)


def test_rooms_of_one_layer_do_not_import_each_other_in_a_circle():
    graph = arrows()

    def reach(start, seen=()):
        for end in graph.get(start, ()):
            if LAYER.get(end) == LAYER[start]:
                assert end not in seen, f"a circle: {(*seen, start, end)}"
                reach(end, (*seen, start))

    for start in graph:
        reach(start)
