"""Class trees in files: JSON, CSV, TSV and Newick, told apart by the file's ending."""

from __future__ import annotations

import csv
import io
import json
import os
import reprlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ncjax.hierarchy.formats import (
    find_parent,
    from_edges,
    from_nested,
    to_edges,
    to_text,
)
from ncjax.hierarchy.graphs import from_node_link, is_node_link
from ncjax.hierarchy.newick import from_newick, to_newick
from ncjax.hierarchy.published import cut, from_is_a, from_ranks, is_ranked, rename
from ncjax.hierarchy.records import is_record
from ncjax.hierarchy.tree import Hierarchy, HierarchyError
from ncjax.io import read_text, write_whole
from ncjax.options import InputError

_TOO_DEEP = "The JSON is nested too deeply; use a table."

# Titles of the columns of a table, and keys of its rows in JSON: of the node and of its
# parent.  The first that is there counts.
_IDS = ("id", "key", "tax_id")
_NODE = ("child", "name", "node", "class", "label", "title", "text", *_IDS)
_PARENT = ("parent", "parent_name", "parent_id", "parentid", "parent_tax_id")


def read(
    path: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    names: str | os.PathLike[str] | None = None,
) -> Hierarchy:
    """The tree in a file.

    .json: a nested tree, as `from_nested` takes it; `{"name": ..., "children": [...]}`
        as of d3; a list of `{"name": ..., "parent": ...}`; an object that maps each
        child to its parent, such as `{"cat": "animal", "animal": null}`; the node-link
        format of networkx; or a list of taxa with their `kingdom`, ..., `genus` as of
        iNaturalist, alone or as the `categories` of its annotations.
    .csv, .tsv: a line for each node: child, parent.  The root has no parent, itself, or
        no line.  A first line with the titles `child` (or name, node, class, id) and
        `parent` (or parent_id) may change their order and add columns, or there is a
        column for each of `kingdom`, ..., `genus` and `name`.
    .nwk, .newick: a tree as `from_newick` takes it.
    .txt, .dmp: lines "parent child" as in the is_a.txt of ImageNet, or lines "child |
        parent | ..." as in the nodes.dmp of NCBI; see `from_is_a`.

    Args:
        path: a text file in UTF-8, or in UTF-16 with its mark, as spreadsheets write
            it; its ending tells the format.
        classes: names of the leaves in the order of the labels; by default the order
            in the file.  In .txt and .dmp the tree is cut to them.
        names: a second file with a name for each id, as `rename` takes it; `classes`
            are then names.

    Raises:
        HierarchyError: if a file cannot be read or does not hold one tree.  The
            message names the file, and the line where one is at fault.
    """
    path = Path(path)
    reader, _ = _format(path)
    if names is not None:
        tree, told = read(path), _text(Path(names))
        try:
            tree = rename(tree, told)
        except HierarchyError as error:
            raise HierarchyError(f"{names}: {error}") from error
        return tree if classes is None else cut(tree, classes)
    text = _text(path)
    try:
        return reader(text, classes)
    except HierarchyError as error:
        raise HierarchyError(f"{path}: {error}") from error
    except RecursionError as error:
        raise HierarchyError(f"{path}: {_TOO_DEEP}") from error


def _text(path: Path) -> str:
    try:
        return read_text(path)
    except OSError as error:
        raise HierarchyError(f"Cannot read {path}: {error.strerror}.") from error
    except InputError as error:
        raise HierarchyError(str(error)) from error


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
    if writer is None:
        raise HierarchyError(f"{path}: a tree is not written as {path.suffix}.")
    write_whole(path, writer(tree))


def _format(path: Path) -> tuple[_Reader, Callable[[Hierarchy], str] | None]:
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
        raise HierarchyError(_TOO_DEEP) from error
    except HierarchyError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise HierarchyError(f"Not JSON that can be read: {error}") from error
    if isinstance(tree, dict) and isinstance(tree.get("categories"), list):
        tree = tree["categories"]
    if isinstance(tree, list) and _are_ranked(tree):
        return from_ranks(tree, classes)
    if is_node_link(tree):
        return from_node_link(tree, classes)
    recorded = is_record(tree)
    if isinstance(tree, dict) and not recorded and str in map(type, tree.values()):
        tree = [{"name": name, "parent": above} for name, above in tree.items()]
    items = tree if isinstance(tree, list) else ()
    rows = [item for item in items if isinstance(item, dict)]
    linked = any(row.get(key) for row in rows for key in row if key.lower() in _PARENT)
    if linked or (not recorded and any("name" in row for row in rows)):
        return _from_rows(
            [(f"entry {i}", row) for i, row in enumerate(tree, 1)], classes
        )
    return from_nested(tree, classes)


