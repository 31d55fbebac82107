"""Class trees of records: `{"name": "animal", "children": [{"name": "cat"}, ...]}`.

Such trees are what d3, `networkx.tree_data` and most programs that write JSON make.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ncjax.hierarchy.tree import Hierarchy, HierarchyError, name_nodes

# Keys of the name of a node, the first that is there counts, and of its children.
NAMES = ("name", "label", "title", "text", "class", "id", "key")
CHILDREN = (
    *("children", "_children", "child", "nodes", "subclasses", "subtrees"),
    *("branches", "items", "members", "leaves", "classes"),
)
_COUNTS = ("value", "size", "count", "weight")  # of a leaf, not leaves
_NOTES = ("attributes", "meta", "metadata", "properties")  # whatever they hold


def is_record(value: Any) -> bool:
    """Whether it is a record with something below it, or a list with such records."""
    if isinstance(value, list | tuple):
        return any(isinstance(item, Mapping) and is_record(item) for item in value)
    if not isinstance(value, Mapping):
        return False
    groups = [x for x in value.values() if isinstance(x, list | tuple | Mapping)]
    below = [
        x for x in _values(value, CHILDREN).values() if isinstance(x, list | tuple)
    ]
    items = [item for group in below for item in group if isinstance(item, Mapping)]
    return (bool(groups) and _is_named(value)) or any(map(_is_named, items))


def from_records(tree: Any, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree from a record, or from a list of records, whose root has no name.

    The name of a node stands under one of `NAMES`, the list of its children under one
    of `CHILDREN`: records again, names of leaves, or leaves with counts, {"cat": 3}.
    Text and numbers under other keys are left out; lists and objects could be children,
    so that they are refused.

    Args:
        tree: the record, as JSON holds it.
        classes: names of the leaves in the order of the labels; by default from left
            to right.

    Raises:
        HierarchyError: for an unknown key that holds a list or an object, for a leaf
            without a name, or if `Hierarchy` refuses the tree.
    """
    labels: list[str | None] = []
    parents: list[int] = []
    root = tree if isinstance(tree, Mapping) else {"children": tree}
    pending: list[tuple[Any, int]] = [(root, -1)]
    while pending:
        item, parent = pending.pop()
        label, below = _read(item, labels[parent] if labels else None)
        labels.append(label)
        parents.append(parent)
        children = [leaf for child in below for leaf in _counted(child)]
        pending.extend((child, len(labels) - 1) for child in reversed(children))
    return Hierarchy(name_nodes(labels), parents, classes)


def is_count(value: Any) -> bool:
    """Whether it can be the count of a leaf: a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _counted(child: Any) -> list[Any]:
    """The leaves of an object {"leaf": count, ...} among children, else the child."""
    if not isinstance(child, Mapping) or not child or _is_named(child):
        return [child]
    known = any(str(key).lower() in _COUNTS for key in child)
    return list(child) if not known and all(map(is_count, child.values())) else [child]


def is_name(value: Any) -> bool:
    """Whether it can be the name of a node: text or a whole number."""
    usual = isinstance(value, str | int | np.integer) and not isinstance(value, bool)
    return usual and value != ""


def under(label: str | None) -> str:
    """Where something lies in a tree, for messages."""
    return f"under {label!r}" if label else "in a group without a name"


def _read(item: Any, parent: str | None) -> tuple[str | None, Sequence[Any]]:
    """The name of a node, None if it has none, and its children."""
    if is_name(item):
        return str(item).strip(), ()
    if not isinstance(item, Mapping):
        raise HierarchyError(
            f"There is {reprlib.repr(item)} {under(parent)}, but children are names or "
            'objects like {"name": "animal", "children": ["cat", "dog"]}.'
        )
    names = [x for x in _values(item, NAMES).values() if is_name(x)]
    label = str(names[0]).strip() if names else None
    groups = {k: x for k, x in _values(item, CHILDREN).items() if x not in ("", [], {})}
    where = f"The node {label!r}" if label else f"A node {under(parent)}"
    for key, value in item.items():
        holds = isinstance(value, list | tuple | Mapping) and len(value)
        if holds and key not in groups and str(key).lower() not in _NOTES:
            raise HierarchyError(
                f"{where} has the unknown key {key!r}, which holds several values. "
                f"Children stand under 'children' (or {', '.join(CHILDREN[1:])}); "
                "rename the key if it holds them, else leave it out."
            )
    if len(groups) > 1:
        raise HierarchyError(
            f"{where} has children under both {' and '.join(map(repr, groups))}; keep "
            "one of the two."
        )
    below = next(iter(groups.values()), [])
    if not isinstance(below, list | tuple):
        below = [below]
    if label is None and not below:
        raise HierarchyError(
            f"A leaf without a name lies {under(parent)}; give it one as 'name'."
        )
    return label, below


def _values(record: Mapping[Any, Any], keys: Sequence[str]) -> dict[Any, Any]:
    """What a record holds under some keys, in their order; their case is no matter."""
    found = {k: v for k, v in record.items() if v is not None}
    return {k: found[k] for key in keys for k in found if str(k).lower() == key}


def _is_named(record: Mapping[Any, Any]) -> bool:
    return any(map(is_name, _values(record, NAMES).values()))
