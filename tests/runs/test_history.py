"""The table of a run, its columns and its terminal phase."""

import numpy as np
import pytest

from ncjax.runs.history import History
from tests.runs.rows import row


def test_table(history):
    lines = history.table().splitlines()
    assert lines[0].split("  ")[-1].strip() == "end, epoch 20"
    assert "error 0, epoch 7" in lines[0]
    cells = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert cells["NC1"] == ["10", "20", "0.1", "0.2", "1.23e-05", "2.47e-05"]
    assert cells["NC2"] == ["0.5", "-", "0.0714", "-", "0.025", "-"]
    assert cells["error"] == ["0.5", "0.1", "0", "0.1", "0", "0.1"]
    assert len({len(line) for line in lines}) == 1
    assert str(history) == history.table()


def test_table_without_a_terminal_phase():
    text = History([row(1, 0.5, 1.0)]).table()
    assert "did not reach 0" in text
    assert str(History([])) == "Nothing was measured."
    with pytest.raises(KeyError, match="nothing was measured"):
        _ = History([])["epoch"]


def test_terminal_epoch_and_columns(history):
    assert history.terminal_epoch == 7
    np.testing.assert_array_equal(history["epoch"], [1, 7, 20])
