"""Class trees in files: JSON, CSV, TSV and Newick, told apart by the file's ending."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ncjax.hierarchy.formats import from_edges, from_nested, to_edges
from ncjax.hierarchy.newick import from_newick, to_newick
from ncjax.hierarchy.tree import Hierarchy, HierarchyError
from ncjax.io import write_whole

_CHILD = ("child", "name", "node", "class")  # titles that a column of children has


def read(
    path: str | os.PathLike[str], classes: Sequence[str] | None = None
) -> Hierarchy:
    """The tree in a file.

    .json: a nested tree, as `from_nested` takes it; a list of
        `{"name": ..., "parent": ...}`; or an object that maps each child to its parent,
        such as `{"cat": "animal", "animal": null}`.
    .csv, .tsv: a line for each node: child, parent.  The root has an empty parent, or
        no line.  A first line with the titles `child` (or name, node, class) and
        `parent` may change their order and add columns.
    .nwk, .newick: a tree as `from_newick` takes it.

    Args:
        path: a text file in UTF-8; its ending tells the format.
        classes: names of the leaves in the order of the labels; by default the order
            in the file.

    Raises:
        HierarchyError: if the file cannot be read or does not hold one tree.  The
            message names the file, and the line where one is at fault.
    """
    path = Path(path)
    reader, _ = _format(path)
    try:
        return reader(path.read_bytes().decode("utf-8-sig"), classes)
    except OSError as error:
        raise HierarchyError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise HierarchyError(
            f"{path}: Line {line} is not UTF-8; save the file in that encoding."
        ) from error
    except HierarchyError as error:
        raise HierarchyError(f"{path}: {error}") from error


def write(tree: Hierarchy, path: str | os.PathLike[str]) -> None:
    """Writes a file that `read` reads, whole or not at all.

    Tables (.json, .csv, .tsv) list the classes in the order of the labels; Newick has
    them from left to right, so that `read` must be given `tree.class_names`.

    Args:
        tree: the class tree.
        path: the file; its ending, one of those of `read`, chooses the format.

    Raises:
        HierarchyError: if the file has another ending.
        OSError: if the file cannot be written.
    """
    path = Path(path)
    _, writer = _format(path)
    write_whole(path, writer(tree))


def _format(path: Path) -> tuple[_Reader, Callable[[Hierarchy], str]]:
    if (suffix := path.suffix.lower()) not in _FORMATS:
        raise HierarchyError(
            f"{path}: Unknown format {suffix!r}. Available: {', '.join(_FORMATS)}."
        )
    return _FORMATS[suffix]


def _read_json(text: str, classes: Sequence[str] | None) -> Hierarchy:
    try:
        tree = json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        raise HierarchyError(
            f"Line {error.lineno}, column {error.colno}: not JSON: {error.msg}."
        ) from error
    except RecursionError as error:
        raise HierarchyError("The JSON is nested too deeply; use a table.") from error
    if isinstance(tree, dict) and any(isinstance(v, str) for v in tree.values()):
        tree = [{"name": child, "parent": parent} for child, parent in tree.items()]
    if isinstance(tree, list) and any(
        isinstance(item, dict) and item.keys() & {"name", "parent"} for item in tree
    ):
        numbered = enumerate(tree, 1)
        edges = [(f"entry {i}", *_record(item, i)) for i, item in numbered]
        return from_edges(edges, classes)
    return from_nested(tree, classes)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without equal keys, of which `json` would keep the last alone."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise HierarchyError(f"The key {twice!r} comes twice in one JSON object.")
    return found


def _record(item: Any, number: int) -> tuple[str, str]:
    if isinstance(item, dict) and isinstance(name := item.get("name"), str | int):
        parent = item.get("parent")
        if parent is None or isinstance(parent, str | int):
            return str(name), "" if parent is None else str(parent)
    raise HierarchyError(
        f"Entry {number} is {item!r}, but all entries must be like "
        '{"name": "cat", "parent": "animal"}, with null as the parent of the root.'
    )


def _read_table(delimiter: str, text: str, classes: Sequence[str] | None) -> Hierarchy:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )
    try:
        lines = [(reader.line_num, [x.strip() for x in cells]) for cells in reader]
    except csv.Error as error:
        raise HierarchyError(f"Line {reader.line_num}: {error}.") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    columns, width = (0, 1), 2
    if lines and (titled := _columns([cell.lower() for cell in lines[0][1]])):
        columns, width = titled, len(lines.pop(0)[1])
    edges = []
    for number, cells in lines:
        if len(cells) != width:
            raise HierarchyError(
                f"Line {number} has {len(cells)} column(s), but must have {width}, "
                f"separated by {delimiter!r}: "
                f"{'child, parent' if width == 2 else 'as the first line'}."
            )
        child, parent = (cells[column] for column in columns)
        edges.append((f"line {number}", child, parent))
    return from_edges(edges, classes)


def _columns(titles: list[str]) -> tuple[int, int] | None:
    """The columns of child and parent, if the line holds titles; else None."""
    child = [i for i, title in enumerate(titles) if title in _CHILD]
    parent = [i for i, title in enumerate(titles) if title == "parent"]
    return (child[0], parent[0]) if child and parent else None


def _write_json(tree: Hierarchy) -> str:
    lines = (
        json.dumps({"name": name, "parent": parent or None}, ensure_ascii=False)
        for name, parent in to_edges(tree)
    )
    return "[\n  " + ",\n  ".join(lines) + "\n]\n"


def _write_table(delimiter: str, tree: Hierarchy) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerows([("child", "parent"), *to_edges(tree)])
    return text.getvalue()


def _write_newick(tree: Hierarchy) -> str:
    return to_newick(tree) + "\n"


# Ending -> what reads the text of such a file, and what writes it.
_Reader = Callable[[str, Sequence[str] | None], Hierarchy]
_FORMATS: dict[str, tuple[_Reader, Callable[[Hierarchy], str]]] = {
    ".json": (_read_json, _write_json),
    ".csv": (partial(_read_table, ","), partial(_write_table, ",")),
    ".tsv": (partial(_read_table, "\t"), partial(_write_table, "\t")),
    ".nwk": (from_newick, _write_newick),
    ".newick": (from_newick, _write_newick),
}
