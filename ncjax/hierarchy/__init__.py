"""Class hierarchies: trees over the classes, and how far apart two classes are."""

from ncjax.hierarchy.tree import Hierarchy, HierarchyError

__all__ = ["Hierarchy", "HierarchyError"]
