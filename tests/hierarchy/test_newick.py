"""Trees in the Newick format."""

import re

from hypothesis import given, settings

from ncjax import hierarchy
from ncjax.hierarchy import Hierarchy
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
