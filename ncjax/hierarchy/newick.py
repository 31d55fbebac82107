"""Class trees in the Newick format: `((cat,dog)animal,car)root;`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

from ncjax.hierarchy.tree import Hierarchy, HierarchyError, name_nodes

_TOKEN = re.compile(
    r"\s+ | \[[^\]]*\] | (?P<mark>[(),;])"
    r"| :\s*(?P<length>[^\s()\[\]',:;]*)"
    r"| '(?P<quoted>(?:[^']|'')*)' | \"(?P<double>(?:[^\"]|\"\")*)\""
    r"| (?P<bare>[^\s()\[\]',:;\"][^\s()\[\]',:;]*)",
    re.VERBOSE,
)
_NOTHING = re.compile(r"(?:\s+|\[[^\]]*\])*+")
# Support of a branch, which programs of phylogenetics write in the place of a name.
_SUPPORT = re.compile(r"[\d.]+(e[-+]?\d+)?(/[\d.]+(e[-+]?\d+)?)*", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9.+-]+")


def from_newick(text: str, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree in the Newick format.

    Comments in square brackets and lengths of branches are ignored.  A name with
    blanks, brackets, or one of `,:;'` stands in quotes, `'T-shirt/top'`, and `''` is a
    quote within a name; double quotes do as well.  An underscore stays an underscore,
    also without quotes.  Inner nodes without a name are called "node 1", "node 2", ...
    from left to right; so are those with a number, where a number comes twice: it is
    the support of a branch.

    Args:
        text: the text of one tree; the semicolon after it may be missing.
        classes: names of the leaves in the order of the labels; by default from left
            to right.

    Raises:
        HierarchyError: if the text is not Newick, naming line and column, or if
            `Hierarchy` refuses the tree.

    References:
        G. Olsen. Interpretation of the "Newick's 8:45" tree format standard, 1990.
    """
    labels: list[str | None] = [None]
    parents = [-1]
    opened: list[int] = []  # where the brackets that are not closed yet stand
    node, inner = 0, False  # the node that is read, whether its children were
    last, at = "", 0  # the part read last, and where the next one begins

    while at < len(text) and last != ";":
        if not (token := _TOKEN.match(text, at)):
            what = {"'": "quote", '"': "quote", "[": "comment"}.get(text[at], "bracket")
            _fail(text, at, f"the {what} {text[at]} is not closed or not opened")
        mark = token["mark"]
        name = _name(token)
        if name is not None:
            if labels[node] is not None:
                told = f"{name!r} follows {labels[node]!r}; quote names with blanks"
                _fail(text, at, told)
            if last == ":":
                _fail(text, at, f"the name {name!r} comes after a branch length")
            labels[node], last = name, "name"
        elif token["length"] is not None:
            try:
                float(token["length"])
            except ValueError:
                _fail(text, at, f"{token['length']!r} after the colon is no number")
            last = ":"
        elif mark == "(":
            if last not in ("", "(", ","):
                _fail(text, at, "a bracket opens after a node; a comma is missing")
            opened.append(at)
            parents.append(node)
        elif mark is not None:  # the node ends
            if labels[node] is None and not inner:
                _fail(text, at, "a leaf without a name ends here")
            if mark != ";" and not opened:
                _fail(text, at, f"{mark!r} stands outside all brackets")
            if mark == ")":
                opened.pop()
                node, inner = parents[node], True
            elif mark == ",":
                parents.append(parents[node])
        if len(parents) > len(labels):
            labels.append(None)
            node, inner = len(labels) - 1, False
        last, at = mark or last, token.end()

    if opened:
        _fail(text, opened[-1], "this bracket is not closed")
    if labels == [None]:
        raise HierarchyError("The Newick text holds no tree.")
    if rest := _NOTHING.sub("", text[at:], count=1):
        _fail(text, at, f"the tree has ended, but {rest[:20]!r} follows")
    return Hierarchy(name_nodes(_without_support(labels, parents)), parents, classes)


def _name(token: re.Match[str]) -> str | None:
    """The name that a token is, without quotes and blanks around it; None if none."""
    if token["quoted"] is not None:
        return token["quoted"].replace("''", "'").strip()
    if token["double"] is not None:
        return token["double"].replace('""', '"').strip()
    return token["bare"]


def _without_support(labels: list[str | None], parents: list[int]) -> list[str | None]:
    """The labels without numbers of inner nodes that cannot be names."""
    above = set(parents) - {-1}
    inner = {node for node in above if _SUPPORT.fullmatch(labels[node] or "")}
    counts = Counter(labels)
    if all(counts[labels[node]] == 1 for node in inner):
        return labels
    return [None if i in inner else label for i, label in enumerate(labels)]


def to_newick(tree: Hierarchy) -> str:
    """The tree as one line of Newick, with the names of inner nodes.

    The line does not hold the order of the labels: give `tree.class_names` to
    `from_newick`.
    """
    texts = list(map(_quote, tree.names))
    for node in reversed(range(tree.num_nodes)):  # children first
        if children := tree.children[node]:
            texts[node] = f"({','.join(texts[c] for c in children)}){texts[node]}"
    return f"{texts[0]};"


def _quote(name: str) -> str:
    """A name that other programs read unchanged: to them a bare _ may be a blank."""
    return name if _BARE.fullmatch(name) else "'" + name.replace("'", "''") + "'"


def _fail(text: str, at: int, told: str) -> NoReturn:
    line, column = text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)
    raise HierarchyError(f"Line {line}, column {column}: {told}.")