def _are_ranked(rows: Sequence[Any]) -> bool:
    return bool(rows) and all(isinstance(x, dict) and is_ranked([*x]) for x in rows)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object without equal keys, of which `json` would keep the last alone."""
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise HierarchyError(f"The key {twice!r} comes twice in one JSON object.")
    return found


def _from_rows(
    rows: Sequence[tuple[str, Any]], classes: Sequence[str] | None
) -> Hierarchy:
    """The tree of rows (place, title -> cell), one for each node.

    Parents are named by that column of nodes in which most of them stand: there may be
    ids beside the names.
    """
    found = [
        {title.lower(): cell for title, cell in row.items()}
        if isinstance(row, dict)
        else {}
        for _, row in rows
    ]
    columns = {
        title: [to_text(row.get(title)) for row in found]
        for title in (*_NODE, *_PARENT)
        if any(title in row for row in found)
    }
    above = next((columns[t] for t in _PARENT if t in columns), [""] * len(rows))
    titles = [title for title in _NODE if title in columns] or ["name"]
    known = {title: {*columns.get(title, ())} - {"", None} for title in titles}
    link = max(
        titles,
        key=lambda title: sum(
            find_parent(parent or "", known[title]) in known[title] for parent in above
        ),
    )
    title = titles[0] if link in _IDS else link
    for (place, row), cells, parent in zip(rows, found, above, strict=True):
        if parent is None or to_text(cells.get(link)) is None or link not in cells:
            raise HierarchyError(
                f"{place.capitalize()} is {reprlib.repr(row)}, but all must be like "
                '{"name": "cat", "parent": "animal"}, with null as the parent of the '
                "root."
            )
    labels = columns.get(title, [])
    names = dict(zip(columns.get(link, []), labels, strict=True))
    edges = [
        (
            place,
            name or "",
            names.get(find_parent(parent or "", known[link])) or parent or "",
        )
        for (place, _), name, parent in zip(rows, labels, above, strict=True)
    ]
    return from_edges(edges, classes)


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
    titles = ["child", "parent"]
    if lines and _is_header(first := [cell.lower() for cell in lines[0][1]]):
        titles = first
        del lines[0]
    for number, cells in lines:
        if len(cells) != len(titles):
            raise HierarchyError(
                f"Line {number} has {len(cells)} column(s), but must have "
                f"{len(titles)}, separated by {delimiter!r}: "
                f"{'child, parent' if len(titles) == 2 else 'as the first line'}."
            )
    rows = [(f"line {n}", dict(zip(titles, cells, strict=True))) for n, cells in lines]
    if is_ranked(titles):
        return from_ranks([row for _, row in rows], classes)
    return _from_rows(rows, classes)


def _is_header(cells: Sequence[str]) -> bool:
    """Whether a line holds the titles of a column of nodes and of one of parents."""
    if is_ranked(cells):
        return True
    return not {*_NODE}.isdisjoint(cells) and not {*_PARENT}.isdisjoint(cells)


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


CUT = (".txt", ".dmp")  # endings of files whose trees are cut to the classes

# Ending -> what reads the text of such a file, and what writes it.
_Reader = Callable[[str, Sequence[str] | None], Hierarchy]
_FORMATS: dict[str, tuple[_Reader, Callable[[Hierarchy], str] | None]] = {
    ".json": (_read_json, _write_json),
    ".csv": (partial(_read_table, ","), partial(_write_table, ",")),
    ".tsv": (partial(_read_table, "\t"), partial(_write_table, "\t")),
    ".nwk": (from_newick, _write_newick),
    ".newick": (from_newick, _write_newick),
    **dict.fromkeys(CUT, (from_is_a, None)),
}
