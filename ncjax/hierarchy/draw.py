"""A class tree as a figure."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from ncjax.hierarchy.tree import Hierarchy

_LINE, _INNER = "#9aa3ad", "#1f5fa8"
_TIPS = 120  # rows at most
_CHARACTER = 0.075  # inches, a little more than the mean of 8 points
_WIDEST = 20.0  # inches, from the root to the classes


def draw(tree: Hierarchy, axes: Axes | None = None) -> Figure:
    """The tree from left to right, each node at its height, the classes at the right.

    The line at which two classes meet stands at the height of their lowest common
    ancestor.  A tree of more than 120 classes is drawn down to the greatest depth that
    has no more nodes; a wedge stands for the classes below, and of a root with more
    children the first 120 are drawn.

    Args:
        tree: to be drawn.
        axes: to draw into; by default those of a new figure, large enough for all
            names.  Names of inner nodes are cut where the axes are too narrow.

    Returns:
        The figure of the axes.
    """
    rows, tips, more = _layout(tree)
    labels = [_tip(tree, node) for node in tips] + (
        [f"… {more:,} more"] if more else []
    )
    inner = [node for node in rows if node and node not in tips]
    height, above = tree.heights, tree.parents
    spans = {node: height[above[node]] - height[node] for node in inner}
    if axes is None:
        unit = max(
            [0.9, *(_CHARACTER * len(tree.names[n]) / spans[n] + 0.1 for n in inner)]
        )
        width = min(unit * tree.height, _WIDEST)
        names = _CHARACTER * (max(map(len, labels)) + len(tree.names[0]))
        row = 0.2 if len(labels) <= 40 else 0.15
        size = max(3.2, width + names + 0.4), row * len(labels) + 0.8
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
    else:
        figure = _figure(axes)
        width = axes.get_window_extent().width / figure.dpi
    room = width / tree.height / _CHARACTER  # characters per unit of height

    lines = [[(height[above[n]], y), (height[n], y)] for n, y in rows.items() if n]
    for node in (0, *inner):
        ends = [rows[child] for child in tree.children[node] if child in rows]
        lines.append([(height[node], min(ends)), (height[node], max(ends))])
    axes.add_collection(LineCollection(lines, colors=_LINE, linewidths=1.1))
    wedges = [
        [(height[n], y), (0, y - 0.35), (0, y + 0.35)]
        for y, n in enumerate(tips)
        if height[n]
    ]
    axes.add_collection(PolyCollection(wedges, facecolors="#dfe4ea", edgecolors=_LINE))
    for node in (0, *inner):
        name, fits = tree.names[node], int(spans[node] * room) if node else 99
        axes.annotate(
            name if len(name) <= fits else name[: max(fits - 1, 0)] + "…",
            (float(height[node]), rows[node]),
            (-3, 1 if node else 0),
            textcoords="offset points",
            ha="right",
            va="bottom" if node else "center",
            fontsize=8,
            color=_INNER,
        )
    axes.set_xlim(tree.height, 0)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.set_xlabel("height of the lowest common ancestor", fontsize=8)
    axes.set_xticks(range(0, tree.height + 1, -(-tree.height // 12)))
    axes.yaxis.tick_right()
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right", "top"]].set_visible(False)
    return figure


def _layout(tree: Hierarchy) -> tuple[dict[int, float], list[int], int]:
    """The row of each node that is drawn, those without children, and how many lack.

    Only children of the root can lack.
    """
    sizes = [len(np.unique(row)) for row in tree.lineage]
    deepest = max(1, *(depth for depth, n in enumerate(sizes) if n <= _TIPS))
    rows: dict[int, float] = {}
    tips: list[int] = []
    drawn: list[int] = []
    pending = [0]
    while pending:
        drawn.append(node := pending.pop())
        below = tree.children[node] if tree.depths[node] < deepest else ()
        if not below:
            rows[node] = float(len(tips))
            tips.append(node)
        pending.extend(reversed(below[:_TIPS]))
    for node in reversed(drawn):
        if node not in rows:
            ends = [rows[child] for child in tree.children[node] if child in rows]
            rows[node] = (min(ends) + max(ends)) / 2
    return rows, tips, max(0, len(tree.children[0]) - _TIPS)


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    assert figure is not None, "the axes were removed from their figure"
    return figure


def _tip(tree: Hierarchy, node: int) -> str:
    if not tree.children[node]:
        return tree.names[node]
    count = (tree.lineage[tree.depths[node]] == node).sum()
    return f"{tree.names[node]} ({count:,} classes)"
