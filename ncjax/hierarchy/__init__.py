"""Class hierarchies: trees over the classes, and how far apart two classes are."""

from ncjax.hierarchy.builtin import BUILTIN as BUILTIN, balanced as balanced
from ncjax.hierarchy.clustering import (
    cophenetic_correlation as cophenetic_correlation,
    from_means as from_means,
)
from ncjax.hierarchy.draw import draw as draw
from ncjax.hierarchy.files import read as read, write as write
from ncjax.hierarchy.formats import from_nested as from_nested, from_table as from_table
from ncjax.hierarchy.graphs import (
    from_networkx as from_networkx,
    to_networkx as to_networkx,
)
from ncjax.hierarchy.newick import from_newick as from_newick, to_newick as to_newick
from ncjax.hierarchy.tree import (
    Hierarchy as Hierarchy,
    HierarchyError as HierarchyError,
)
from ncjax.hierarchy.wordnet import from_wordnet as from_wordnet
