"""Class hierarchies: trees over the classes, and how far apart two classes are."""

from ncjax.hierarchy.builtin import BUILTIN as BUILTIN
from ncjax.hierarchy.builtin import balanced as balanced
from ncjax.hierarchy.draw import draw as draw
from ncjax.hierarchy.files import read as read
from ncjax.hierarchy.files import write as write
from ncjax.hierarchy.formats import from_nested as from_nested
from ncjax.hierarchy.formats import from_table as from_table
from ncjax.hierarchy.graphs import from_networkx as from_networkx
from ncjax.hierarchy.graphs import to_networkx as to_networkx
from ncjax.hierarchy.newick import from_newick as from_newick
from ncjax.hierarchy.newick import to_newick as to_newick
from ncjax.hierarchy.tree import Hierarchy as Hierarchy
from ncjax.hierarchy.tree import HierarchyError as HierarchyError
from ncjax.hierarchy.wordnet import from_wordnet as from_wordnet
