"""Panels of several experiments: Gram matrices in the order of a tree, heat maps."""

import numpy as np
import pytest

from ncjax.hierarchy import from_nested
from ncjax.style import render
from ncjax.ufm.run import figures
from ncjax.ufm.run.sweep import Axis


def test_gram_matrices_stand_in_the_order_of_the_tree():
    names = ["cat", "car", "dog", "bus"]
    tree = from_nested({"animals": ["cat", "dog"], "vehicles": ["car", "bus"]}, names)
    rows = np.array([[1, 0.5], [-1, 0.1], [1, -0.5], [-1, -0.1]])
    figure, axes = figures.panels((9, 3), 1, 3)
    figures.gram_panels(figure, axes, [("found", rows @ rows.T)], tree)
    shown = [t.get_text() for t in axes[0].get_yticklabels()]
    assert shown == ["cat", "dog", "car", "bus"]
    signs = np.sign(axes[0].images[0].get_array())
    np.testing.assert_array_equal(signs, np.kron([[1, -1], [-1, 1]], np.ones((2, 2))))
    assert {line.get_ydata()[0] for line in axes[0].lines} & {1.5}
    bars = [axis.get_ylabel() for axis in figure.axes[3:]]
    assert bars == ["entry, matrices of norm 1"]


@pytest.mark.filterwarnings("error")
def test_whole_numbers_have_a_colour_each_and_grey_is_explained():
    sides = (
        Axis("c", np.geomspace(1e-3, 1, 4), True),
        Axis("beta", np.arange(1, 4.0), False),
    )
    figure, axes = figures.panels((9, 3), 1, 2)
    rank = np.array([[0.0, 7, 7], [0, 3, 7], [0, 3, 3], [0, 0, 0]])
    nc2 = np.where(rank > 0, 0.5, np.nan)
    for axis, values, whole in zip(axes, (rank, nc2), (True, False)):
        figures.panel(axis, "Rank" if whole else "NC2", "c")
        axis.set_xscale("log")
        figures.heat_map(figure, axis, sides, values, "viridis", whole=whole)
        axis.plot([1e-3, 1], [1, 3], color="white")
        figures.explain(axis, lines=True, missing=bool(np.isnan(values).any()))
    assert render(figure, ".png").startswith(b"\x89PNG")
    bars = figure.axes[2:]
    assert [bar.get_ylabel() for bar in bars] == ["Rank", "NC2"]
    assert [t.get_text() for t in bars[0].get_yticklabels()] == ["0", "3", "7"]
    texts = [[t.get_text() for t in axis.get_legend().get_texts()] for axis in axes]
    assert texts[0] == ["theory: rank changes"]
    assert texts[1] == [*texts[0], "all classes have merged: no geometry"]
