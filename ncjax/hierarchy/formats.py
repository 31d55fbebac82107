"""Class trees from nested collections and from tables of parents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.hierarchy.tree import Hierarchy, HierarchyError


def from_nested(tree: Any, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree from nested dicts, lists and tuples.

    The keys of a dict are nodes, and their values what lies below them: another
    collection, the name of an only child, or None (or an empty collection) for a leaf.
    The items of a list or tuple are leaves, where they are names; dicts, whose keys
    join the others; or lists and tuples, which are inner nodes without a name:

        {"root": {"animal": ["cat", "dog"], "car": None}}
        (("cat", "dog"), "car")

    Nodes without a name, also a root above several keys or items, are called "node 1",
    "node 2", ... from left to right.

    Args:
        tree: nested collections as above; numbers may stand for names.
        classes: names of the leaves in the order of the labels; by default from left
            to right.

    Raises:
        HierarchyError: if anything else lies within the tree, if a group is empty, or
            if `Hierarchy` refuses the tree.
    """
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

    Names are text or numbers.  The root either has a row, with None or "" for its
    parent, or appears as a parent only.

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
        if isinstance(row, str) or len(row) != 2 or not all(map(_is_name, row)):
            raise HierarchyError(
                f"Row {number} is {row!r}, but must be a pair of names: child, parent."
            )
        child, parent = ("" if name is None else str(name) for name in row)
        edges.append((f"row {number}", child, parent))
    return from_edges(edges, classes)


def from_edges(
    edges: Iterable[tuple[str, str, str]], classes: Sequence[str] | None = None
) -> Hierarchy:
    """The tree of `from_table`, from triples that say where each pair comes from.

    Args:
        edges: (place, child, parent), the place for messages, such as "line 3".
        classes: names of the leaves in the order of the labels; by default the order
            of their rows.

    Raises:
        HierarchyError: if a node has two rows, or if `Hierarchy` refuses the tree.
    """
    parent_of: dict[str, str] = {}
    place_of: dict[str, str] = {}
    for place, child, parent in edges:
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
        parent_of[child], place_of[child] = parent, place
    names = list(parent_of)
    names += dict.fromkeys(p for p in parent_of.values() if p and p not in parent_of)
    number = {name: i for i, name in enumerate(names)}
    parents = [number.get(parent_of.get(name, ""), -1) for name in names]
    return Hierarchy(names, parents, classes)


def to_edges(tree: Hierarchy) -> list[tuple[str, str]]:
    """Name and parent of the inner nodes from the root on, then of the classes.

    The parent of the root is "".
    """
    inner = [node for node in range(tree.num_nodes) if tree.children[node]]
    return [
        (tree.names[node], tree.names[tree.parents[node]] if node else "")
        for node in (*inner, *tree.leaves)
    ]


def name_nodes(labels: Sequence[str | None]) -> list[str]:
    """The labels, with "node 1", "node 2", ... in the place of None."""
    taken, count, names = set(labels), 0, []
    for label in labels:
        while label is None:
            count += 1
            if f"node {count}" not in taken:
                label = f"node {count}"
        names.append(label)
    return names


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
            raise HierarchyError(f"There is an empty group {_under(label)}.")
        if isinstance(item, Mapping):
            branches += _branches(item, label)
        elif isinstance(item, list | tuple):
            branches.append((None, item))
        else:
            branches.append((_name(item, label), None))
    return branches


def _is_name(value: Any) -> bool:
    """Whether it is text, a whole number, or None."""
    usual = isinstance(value, str | int | np.integer) and not isinstance(value, bool)
    return usual or value is None


def _name(value: Any, label: str | None) -> str:
    if _is_name(value) and value is not None:
        return str(value)
    raise HierarchyError(
        f"There is {value!r} of type {type(value).__name__} {_under(label)}; a nested "
        "tree is made of dicts, lists, tuples and names."
    )


def _under(label: str | None) -> str:
    return f"under {label!r}" if label else "in a group without a name"
