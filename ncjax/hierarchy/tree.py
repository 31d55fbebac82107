"""A class hierarchy: a rooted tree whose leaves are the classes.

All arrays are NumPy: a tree is built once, on the host.  The largest array that any
function makes is [K, K]; no function makes one of size K x K x depth.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from ncjax.memory import gigabytes
from ncjax.options import brief, suggest

_LINEAGE = 1 << 28  # numbers in the table of the ancestors of the classes, at most
_ROWS = 1 << 24  # entries of a [rows, K] block of a pairwise table


class HierarchyError(ValueError):
    """A tree that cannot be used; the message names the node and says what to mend.

    Names of nodes may be very long, and cycles, too: in a message they are cut.
    """

    def __init__(self, message: str):
        """Takes the message, of which it keeps 500 characters at most."""
        super().__init__(brief(message, 500))


class Hierarchy:
    """A tree over K classes, with M nodes in all.

    Nodes are numbered parents first, so the root is 0.  Chains of nodes with a single
    child and leaves of uneven depth are allowed.

    Attributes:
        names: names of the nodes [M], each once.
        parents: int32 [M], the parent of each node; -1 for the root.
        leaves: int32 [K], the node of class k.
        depths: int32 [M], number of edges from the root to the node.
        heights: int32 [M], number of edges to the farthest leaf below; 0 for a leaf.
        lineage: int32 [D + 1, K], row a holds the ancestor at depth a of each class, or
            the class itself where it lies less deep; D is the greatest depth.
    """

    def __init__(
        self,
        names: Sequence[str],
        parents: Sequence[int] | np.ndarray,
        classes: Sequence[str] | None = None,
    ):
        """A tree from a parent list.

        Args:
            names: names of the nodes [M], in any order.
            parents: position of each node's parent in `names` [M]; for the root -1 or
                its own position.
            classes: names of the leaves in the order of the labels; by default the
                order in which the leaves come in `names`.

        Raises:
            HierarchyError: unless there is one root, no cycle, no name twice, and the
                leaves are exactly `classes`, at least two; or if a name is empty,
                has a line break, or begins or ends with white space.
        """
        names, above = [str(name) for name in names], np.asarray(parents)
        if above.shape == (len(names),) and np.issubdtype(above.dtype, np.integer):
            itself = above == np.arange(len(names))  # so a root may say that it is one
            above = np.where(itself, -1, above.astype(np.int64))
        _check_nodes(names, above)
        order = _parents_first(names, above)
        self.names: tuple[str, ...] = tuple(names[i] for i in order)
        self.parents = _positions(order, len(names))[above[order]]

        inner = {names[parent] for parent in above.tolist() if parent >= 0}
        found = [name for name in names if name not in inner]
        classes = found if classes is None else [str(name) for name in classes]
        _check_classes(classes, found, inner)
        index = {name: i for i, name in enumerate(self.names)}
        self.leaves = np.array([index[name] for name in classes], np.int32)

        up = self.parents.tolist()  # lists are faster, number by number
        depths, heights = [0] * len(names), [0] * len(names)
        for node in range(1, len(names)):
            depths[node] = depths[up[node]] + 1
        for node in range(len(names) - 1, 0, -1):
            heights[up[node]] = max(heights[up[node]], heights[node] + 1)
        self.depths = np.array(depths, np.int32)
        self.heights = np.array(heights, np.int32)

        if (entries := (self.height + 1) * len(classes)) > _LINEAGE:
            raise HierarchyError(
                f"A tree of {len(classes):,} classes that is {self.height:,} nodes "
                f"deep needs a table of {gigabytes(4 * entries)} of their ancestors; "
                f"{gigabytes(4 * _LINEAGE)} are allowed. Leave out nodes with a single "
                "child, or group the classes less deeply."
            )
        rows = [self.leaves]
        for depth in range(self.height, 0, -1):
            row = rows[-1]
            rows.append(np.where(self.depths[row] == depth, self.parents[row], row))
        self.lineage = np.stack(rows[::-1])

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.leaves)

    @property
    def num_nodes(self) -> int:
        """Number of nodes M: the root, the inner nodes and the leaves."""
        return len(self.names)

    @property
    def height(self) -> int:
        """Height of the root, which is also the greatest depth D."""
        return int(self.heights[0])

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the leaves, by label."""
        return tuple(self.names[node] for node in self.leaves)

    @functools.cached_property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """The children of each node, in the order of their numbers."""
        lists: list[list[int]] = [[] for _ in self.names]
        for node in range(1, self.num_nodes):
            lists[self.parents[node]].append(node)
        return tuple(map(tuple, lists))

    def lca_heights(self) -> np.ndarray:
        """Height of the lowest common ancestor of two classes, int16 [K, K]."""
        return self._of_lca(self.heights)

    def lca_depths(self) -> np.ndarray:
        """Depth of the lowest common ancestor of two classes, int16 [K, K]."""
        return self._of_lca(self.depths)

    def distances(self, rule: str = "height", *, normalise: bool = True) -> np.ndarray:
        """Distance of two classes in the tree, float32 [K, K]; an ultrametric.

        Args:
            rule: "height" is the height of the lowest common ancestor (the formula of
                Bertinetto et al., CVPR 2020); "depth" is H minus its depth, with H the
                height of the tree, and 0 for a class with itself (the numbers in the
                data of those authors).  Both agree where every inner node at depth t
                has height H - t.
            normalise: whether to divide by H, so that the largest distance is 1 (or
                less, where the root has a single child).

        Raises:
            ValueError: for another rule.
        """
        if rule == "height":
            table = self.lca_heights()
        elif rule == "depth":
            table = self.height - self.lca_depths()
            np.fill_diagonal(table, 0)
        else:
            raise ValueError(f"Unknown distance {rule!r}. Available: height, depth.")
        return table.astype(np.float32) / (self.height if normalise else 1)

    def ancestors(self) -> np.ndarray:
        """Whether node m is class k or lies above it, bool [K, M]."""
        mask = np.zeros((self.num_classes, self.num_nodes), bool)
        for row in self.lineage:
            mask[np.arange(self.num_classes), row] = True
        return mask

    def superclasses(self, depth: int) -> tuple[np.ndarray, tuple[str, ...]]:
        """The classes grouped by their ancestor at a depth.

        A class that lies less deep is a group of its own.

        Args:
            depth: number of edges from the root to the ancestors.

        Returns:
            Group of each class, int32 [K] in 0..G-1, and the names of the G groups.

        Raises:
            ValueError: unless 0 <= depth <= H.
        """
        if not 0 <= depth <= self.height:
            raise ValueError(f"depth must be in 0..{self.height}, got {depth}.")
        nodes, groups = np.unique(self.lineage[depth], return_inverse=True)
        return groups.astype(np.int32), tuple(self.names[node] for node in nodes)

    @functools.cached_property
    def levels(self) -> tuple[int, ...]:
        """Depths 1..H at which the partition differs from the one above it."""
        sizes = [len(np.unique(row)) for row in self.lineage]
        return tuple(a for a in range(1, len(sizes)) if sizes[a] > sizes[a - 1])

    def restrict(self, classes: Sequence[str]) -> Hierarchy:
        """The tree over some of the classes, in the order given; heights may fall.

        Args:
            classes: names of the classes to keep, in the order of the new labels.

        Raises:
            HierarchyError: for a class that the tree does not have; the message names
                it, and the nearest name that the tree has.
        """
        classes = [str(name) for name in classes]
        _check_known(classes, self.class_names)
        label = {name: k for k, name in enumerate(self.class_names)}
        kept = np.unique(self.lineage[:, [label[name] for name in classes]])
        parents = _positions(kept, self.num_nodes)[self.parents[kept]]
        return Hierarchy([self.names[node] for node in kept], parents, classes)

    def nested(self) -> dict:
        """`{root: {inner: [leaf, ...], ...}}`, which `from_nested` reads.

        It does not hold the order of the labels, which is that of `class_names`.
        """
        below: list[dict | list | None] = [None] * self.num_nodes
        for node in reversed(range(self.num_nodes)):  # deep trees: no recursion
            children = self.children[node]
            if any(below[child] for child in children):
                below[node] = {self.names[child]: below[child] for child in children}
            elif children:
                below[node] = [self.names[child] for child in children]
        return {self.names[0]: below[0]}

    def __eq__(self, other: object) -> bool:
        """Same classes in the same order, same tree, same names of inner nodes."""
        if not isinstance(other, Hierarchy):
            return NotImplemented
        return self.class_names == other.class_names and self._edges() == other._edges()

    def __hash__(self) -> int:
        """A hash of the classes and edges, for equal trees the same."""
        return hash((self.class_names, frozenset(self._edges())))

    def __repr__(self) -> str:
        """The sizes of the tree in one line."""
        return (
            f"Hierarchy({self.num_classes} classes, {self.num_nodes} nodes, height "
            f"{self.height})"
        )

    def _edges(self) -> set[tuple[str, str]]:
        above = (*self.names, "")  # of the root, at -1
        return {(name, above[i]) for name, i in zip(self.names, self.parents)}

    def _of_lca(self, values: np.ndarray) -> np.ndarray:
        """The value [M] of the lowest common ancestor of two classes, [K, K]."""
        k = self.num_classes
        table = np.full((k, k), values[0], np.int16)
        for start in range(0, k, rows := max(1, _ROWS // k)):
            block = slice(start, start + rows)
            for row in self.lineage[1:]:
                same = row[block, None] == row[None]
                np.copyto(table[block], values[row][None], where=same)
        return table


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


def _positions(chosen: np.ndarray | list[int], count: int) -> np.ndarray:
    """The place of each node in `chosen` [count + 1]; -1 for others and node -1."""
    places = np.full(count + 1, -1, np.int32)
    places[chosen] = np.arange(len(chosen))
    return places


def _check_nodes(names: list[str], parents: np.ndarray) -> None:
    if parents.shape != (len(names),):
        raise HierarchyError(
            f"{len(names)} nodes need as many parents, got shape {parents.shape}."
        )
    if not names or not np.issubdtype(parents.dtype, np.integer):
        raise HierarchyError(
            f"A tree needs nodes and whole numbers as their parents, got {len(names)} "
            f"nodes and parents of type {parents.dtype}."
        )
    for node, name in enumerate(names):
        if name != name.strip() or len(name.splitlines()) != 1:
            raise HierarchyError(
                f"Node {node} has the name {name!r}; a name must not be empty, begin "
                "or end with white space, or have a line break."
            )
    if len(set(names)) < len(names):
        raise HierarchyError(
            f"The name {_most_common(names)!r} stands for two nodes; names of nodes "
            "must be unique."
        )
    if wrong := np.flatnonzero((parents < -1) | (parents >= len(names))).tolist():
        raise HierarchyError(
            f"The parent of {names[wrong[0]]!r} is number {parents[wrong[0]]}, but the "
            f"nodes are 0..{len(names) - 1}, and -1 marks the root."
        )
    roots = np.flatnonzero(parents == -1)
    if len(roots) > 1:
        raise HierarchyError(
            f"A tree has one root, but {names[roots[0]]!r} and {names[roots[1]]!r} "
            "both have no parent. Give them a common one."
        )


def _parents_first(names: list[str], parents: np.ndarray) -> list[int]:
    """An order of the nodes, depth by depth, that starts at the root."""
    children: list[list[int]] = [[] for _ in names]
    for node, parent in enumerate(parents.tolist()):
        if parent >= 0:
            children[parent].append(node)
    order = np.flatnonzero(parents == -1).tolist()
    for node in order:  # grows while it is read
        order.extend(children[node])
    if len(order) < len(names):
        node = int(np.setdiff1d(np.arange(len(names)), order)[0])
        seen: dict[int, None] = {}  # in order
        while node not in seen:
            seen[node] = None
            node = int(parents[node])
        first = list(seen).index(node)
        cycle = [names[i] for i in (*list(seen)[first:], node)]
        raise HierarchyError(f"The tree has a cycle: {' -> '.join(cycle)}.")
    return order


def _check_classes(classes: list[str], found: list[str], inner: set[str]) -> None:
    if len(set(classes)) < len(classes):
        raise HierarchyError(f"The class {_most_common(classes)!r} is given twice.")
    if within := set(classes) & inner:
        raise HierarchyError(
            f"The class {sorted(within)[0]!r} is not a leaf: other nodes lie below it."
        )
    _check_known(classes, found)
    if left := set(found) - set(classes):
        raise HierarchyError(
            f"The leaf {sorted(left)[0]!r} is not one of the {len(classes)} classes. "
            "Every leaf must be a class; `restrict` cuts a tree to some of them."
        )
    if len(classes) < 2:
        raise HierarchyError(f"A tree needs at least 2 classes, got {len(classes)}.")


def _check_known(classes: Iterable[str], known: Sequence[str]) -> None:
    for name in sorted(set(classes) - set(known)):
        some = ", ".join(list(known)[:8]) + (", ..." if len(known) > 8 else "")
        raise HierarchyError(
            f"The class {name!r} is not a leaf of the tree.{suggest(name, known)} Its "
            f"leaves: {some}."
        )


def _most_common(names: list[str]) -> str:
    return Counter(names).most_common(1)[0][0]
