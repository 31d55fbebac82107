"""Class trees from graphs of networkx, and as such graphs."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ncjax.extras import install
from ncjax.hierarchy.formats import from_edges, to_edges
from ncjax.hierarchy.records import is_name
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
        raise _undirected()
    return _from_parents([(n, [*graph.predecessors(n)]) for n in graph.nodes], classes)


def is_node_link(data: Any) -> bool:
    """Whether it is a graph as `networkx.node_link_data` and d3 write it."""
    return isinstance(data, Mapping) and all(
        isinstance(data.get(key), list) for key in ("nodes", _links(data))
    )


def from_node_link(
    data: Mapping[str, Any], classes: Sequence[str] | None = None
) -> Hierarchy:
    """A tree from the node-link format: `{"nodes": [{"id": ...}], "links": [...]}`.

    Links, or "edges", are `{"source": parent, "target": child}`, with the ids of nodes.
    A node is called by its name, if it has one beside its id.

    Args:
        data: the graph, as JSON holds it.
        classes: names of the leaves in the order of the labels; by default the order
            in which the graph holds them.

    Raises:
        HierarchyError: if a link names no node, or as `from_networkx`.
    """
    if data.get("directed") is False:
        raise _undirected()
    named: dict[Any, Any] = {}  # id -> name
    for node in data["nodes"]:
        given = node if isinstance(node, Mapping) else {"id": node}
        names = [given[key] for key in ("name", "label", "id", "key") if key in given]
        if not names or not all(map(is_name, names)):
            raise HierarchyError(
                f"The node {reprlib.repr(node)} has no id or no name that is text or a "
                "whole number."
            )
        named[given.get("id", given.get("key", names[0]))] = names[0]
    parents: dict[Any, list[Any]] = {key: [] for key in named}
    for link in data[_links(data)]:
        ends = [link.get(key) for key in ("source", "target")]
        for end in ends:
            if not is_name(end) or end not in named:
                raise HierarchyError(
                    f"The link {reprlib.repr(link)} must have the ids of two nodes, "
                    'its "source" (the parent) and its "target" (the child).'
                )
        parents[ends[1]].append(named[ends[0]])
    return _from_parents([(named[k], above) for k, above in parents.items()], classes)


def _from_parents(
    nodes: Iterable[tuple[Any, Sequence[Any]]], classes: Sequence[str] | None
) -> Hierarchy:
    """The tree of nodes, each with all its parents."""
    edges = []
    for node, above in nodes:
        parents = [str(parent) for parent in above]
        if len(parents) > 1:
            raise HierarchyError(
                f"{str(node)!r} has {len(parents)} parents: {', '.join(parents[:4])}. "
                "Edges must go from parent to child; `graph.reverse()` turns them."
            )
        edges.append((f"node {node!r}", str(node), parents[0] if parents else ""))
    return from_edges(edges, classes)


def _links(data: Mapping[str, Any]) -> str:
    return "links" if "links" in data else "edges"


def _undirected() -> HierarchyError:
    return HierarchyError(
        "The graph is undirected, so that no node is the root. Direct it, as by "
        "`networkx.bfs_tree(graph, root)`."
    )


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
            f"`to_networkx` needs networkx ({error}): {install('trees')}."
        ) from error
    graph = networkx.DiGraph()
    edges = to_edges(tree)
    graph.add_nodes_from(name for name, _ in edges)
    graph.add_edges_from((parent, name) for name, parent in edges[1:])
    return graph
