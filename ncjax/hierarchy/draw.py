"""A class tree as a figure."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from ncjax.hierarchy.tree import Hierarchy
from ncjax.style import BLUE, new_figure

if TYPE_CHECKING:  # matplotlib is loaded by the first drawing
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINE, _WEDGE = "#9aa3ad", "#dfe4ea"
_TIPS = 120  # rows at most
_CHARACTER = 0.075  # inches, a little more than a mean letter of 8 points
_WIDEST = 20.0  # inches, from the root to the classes


def draw(tree: Hierarchy, axes: Axes | None = None) -> Figure:
    """The tree from left to right, each node at its height, the classes at the right.

    The line at which two classes meet stands at the height of their lowest common
    ancestor.  A tree of more than 120 classes is drawn down to the greatest depth with
    at most 120 nodes, and a wedge stands for the classes below a node at that depth.
    Of a root with more than 120 children the first 120 are drawn.

    Args:
        tree: the class tree.
        axes: the matplotlib axes to draw into; by default those of a new figure, large
            enough for all names.  Names of inner nodes are cut where given axes are too
            narrow.

    Returns:
        The figure of the axes.
    """
    layout = _layout(tree)
    if axes is None:
        axes, width = _new_axes(tree, layout)
    else:
        width = axes.bbox.width / axes.figure.dpi
    _lines(axes, tree, layout)
    _names(axes, tree, layout, letters=width / tree.height / _CHARACTER)
    axes.set_xlim(tree.height, 0)
    axes.set_ylim(len(layout.labels) - 0.4, -0.6)
    axes.set_xlabel("height of the lowest common ancestor", fontsize=8)
    axes.set_xticks(range(0, tree.height + 1, -(-tree.height // 12)))
    axes.yaxis.tick_right()
    axes.set_yticks(range(len(layout.labels)), layout.labels)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    figure = axes.get_figure(root=True)
    assert figure is not None, "the axes were removed from their figure"
    return figure


def leaf_order(tree: Hierarchy) -> np.ndarray:
    """Classes so that those of one node stand together [K]."""
    return np.lexsort(tree.lineage[::-1])


@dataclasses.dataclass(frozen=True)
class _Layout:
    """What is drawn of a tree, and where.

    Attributes:
        rows: the row of each node that is drawn, counted from the top.
        tips: the nodes at the right, from the top; no node below them is drawn.
        labels: the text at each tip, and how many children of the root are left out.
        spans: the other nodes that are drawn, without the root: by how much each lies
            below its parent.
    """

    rows: dict[int, float]
    tips: list[int]
    labels: list[str]
    spans: dict[int, int]


def _layout(tree: Hierarchy) -> _Layout:
    sizes = [len(np.unique(row)) for row in tree.lineage]
    deepest = max(1, *(depth for depth, n in enumerate(sizes) if n <= _TIPS))
    rows: dict[int, float] = {}
    tips: list[int] = []
    pending, inner = [0], []
    while pending:
        node = pending.pop()
        if below := tree.children[node] if tree.depths[node] < deepest else ():
            inner.append(node)
            pending.extend(reversed(below[:_TIPS]))
        else:
            rows[node] = float(len(tips))
            tips.append(node)
    for node in reversed(inner):
        ends = [rows[child] for child in tree.children[node][:_TIPS]]
        rows[node] = (min(ends) + max(ends)) / 2
    labels = [_tip(tree, node) for node in tips]
    if (more := len(tree.children[0]) - _TIPS) > 0:  # only the root can have more
        labels.append(f"… {more:,} more")
    spans = {n: int(tree.heights[tree.parents[n]] - tree.heights[n]) for n in inner[1:]}
    return _Layout(rows, tips, labels, spans)


def _new_axes(tree: Hierarchy, layout: _Layout) -> tuple[Axes, float]:
    """The axes of a figure with room for all names; the width of the tree in inches."""
    widths = [
        _CHARACTER * len(tree.names[node]) / span + 0.1
        for node, span in layout.spans.items()
    ]
    width = min(max([0.9, *widths]) * tree.height, _WIDEST)
    names = _CHARACTER * (max(map(len, layout.labels)) + len(tree.names[0]))
    row = 0.2 if len(layout.labels) <= 40 else 0.15
    size = max(3.2, width + names + 0.4), row * len(layout.labels) + 0.8
    return new_figure(*size).subplots(), width


def _lines(axes: Axes, tree: Hierarchy, layout: _Layout) -> None:
    """A line from each node to its parent, one across its children, and the wedges."""
    from matplotlib.collections import LineCollection, PolyCollection

    height, above, rows = tree.heights, tree.parents, layout.rows
    lines = [[(height[above[n]], y), (height[n], y)] for n, y in rows.items() if n]
    for node in (0, *layout.spans):
        ends = [rows[child] for child in tree.children[node][:_TIPS]]
        lines.append([(height[node], min(ends)), (height[node], max(ends))])
    axes.add_collection(LineCollection(lines, colors=_LINE, linewidths=1.1))
    wedges = [
        [(height[n], y), (0, y - 0.35), (0, y + 0.35)]
        for y, n in enumerate(layout.tips)
        if height[n]
    ]
    axes.add_collection(PolyCollection(wedges, facecolors=_WEDGE, edgecolors=_LINE))


def _names(axes: Axes, tree: Hierarchy, layout: _Layout, letters: float) -> None:
    """The names of the root and the inner nodes; `letters` fit a unit of height."""
    for node in (0, *layout.spans):
        name = tree.names[node]
        fits = int(layout.spans[node] * letters) if node else len(name)
        axes.annotate(
            name if len(name) <= fits else name[: max(fits - 1, 0)] + "…",
            (float(tree.heights[node]), layout.rows[node]),
            (-3, 1 if node else 0),
            textcoords="offset points",
            ha="right",
            va="bottom" if node else "center",
            fontsize=8,
            color=BLUE,
        )


def _tip(tree: Hierarchy, node: int) -> str:
    if not tree.children[node]:
        return tree.names[node]
    count = (tree.lineage[tree.depths[node]] == node).sum()
    return f"{tree.names[node]} ({count:,} classes)"
