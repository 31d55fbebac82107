"""The figures of a run."""

import numpy as np
import pytest
from hypothesis import given, settings

from ncjax.hierarchy import Hierarchy, from_nested
from ncjax.runs import plots
from ncjax.runs.history import History
from tests.hierarchy.random_trees import trees
from tests.runs.rows import row


def test_collapse_figure(history):
    axes = plots.collapse(history).axes
    assert [a.get_title(loc="left").split()[0] for a in axes] == [
        "Error", "NC1", "NC3", "Loss", "NC2", "NC4",
    ]  # fmt: skip
    nc1 = axes[1]
    np.testing.assert_array_equal(nc1.lines[0].get_ydata(), [10, 0.1, 1.23456e-5])
    assert nc1.get_xscale() == nc1.get_yscale() == "log"
    zeros = axes[0].lines[1]  # training error 0 is drawn on the lower edge
    np.testing.assert_array_equal(zeros.get_xdata(), [7, 20])
    assert len(nc1.texts) == 0
    low = History([row(1, 0.0, 1.0), row(3, 0.0, 5e-15)])
    marked = plots.collapse(low).axes[1]
    assert "rounding" in marked.texts[0].get_text()
    crosses = next(line for line in marked.lines if line.get_marker() == "x")
    np.testing.assert_array_equal(crosses.get_xydata(), [[3, 5e-15]])


def test_a_run_without_a_test_set():
    untested = {"test/error": np.nan, "test/nc1": np.nan}
    axes = plots.collapse(History([row(e, 0.5, 1.0, **untested) for e in (1, 2)])).axes
    assert [len(axis.lines) for axis in axes[:2]] == [1, 1]


@pytest.mark.filterwarnings("error")
def test_the_layout_holds(history, tmp_path):
    """Panels without zeros, with zeros, and with values under the floor."""
    low = History([row(1, 0.0, 1.0), row(3, 0.0, 5e-15)])
    for i, run in enumerate((history, low)):
        figure = plots.collapse(run)
        plots.save(figure, tmp_path / f"{i}.png")
        boxes = [axis.get_position() for axis in figure.axes]
        assert min(box.width for box in boxes) > 0.2
        assert min(box.height for box in boxes) > 0.3


def test_confusion_figure():
    table = [[8, 2, 0, 0], [0, 10, 0, 0], [1, 0, 9, 0], [0, 0, 5, 5]]
    history = History([row(4, 0.1, 1.0, **{"test/confusion": table})])
    names = ["cat", "dog", "car", "bus"]
    tree = from_nested({"animals": names[:2], "vehicles": names[2:]}, names)
    level, classes = plots.confusion(history, names, tree).axes[:2]
    np.testing.assert_allclose(level.images[0].get_array(), [[100, 0], [5, 95]])
    np.testing.assert_allclose(classes.images[0].get_array()[3], [0, 0, 50, 50])
    assert [t.get_text() for t in classes.get_xticklabels()] == names
    assert classes.lines  # the line between animals and vehicles
    with pytest.raises(KeyError, match="Unknown metric 'test/confusion'"):
        plots.confusion(History([row(1, 0.1, 1.0)]), names)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(trees())
def test_a_confusion_stands_in_the_order_of_its_tree(drawn):
    """Classes of a node stand side by side, with lines around them."""
    tree = Hierarchy(*drawn)
    names = list(tree.class_names)
    table = np.random.default_rng(0).uniform(1, 9, (len(names),) * 2)
    history = History([row(4, 0.1, 1.0, **{"test/confusion": table.tolist()})])
    axis = plots.confusion(history, names, tree).axes[len(tree.levels) - 1]
    shown = [t.get_text() for t in axis.get_yticklabels()]
    order = [names.index(name) for name in shown]
    wanted = 100 * table / table.sum(1, keepdims=True)
    np.testing.assert_allclose(axis.images[0].get_array(), wanted[np.ix_(order, order)])
    lines = {line.get_ydata()[0] for line in axis.lines}
    for depth in tree.levels[:-1]:
        groups = tree.superclasses(depth)[0][order]
        changes = np.flatnonzero(np.diff(groups))
        assert len(changes) == len(set(groups)) - 1
        assert {place + 0.5 for place in changes} <= lines


