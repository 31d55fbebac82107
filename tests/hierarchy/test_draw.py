"""Trees as figures."""

import itertools

import pytest
from matplotlib.figure import Figure

from ncjax import hierarchy
from ncjax.hierarchy import BUILTIN, balanced


def texts(figure):
    """Labels of the rows, names of the inner nodes."""
    (axes,) = figure.axes
    return [t.get_text() for t in axes.get_yticklabels()], [
        t.get_text() for t in axes.texts
    ]


@pytest.mark.parametrize("name", BUILTIN)
def test_drawing_names_all_nodes(name):
    tree = BUILTIN[name]()
    rows, inner = texts(figure := hierarchy.draw(tree))
    assert sorted(rows) == sorted(tree.class_names)
    assert sorted(rows + inner) == sorted(tree.names)
    figure.draw_without_rendering()
    spans = [label.get_window_extent() for label in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 for a, b in itertools.pairwise(spans))  # no overlap
    assert figure.axes[0].get_xlim() == (tree.height, 0)


def test_drawing_of_many_classes():
    rows, inner = texts(hierarchy.draw(balanced(10, 4)))
    assert len(rows) == 100
    assert rows[0] == "2.0 (100 classes)"
    assert len(inner) == 11
    rows, _ = texts(hierarchy.draw(balanced(10_000, 1)))
    assert len(rows) == 121
    assert rows[-1] == "… 9,880 more"


def test_drawing_into_given_axes():
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots(1, 2)
    assert hierarchy.draw(BUILTIN["cifar10"](), axes[1]) is figure
    assert not axes[0].texts
    assert any(text.get_text().endswith("…") for text in axes[1].texts)
