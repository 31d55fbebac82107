"""Random trees for Hypothesis, and one uneven tree."""

import numpy as np
from hypothesis import strategies as st

# Chain over a single child, a leaf under the root, leaves of uneven depth:
# root -> a -> b -> {x, y}, root -> c -> {u, d -> {v, w}}, root -> z.
UNEVEN = {"root": {"a": {"b": ["x", "y"]}, "c": {"u": None, "d": ["v", "w"]}, "z": {}}}


@st.composite
def trees(draw):
    """Arguments of random trees: nodes in random order, with random labels."""
    size = draw(st.integers(3, 25))
    parents = [-1] + [draw(st.integers(max(0, i - 6), i - 1)) for i in range(1, size)]
    if len(set(range(size)) - set(parents)) < 2:
        parents.append(0)
    # A file with a zero character, or with half of a surrogate pair, is no text.
    letters = st.characters(codec="utf-8", exclude_characters="\0")
    usual = st.text(letters, min_size=1, max_size=6)
    tricky = st.sampled_from(["T-shirt/top", "it's", "a,b", '"q"', "x;y", "(z)", "[c]"])
    names = (usual | tricky).filter(
        lambda name: name == name.strip() and len(name.splitlines()) == 1
    )
    names = draw(
        st.lists(names, min_size=len(parents), max_size=len(parents), unique=True)
    )
    order = draw(st.permutations(range(len(parents))))
    place = np.argsort(order)
    classes = [names[i] for i in range(len(parents)) if i not in parents]
    return (
        [names[i] for i in order],
        [-1 if parents[i] < 0 else int(place[parents[i]]) for i in order],
        draw(st.permutations(classes)),
    )
