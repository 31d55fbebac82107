"""Class hierarchies: trees over the classes, and how far apart two classes are."""

from ncjax.hierarchy._stub import BUILTIN, from_nested, read
from ncjax.hierarchy.tree import Hierarchy, HierarchyError

__all__ = ["Hierarchy", "HierarchyError"]
