"""The figures of a run."""

import numpy as np
import pytest

from ncjax.hierarchy import from_nested
from ncjax.runs import plots
from ncjax.runs.history import History
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
    with pytest.raises(KeyError, match="Unknown metric 'test/confusion'"):
        plots.confusion(History([row(1, 0.1, 1.0)]), names)


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
