"""Class trees as data sets publish them: ranks of taxa, is_a.txt, tables of NCBI."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ncjax.hierarchy.formats import from_edges
from ncjax.hierarchy.tree import Hierarchy, HierarchyError
from ncjax.options import suggest

# Ranks of a species, from the highest; tables of iNaturalist have a column for each.
RANKS = ("kingdom", "phylum", "class", "order", "family", "genus")
_PIPE = re.compile(r"\s*\|\s*")


def is_ranked(titles: Sequence[str]) -> bool:
    """Whether a table has columns of ranks, and one of names: taxa, one in each row."""
    return "name" in titles and sum(rank in titles for rank in RANKS) >= 2


def from_ranks(
    rows: Sequence[Mapping[str, Any]], classes: Sequence[str] | None = None
) -> Hierarchy:
    """The tree of taxa that list their kingdom, phylum, ..., genus, as of iNaturalist.

    Empty ranks are left out.  One word may name taxa of several ranks, or of several
    branches, such as a genus of plants and one of animals: all but the first that comes
    are then called "Prunella (genus)", "Prunella (genus 2)", ...

    Args:
        rows: a taxon each, {"name": ..., "kingdom": ..., ...}.
        classes: names of the leaves in the order of the labels; by default the order of
            the rows.

    Raises:
        HierarchyError: for a row without a name, or if `Hierarchy` refuses the tree.
    """
    leaves = [str(row.get("name") or "").strip() for row in rows]
    node_of: dict[tuple[str, ...], str] = {}  # path from the root -> name of the node
    taken, edges = Counter(leaves), []
    for number, (row, leaf) in enumerate(zip(rows, leaves, strict=True), 1):
        if not leaf:
            raise HierarchyError(f"Entry {number} is a taxon without a 'name'.")
        parent, path = "", ()
        for rank in RANKS:
            word = str(row.get(rank) or "").strip()
            if not word:
                continue
            path = (*path, f"{rank} {word}")
            if path not in node_of:
                node_of[path] = _unique(word, rank, taken)
                edges.append((f"entry {number}", node_of[path], parent))
            parent = node_of[path]
        edges.append((f"entry {number}", leaf, parent))
    return _rooted(edges, classes or leaves)


def from_is_a(text: str, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree from lines "parent child", as in the is_a.txt of ImageNet, or a nodes.dmp.

    A line with bars, "child | parent | rank | ...", is one of the taxonomy of NCBI, in
    which the root is its own parent.

    In WordNet a node may have several parents.  The tree then follows the parent
    farthest from the root, and of several equally far the last by name, as
    `from_wordnet` does.

    Args:
        text: the lines; words are separated by blanks or tabs, so they have none.
        classes: names of nodes in the order of the labels, to which the tree is `cut`;
            by default all leaves, in the order of their lines.

    Raises:
        HierarchyError: for a line that is none of these, or if `Hierarchy` refuses the
            tree.
    """
    parents: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        words = _PIPE.split(line.strip())[:2] if "|" in line else line.split()[::-1]
        if len(words) != 2 or not all(words):
            raise HierarchyError(
                f"Line {number} is {line.strip()[:80]!r}, but must be two words, "
                "'parent child', or the columns 'child | parent | ...'."
            )
        child, parent = words
        known = parents.setdefault(child, [])
        if child != parent:
            known.append(parent)
    depths = _depths(parents)
    edges = [
        ("", node, max(above, key=lambda p: (depths[p], p)) if above else "")
        for node, above in parents.items()
    ]
    tree = _rooted(edges, None)
    return tree if classes is None else cut(tree, classes)


def cut(tree: Hierarchy, classes: Sequence[str]) -> Hierarchy:
    """The tree of some nodes and all above them: what lies below a class goes.

    Args:
        tree: the whole tree.
        classes: names of nodes, leaves or not, in the order of the labels.

    Raises:
        HierarchyError: for a name that the tree does not have, or a class above another
            one.
    """
    index = {name: node for node, name in enumerate(tree.names)}
    kept: set[int] = set()
    for name in classes:
        if name not in index:
            raise HierarchyError(
                f"The class {name!r} is no node of the tree.{suggest(name, index)}"
            )
        node = index[name]
        while node >= 0 and node not in kept:
            kept.add(node)
            node = int(tree.parents[node])
    nodes = sorted(kept)
    place = {node: i for i, node in enumerate(nodes)}
    parents = [place.get(int(tree.parents[node]), -1) for node in nodes]
    return Hierarchy([tree.names[node] for node in nodes], parents, classes)


def rename(tree: Hierarchy, text: str) -> Hierarchy:
    """The tree with names for ids, in the order of its labels.

    Args:
        tree: a tree whose nodes are called by ids.
        text: lines "id name", or those of a names.dmp of NCBI, "id | name | unique name
            | kind |", of which the scientific names count.  Of several names with
            commas, as in the words.txt of ImageNet, the first is taken; a name that
            stands for several nodes is followed by the id.

    Raises:
        HierarchyError: for a line without a name, or if `Hierarchy` refuses the names.
    """
    names: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if "|" in line:
            cells = [*_PIPE.split(line.strip()), "", "", ""]
            if cells[3] in ("", "scientific name"):
                names[cells[0]] = cells[2] or cells[1]
        elif line.strip():
            node, _, name = line.strip().replace("\t", " ").partition(" ")
            names[node] = name.partition(",")[0].strip()
            if not names[node]:
                raise HierarchyError(
                    f"Line {number} is {line.strip()[:80]!r}, but must be an id and a "
                    "name."
                )
    found = [names.get(node, node) for node in tree.names]
    count = Counter(found)
    found = [
        name if count[name] == 1 else f"{name} ({node})"
        for name, node in zip(found, tree.names, strict=True)
    ]
    return Hierarchy(found, tree.parents, [found[node] for node in tree.leaves])


def _rooted(
    edges: list[tuple[str, str, str]], classes: Sequence[str] | None
) -> Hierarchy:
    """The tree of edges (place, child, parent); several roots get a common one."""
    known = {child for _, child, _ in edges}
    tops = [child for _, child, parent in edges if not parent]
    tops += dict.fromkeys(p for _, _, p in edges if p and p not in known)
    if len(tops) > 1:
        named = known.union(tops)
        others = (f"node {i}" for i in itertools.count(1))
        root = next(x for x in itertools.chain(["root"], others) if x not in named)
        edges = [(place, c, p or root) for place, c, p in edges]
        edges += [("", top, root) for top in tops if top not in known]
    return from_edges(edges, classes)


def _unique(word: str, rank: str, taken: Counter[str]) -> str:
    """The word, with its rank and a number where it is the name of another node."""
    name, number = word, 1
    while taken[name]:
        name = f"{word} ({rank})" if number == 1 else f"{word} ({rank} {number})"
        number += 1
    taken[name] += 1
    return name


def _depths(parents: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Greatest number of edges from a root to each node."""
    depths: dict[str, int] = {}
    for start in parents:
        pending = [start]
        while pending:
            node = pending[-1]
            above = parents.get(node, ())
            open_ = [parent for parent in above if parent not in depths]
            if not open_:
                depths[pending.pop()] = max((depths[p] + 1 for p in above), default=0)
            elif len(pending) > len(parents) + 1:
                raise HierarchyError(f"The lines lead in a cycle through {node!r}.")
            else:
                pending.append(open_[0])
    return depths
