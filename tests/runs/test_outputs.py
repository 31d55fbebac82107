"""What people see: the table, the figures, the progress line."""

import numpy as np
import pytest

from ncjax.runs import plots
from ncjax.runs.history import History
from ncjax.runs.progress import Progress
from ncjax.runs.workdir import Workdir


def row(epoch, error, nc1, **more):
    return {
        "epoch": epoch,
        "train/loss": 1 / epoch,
        "test/loss": 2 / epoch,
        "train/error": error,
        "test/error": 0.1,
        "nc/nc1": nc1,
        "nc/nc1_floor": 1e-14,
        "nc/nc2": 0.5 / epoch,
        "nc/nc3": 0.25,
        "nc/nc4": error,
        "test/nc1": 2 * nc1,
        "test/nc4": 0.2,
        **more,
    }


@pytest.fixture
def history():
    return History([row(1, 0.5, 10.0), row(7, 0.0, 0.1), row(20, 0.0, 1.23456e-5)])


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


def test_progress_prints_whole_lines_in_a_log(capsys):
    bar = Progress(20)
    for epoch in range(1, 21):
        bar.update(epoch, {"loss": 0.123456, "NC1": 1e-3})
    bar.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1  # less than ten seconds: only the last epoch
    assert "20/20" in lines[0]
    assert "epoch/s" in lines[0]
    assert "loss 0.123 NC1 0.001" in lines[0]


def test_metrics_are_strict_json(tmp_path):
    run = Workdir(tmp_path / "run", {"seed": 0})
    run.resume(0)
    run.write({"epoch": 1, "nc/nc1": float("nan"), "train/loss": 0.5})
    run.close()
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert text == '{"epoch": 1, "nc/nc1": null, "train/loss": 0.5}\n'
    rows = Workdir(tmp_path / "run", {"seed": 0}).resume(1)
    assert rows[0]["epoch"] == 1
    assert np.isnan(rows[0]["nc/nc1"])
