"""The section of the mistakes: levels, epochs, severity."""

import numpy as np

from ncjax.report.mistakes import mistakes
from ncjax.report.page import Page
from ncjax.report.read import read
from ncjax.runs.classes import Classes
from tests.report.made import data_of, measured, write_run


def parts_of(folder):
    page = Page("x")
    return "".join(mistakes(page, read(folder))), data_of(page.render())


def test_each_level_at_each_epoch(tmp_path):
    rows = [measured(1, **{"test/confusion": np.ones((4, 4))}), measured(2)]
    text, data = parts_of(write_run(tmp_path / "run", rows))
    assert 'data-of="confusion"' in text
    assert 'id="confusion-epoch"' in text
    assert data["confusion"]["epochs"] == [1, 2]
    coarse, classes = data["confusion"]["tables"]
    assert coarse[0][1] == [["50", "50"], ["50", "50"]]
    assert classes[0][1] == [["25"] * 4] * 4
    assert classes[1][0] == data["charts"]["confusion"]["data"][0]["z"]


def test_of_one_epoch_there_is_no_slider(tmp_path):
    text, data = parts_of(write_run(tmp_path / "run", [measured(3)], Classes()))
    assert "confusion-epoch" not in text
    assert "Test set, epoch 3;" in text
    assert "confusion" not in data


def test_without_a_confusion(tmp_path):
    row = {k: v for k, v in measured(1).items() if k != "test/confusion"}
    text, data = parts_of(write_run(tmp_path / "run", [row]))
    assert set(data["charts"]) == {"levels", "heights"}
    assert "Confusion" not in text
