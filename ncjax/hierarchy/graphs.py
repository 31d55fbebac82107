"""Class trees from graphs of networkx, and as such graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ncjax.hierarchy.formats import from_edges, to_edges
from ncjax.hierarchy.tree import Hierarchy, HierarchyError

if TYPE_CHECKING:
    import networkx


def from_networkx(graph: Any, classes: Sequence[str] | None = None) -> Hierarchy:
    """A tree from a directed graph, whose edges go from parent to child.

    Args:
        graph: a `networkx.DiGraph`; `str` of a node is its name.
        classes: names of the leaves in the order of the labels; by default the order
            in which the graph holds them.

    Raises:
        HierarchyError: if the graph is undirected, if a node has two parents, or if
            `Hierarchy` refuses the tree.
    """
    if not graph.is_directed():
        raise HierarchyError(
            "The graph is undirected, so that no node is the root. Direct it, as by "
            "`networkx.bfs_tree(graph, root)`."
        )
    edges = []
    for node in graph.nodes:
        parents = [str(parent) for parent in graph.predecessors(node)]
        if len(parents) > 1:
            raise HierarchyError(
                f"{str(node)!r} has {len(parents)} parents: {', '.join(parents[:4])}. "
                "Edges must go from parent to child; `graph.reverse()` turns them."
            )
        edges.append((f"node {node!r}", str(node), parents[0] if parents else ""))
    return from_edges(edges, classes)


def to_networkx(tree: Hierarchy) -> networkx.DiGraph:
    """The tree as a graph with edges from parent to child.

    The inner nodes come first, from the root on, then the classes by label, so that
    `from_networkx` gives the same tree.

    Raises:
        HierarchyError: if networkx is not installed.
    """
    try:
        import networkx
    except ImportError as error:
        raise HierarchyError(
            f"`to_networkx` needs networkx ({error}): pip install 'ncjax[trees]'."
        ) from error
    graph = networkx.DiGraph()
    edges = to_edges(tree)
    graph.add_nodes_from(name for name, _ in edges)
    graph.add_edges_from((parent, name) for name, parent in edges[1:])
    return graph