LIMIT = {"nc/nc2": 0.7, "nc/gram_to_tree": 0.0, "tree/sibling_cosine": 0.5}


def test_a_loss_with_a_tree_is_drawn_beside_the_limit_of_theory():
    more = {"nc/gram_to_tree": 0.2, "tree/sibling_cosine": -0.3}
    rows = [row(1, 0.5, 10.0, **more), row(9, 0.0, 0.1, **more)]
    figure = plots.collapse(
        History(rows, about="digits, mlp, soft_labels", limit=LIMIT)
    )
    axes = {axis.get_title(loc="left").split()[0]: axis for axis in figure.axes}
    assert len(axes) == 8
    dashed = {
        name: [x.get_ydata()[0] for x in axis.lines if x.get_linestyle() == "--"]
        for name, axis in axes.items()
    }
    assert (dashed["NC2"], dashed["Cosine"], dashed["Distance"]) == ([0.7], [0.5], [])
    assert axes["Cosine"].get_yscale() == "linear"
    title = figure.get_suptitle()
    assert title.startswith("digits, mlp, soft_labels")
    assert "dashed: theory in the limit" in title
    assert "hollow points at the edge: 0" in title
    assert "from the first training error 0, epoch 9, on" in title
    plain = plots.collapse(History(rows))  # of another loss, on the same data
    assert len(plain.axes) == 6
    assert "dashed" not in plain.get_suptitle()


def test_a_small_change_looks_small():
    rows = [row(epoch, 0.5, 10.0, **{"nc/nc3": 0.78 - epoch / 500}) for epoch in (1, 9)]
    nc3 = plots.collapse(History(rows)).axes[2]
    low, high = nc3.get_ylim()
    assert high / low > 3.9
    nc3.figure.draw_without_rendering()
    labels = [t.get_text() for t in nc3.get_yticklabels() if t.get_text()]
    assert labels
    assert not any("times" in text for text in labels)


def test_layers_figure():
    layers = {
        f"layers/{name}/{key}": 0.1
        for name in ("01_stem", "02_block")
        for key in ("nc/nc1", "nc/nc2", "nc/nc4", "train/ncc_accuracy")
    }
    figure = plots.layers(History([row(1, 0.1, 1.0, **layers)]))
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == ["stem", "block"]
    with pytest.raises(ValueError, match=r"set config\.eval\.layers = 'all'"):
        plots.layers(History([row(1, 0.1, 1.0)]))


def test_the_row_sum_of_theory_lies_under_the_measured_one():
    rows = [
        row(epoch, 0.5, 10.0, **{"nc/nc0": 2 / epoch, "theory/nc0": 2.1 / epoch})
        for epoch in (1, 9)
    ]
    figure = plots.collapse(History(rows))
    (nc0,) = (a for a in figure.axes if a.get_title(loc="left").startswith("NC0"))
    measured, theory = nc0.lines[:2]
    np.testing.assert_allclose(measured.get_ydata(), [2, 2 / 9])
    np.testing.assert_allclose(theory.get_ydata(), [2.1, 2.1 / 9])
    assert theory.get_zorder() < measured.get_zorder()
    assert "grey in NC0: theory" in figure.get_suptitle()


@pytest.mark.filterwarnings("error")
def test_figures_for_a_page(history):
    """Fewer panels side by side; the lowest of each column says what x is."""
    figure = plots.collapse(history, columns=1)
    assert figure.get_figwidth() == 3.35
    grid = np.reshape(figure.axes, (3, 2))
    titles = [axis.get_title(loc="left").split()[0] for axis in grid.ravel()]
    assert titles == ["Error", "Loss", "NC1", "NC2", "NC3", "NC4"]
    assert [axis.get_xlabel() for axis in grid[:, 0]] == ["", "", "epoch"]
    table = np.array([[8.0, 2.0], [1.0, 9.0]])
    known = History([row(1, 0.1, 1.0, **{"test/confusion": table})])
    one = plots.confusion(known, ["cat", "dog"], columns=1)
    assert one.axes[0].get_ylabel() == "true class"
