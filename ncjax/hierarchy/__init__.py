"""Class hierarchies: trees over the classes, and how far apart two classes are."""

from ncjax.hierarchy.builtin import BUILTIN, balanced
from ncjax.hierarchy.draw import draw
from ncjax.hierarchy.files import read, write
from ncjax.hierarchy.formats import from_nested, from_table
from ncjax.hierarchy.graphs import from_networkx, to_networkx
from ncjax.hierarchy.newick import from_newick, to_newick
from ncjax.hierarchy.tree import Hierarchy, HierarchyError
from ncjax.hierarchy.wordnet import from_wordnet

__all__ = [
    "BUILTIN",
    "Hierarchy",
    "HierarchyError",
    "balanced",
    "draw",
    "from_nested",
    "from_networkx",
    "from_newick",
    "from_table",
    "from_wordnet",
    "read",
    "to_networkx",
    "to_newick",
    "write",
]
