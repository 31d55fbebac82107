"""Class trees from nested collections and from tables of parents."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ncjax.hierarchy.records import (
    from_records,
    is_count,
    is_name,
    is_record,
    under,
)
from ncjax.hierarchy.tree import Hierarchy, HierarchyError, name_nodes

# What programs write where nothing stands: pandas, NumPy, R, SQL, spreadsheets.
_MISSING = {
    *("", "nan", "-nan", "none", "null", "nil", "na", "n/a", "#n/a", "#na", "<na>"),
    *("nat", "\\n", "-", "--", "-1", "undefined"),
}


def from_nested(tree: Any, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree from nested dicts, lists and tuples.

    The keys of a dict are nodes, and their values what lies below them: another
    collection, the name of an only child, or None (or an empty collection) for a leaf.
    The items of a list or tuple are leaves, where they are names; dicts, whose keys
    join the others; or lists and tuples, which are inner nodes without a name:

        {"root": {"animal": ["cat", "dog"], "car": None}}
        (("cat", "dog"), "car")

    Where all that objects hold is objects and, at last, numbers, these are counts, and
    their keys the leaves: {"root": {"animal": {"cat": 3, "dog": 2}, "car": 1}}.

    A tree of records, `{"name": "animal", "children": ["cat", "dog"]}`, is taken too
    (`ncjax.hierarchy.records`).  Nodes without a name, also a root above several keys
    or items, are called "node 1", "node 2", ... from left to right.

    Args:
        tree: nested collections as above; numbers may stand for names.
        classes: names of the leaves in the order of the labels; by default from left
            to right.

    Raises:
        HierarchyError: if anything else lies within the tree, if a group is empty, or
            if `Hierarchy` refuses the tree.
    """
    if is_record(tree):
        return from_records(tree, classes)
    if _has_counts(tree):
        tree = _without_counts(tree)
    labels: list[str | None] = []
    parents: list[int] = []
    pending: list[tuple[str | None, Any, int]] = [(None, tree, -1)]
    if isinstance(tree, Mapping) and len(tree) == 1:
        pending = [(label, below, -1) for label, below in _branches(tree, None)]
    while pending:
        label, below, parent = pending.pop()
        labels.append(label)
        parents.append(parent)
        node = len(labels) - 1
        branches = _branches(below, label)
        pending.extend((*branch, node) for branch in reversed(branches))
    return Hierarchy(name_nodes(labels), parents, classes)


def from_table(
    rows: Iterable[Any] | Mapping[Any, Any],
    classes: Sequence[str] | None = None,
) -> Hierarchy:
    """A tree from pairs (child, parent), or from a mapping of child to parent.

    Names are text or numbers.  The root either has a row, with itself or nothing for
    its parent (`from_edges` says what nothing is), or appears as a parent only.

    Args:
        rows: the pairs, in any order.
        classes: names of the leaves in the order of the labels; by default the order
            of their rows.

    Raises:
        HierarchyError: if a row is no pair, if a node has two rows, or if `Hierarchy`
            refuses the tree.
    """
    pairs = rows.items() if isinstance(rows, Mapping) else rows
    edges = []
    for number, row in enumerate(pairs, 1):
        is_pair = isinstance(row, Iterable) and not isinstance(row, str)
        texts = list(map(to_text, row)) if is_pair else []
        if len(texts) != 2 or None in texts:
            raise HierarchyError(
                f"Row {number} is {reprlib.repr(row)}, but must be a pair of names: "
                "child, parent."
            )
        child, parent = (text or "" for text in texts)
        edges.append((f"row {number}", child, parent))
    return from_edges(edges, classes)


def to_text(value: Any) -> str | None:
    """The name that a cell of a table holds, "" for nothing; None if it holds none.

    A column of whole numbers with gaps has numbers with a point: 3.0 is the name "3".
    """
    if is_name(value):
        return str(value)
    if value is None or str(value) in ("", "nan", "<NA>", "NaT"):
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else None


