"""Which figures a run draws: those of what was measured, again or only once."""

import numpy as np

from ncjax.runs.figures import draw
from ncjax.runs.history import History
from tests.runs.rows import row

ROW = row(1, 0.5, 1.0)


def drawn(folder):
    return sorted(path.name for path in folder.iterdir())


def test_figures_are_those_of_what_was_measured(tmp_path):
    draw(History([], tmp_path))
    assert drawn(tmp_path) == []
    draw(History([ROW]))
    draw(History([ROW], tmp_path))
    assert drawn(tmp_path) == ["collapse.png"]
    layers = {f"layers/1_a/nc/nc{i}": 1.0 for i in (1, 2, 3, 4)}
    layers |= {"layers/1_a/nc/nc1_floor": 1e-9, "layers/1_a/test/nc1": 1.0}
    more = ROW | layers | {"test/confusion": np.eye(2).tolist()}
    more |= {"probe/ood/noise/knn_auroc": 0.5}
    draw(History([more], tmp_path), ["a", "b"])
    assert drawn(tmp_path) == [
        *("collapse.png", "confusion.png", "layers.png", "outliers.png")
    ]


def test_a_figure_that_is_there_is_drawn_again_only_if_asked(tmp_path):
    path = tmp_path / "collapse.png"
    path.write_text("kept")
    draw(History([ROW], tmp_path), again=False)
    assert path.read_text() == "kept"
    draw(History([ROW], tmp_path))
    assert path.read_bytes().startswith(b"\x89PNG")
