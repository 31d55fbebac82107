"""Trees in the Newick format."""

import re

import pytest
from hypothesis import given, settings

from ncjax import hierarchy
from ncjax.hierarchy import Hierarchy, HierarchyError
from tests.hierarchy.random_trees import trees


@given(trees())
@settings(max_examples=30, deadline=None)
def test_other_programs_read_the_newick(parts):
    """Brackets and commas of a reader that knows only quotes."""
    tree = Hierarchy(*parts)
    bare = re.sub(r"'(?:[^']|'')*'", "q", hierarchy.to_newick(tree))
    assert re.fullmatch(r"[A-Za-z0-9.+\-(),]+;", bare)
    assert bare.count("(") == bare.count(")") == sum(map(bool, tree.children))


def test_newick_names():
    text = "(('T-shirt/top',Ankle_boot)'it''s',(a,b):1,[c]c):0;"
    tree = hierarchy.from_newick(text)
    assert tree.class_names == ("T-shirt/top", "Ankle_boot", "a", "b", "c")
    assert set(tree.names) - set(tree.class_names) == {"it's", "node 1", "node 2"}
    assert hierarchy.to_newick(tree) == (
        "(('T-shirt/top','Ankle_boot')'it''s',c,(a,b)'node 2')'node 1';"
    ).replace(",c,(a,b)'node 2'", ",(a,b)'node 2',c")


@pytest.mark.parametrize("support", ["100", "0.99", "98.5/100", "1e2"])
def test_support_of_branches_is_no_name(support):
    text = f"((a,b){support}:0.1,((c,d){support}:1,e)95)root;"
    tree = hierarchy.from_newick(text)
    assert tree.class_names == tuple("abcde")
    assert tree == hierarchy.from_newick("((a,b),((c,d),e))root;")
    same = hierarchy.from_newick(f"(({support},b){support},c)root;")
    assert same.class_names == (support, "b", "c")
    once = hierarchy.from_newick("((a,b)1998,(c,d)2001)root;")  # may well be names
    assert {"1998", "2001"} < set(once.names)
    with pytest.raises(HierarchyError, match="'x' stands for two nodes"):
        hierarchy.from_newick("((a,b)x,(c,d)x);")