def from_edges(
    edges: Iterable[tuple[str, str, str]], classes: Sequence[str] | None = None
) -> Hierarchy:
    """The tree of `from_table`, from triples that say where each pair comes from.

    No parent is "", what programs write for it, such as `NaN`, `None`, `null`, `NA` or
    -1, unless a node has that name, or the node itself.

    Args:
        edges: (place, child, parent), the place for messages, such as "line 3".
        classes: names of the leaves in the order of the labels; by default the order
            of their rows.

    Raises:
        HierarchyError: if a node has two rows, or if `Hierarchy` refuses the tree.
    """
    edges = list(edges)
    known = {child for _, child, _ in edges}
    parent_of: dict[str, str] = {}
    place_of: dict[str, str] = {}
    spelled: dict[str, str] = {}  # nodes without a parent, by what says so
    for place, child, given in edges:
        parent = find_parent(given, known)
        if not child:
            raise HierarchyError(f"{place.capitalize()} names no child.")
        if child in parent_of:
            places = f"{place_of[child]} and {place}"
            if parent == parent_of[child]:
                raise HierarchyError(
                    f"{child!r} is listed twice, in {places}; leave one out."
                )
            raise HierarchyError(
                f"{child!r} has two parents, {parent_of[child]!r} and {parent!r}, in "
                f"{places}. A node has one; in each row the child comes first, then "
                "its parent."
            )
        if (
            given
            and not parent
            and (other := spelled.setdefault(given, child)) != child
        ):
            raise HierarchyError(
                f"A tree has one root, but {other!r} and {child!r} both have the "
                f"parent {given!r}, which stands for none. Give them a common one; if "
                f"it is called {given!r}, give it a row of its own."
            )
        parent_of[child], place_of[child] = parent, place
    names = list(parent_of)
    names += dict.fromkeys(p for p in parent_of.values() if p and p not in parent_of)
    number = {name: i for i, name in enumerate(names)}
    parents = [number.get(parent_of.get(name, ""), -1) for name in names]
    return Hierarchy(names, parents, classes)


def find_parent(given: str, known: Collection[str | None]) -> str:
    """The name of a parent, "" if it says that there is none.

    pandas writes whole numbers of a column with gaps as 3.0: the node may be called 3.
    """
    if given in known:
        return given
    whole = re.sub(r"\.0+$", "", given) if re.fullmatch(r"-?\d+\.0+", given) else given
    if whole in known:
        return whole
    return "" if whole.lower() in _MISSING else given


def to_edges(tree: Hierarchy) -> list[tuple[str, str]]:
    """Name and parent of the inner nodes from the root on, then of the classes.

    The parent of the root is "".
    """
    inner = [node for node in range(tree.num_nodes) if tree.children[node]]
    return [
        (tree.names[node], tree.names[tree.parents[node]] if node else "")
        for node in (*inner, *tree.leaves)
    ]


def _branches(below: Any, label: str | None) -> list[tuple[str | None, Any]]:
    """The children of a node, each with what lies below it."""
    if below is None:
        return []
    if isinstance(below, Mapping):
        return [(_name(key, label), value) for key, value in below.items()]
    if not isinstance(below, list | tuple):
        return [(_name(below, label), None)]
    branches: list[tuple[str | None, Any]] = []
    for item in below:
        if isinstance(item, Mapping | list | tuple) and not item:
            raise HierarchyError(f"There is an empty group {under(label)}.")
        if isinstance(item, Mapping):
            branches += _branches(item, label)
        elif isinstance(item, list | tuple):
            branches.append((None, item))
        else:
            branches.append((_name(item, label), None))
    return branches


def _has_counts(tree: Any) -> bool:
    """Whether it is a dict of dicts that at last hold numbers alone."""
    pending, found = [tree], isinstance(tree, Mapping)
    while pending and found:
        values = pending.pop().values()
        inner = [value for value in values if isinstance(value, Mapping)]
        found = all(is_count(v) for v in values if not isinstance(v, Mapping))
        found &= all(inner)
        pending.extend(inner)
    return found and bool(tree)


def _without_counts(tree: Any) -> Any:
    """The tree with None for every count; made anew, without recursion."""
    root: dict[Any, Any] = {}
    pending = [(tree, root)]
    while pending:
        given, made = pending.pop()
        for key, value in given.items():
            made[key] = {} if isinstance(value, Mapping) else None
            if isinstance(value, Mapping):
                pending.append((value, made[key]))
    return root


def _name(value: Any, label: str | None) -> str:
    if is_name(value):
        return str(value).strip()
    raise HierarchyError(
        f"There is {reprlib.repr(value)} of type {type(value).__name__} "
        f"{under(label)}; a nested tree is made of dicts, lists, tuples and names."
    )
