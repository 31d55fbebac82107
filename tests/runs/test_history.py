"""The table of a run, its columns and its terminal phase."""

import numpy as np
import pytest

from ncjax.runs.history import History
from ncjax.runs.journal import parse
from tests.runs.rows import row


def test_table(history):
    lines = history.table().splitlines()
    assert lines[0].split("  ")[-1].strip() == "end, epoch 20"
    trends = {line.split()[0]: line.split()[-1] for line in lines[1:]}
    assert trends["NC1"] == "█▆▁"  # on a log axis, as in the figure
    assert trends["error"] == "█▁▁"
    assert "trend" in lines[1]
    lines = [line[:-7].rstrip() for line in lines]
    assert "error 0, epoch 7" in lines[0]
    cells = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert cells["NC1"] == ["10", "20", "0.1", "0.2", "1.23e-05", "2.47e-05"]
    assert cells["NC2"] == ["0.5", "-", "0.0714", "-", "0.025", "-"]
    assert cells["error"] == ["0.5", "0.1", "0", "0.1", "0", "0.1"]
    assert len({len(line) for line in lines[1:]}) == 1
    assert str(history) == history.table()


def test_the_limit_of_theory_stands_beside_what_was_found():
    more = {"nc/gram_to_tree": 0.2, "tree/sibling_cosine": -0.3}
    limit = {"nc/nc2": 0.7, "nc/gram_to_tree": 0.0, "tree/sibling_cosine": 0.5}
    rows = [row(1, 0.5, 10.0, **more), row(9, 0.0, 0.1, **more)]
    lines = History(rows, limit=limit).table().splitlines()
    assert max(map(len, lines)) <= 80  # the last columns stand below the others
    lines = lines[lines.index("") + 1 :]
    assert lines[1].split()[-1] == "limit"
    last = {line.rsplit(None, 3)[0].strip(): line.split()[-1] for line in lines[2:-1]}
    assert last["NC2"] == "0.7"
    assert last["NC1"] == "-"
    assert last["Gram distance to the tree"] == "0"
    assert last["sibling cosine"] == "0.5"
    assert lines[-1] == "limit: of theory, as regularisation vanishes."
    plain = History(rows).table()
    assert "limit" not in plain
    assert "sibling" not in plain


def test_what_is_undefined_at_all_epochs_has_no_values():
    """A recorder that was given no test set has NaN there."""
    history = History([row(1, 0.5, 10.0) | {"test/nc1": np.nan}])
    assert "test/nc1" in history
    (line,) = [x for x in history.table().splitlines() if "NC1" in x]
    assert line.split() == ["NC1", "10", "-", "10", "-"]


def test_keys_of_older_versions_are_read_as_those_of_now():
    (row,) = parse('{"epoch": 1, "nc/gram_to_theory": 0.5}')
    assert row == {"epoch": 1, "nc/gram_to_limit": 0.5}


def test_table_without_a_terminal_phase():
    text = History([row(1, 0.5, 1.0)]).table()
    assert "did not reach 0" in text
    assert str(History([])) == "Nothing was measured."
    with pytest.raises(KeyError, match="nothing was measured"):
        _ = History([])["epoch"]


def test_a_test_set_without_a_value_is_left_out():
    rows = [
        row(e, 0.5, 1.0) | {"test/nc1": np.nan, "test/error": np.nan} for e in (1, 2)
    ]
    history = History(rows)
    cells = {x.split()[0]: x.split()[1:] for x in history.table().splitlines()[2:-1]}
    assert cells["NC1"][1::2] == cells["error"][1::2] == ["-", "-"]
    errors = history.plot().axes[0]
    labels = [text.get_text() for text in errors.get_legend().get_texts()]
    assert labels == ["train"]


def test_terminal_epoch_and_columns(history):
    assert history.terminal_epoch == 7
    np.testing.assert_array_equal(history["epoch"], [1, 7, 20])


def test_a_history_in_a_notebook(history):
    begins = "<History of a run; 3 epochs measured, at epoch 20: NC1 1.23e-05, "
    assert repr(history).startswith(begins)
    html = history._repr_html_()
    assert html.count("<tr>") == len(history.table().splitlines())
    assert '<th colspan="2">error 0, epoch 7</th>' in html
    assert history.to_rows() is history.rows
    assert history.plot()._repr_png_().startswith(b"\x89PNG")
    nothing = History([])
    assert repr(nothing) == "<History of a run; 0 epochs measured>"
    assert nothing._repr_html_() == "<p>Nothing was measured.</p>"
    with pytest.raises(ValueError, match="no epoch was measured"):
        nothing.plot()


def test_a_metric_that_was_meant(history):
    with pytest.raises(KeyError, match=r"Unknown .*x'\. Did you mean 'nc/nc1'"):
        _ = history["nc/nc1x"]
    with pytest.raises(KeyError, match="Did you mean 'nc/nc1'"):
        _ = history["NC1"]


def test_decay_time_and_the_row_sum_it_leaves():
    more = {"theory/decay_time": np.log(4), "theory/nc0": 0.5, "nc/nc0": 0.5004}
    text = History([row(9, 0.5, 1.0, **more)]).table()
    said = "decay time x = 1.39: weight decay alone leaves exp(-x) = 25 % of W."
    assert f"{said}\nRow sum |W'1|: 0.5 by theory, 0.5004 measured." in text
    del more["theory/nc0"]
    text = History([row(9, 0.5, 1.0, **more)]).table()
    assert said in text
    assert "by theory" not in text
