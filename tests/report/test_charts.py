"""Curves as data of plotly: what is drawn, thinned and left out."""

import numpy as np
import pytest

from ncjax.report import charts
from ncjax.runs.history import History
from tests.report.made import measured
from tests.runs.rows import row


def by_name(history):
    return {metric.key: chart for metric, chart in charts.curve_panels(history)}


def names(chart):
    return [trace.get("name") for trace in chart["data"]]


def test_train_and_test_and_the_terminal_phase():
    history = History([row(1, 0.2, 1.0), row(5, 0.0, 0.1), row(9, 0.0, 0.01)])
    found = by_name(history)
    assert names(found["nc1"]) == ["train", "test"]
    assert found["nc1"]["data"][0]["y"] == [1.0, 0.1, 0.01]
    assert found["nc1"]["layout"]["yaxis"]["type"] == "log"
    (shade,) = found["nc1"]["layout"]["shapes"]
    assert (shade["x0"], shade["x1"]) == (5, 9)
    (zeros,) = (t for t in found["error"]["data"] if t.get("meta") == "zeros")
    assert zeros["x"] == [5, 9]
    never = by_name(History([row(1, 0.2, 1.0)]))
    assert "shapes" not in never["nc1"]["layout"]


def test_seed_bands():
    ends = {"nc/nc1/low": 0.5, "nc/nc1/high": 2.0}
    seeds = [History([row(1, 0.2, 0.25), row(2, 0.2, 4.0)]), History([])]
    history = History([row(e, 0.2, 1.0, **ends) for e in (1, 2)], seeds=seeds)
    drawn = by_name(history)["nc1"]["data"]
    own = [trace for trace in drawn if trace.get("meta") == charts.SEED]
    # Training and test set of the one seed that is known; hidden until asked for.
    assert [trace["y"] for trace in own] == [[0.25, 4.0], [0.5, 8.0]]
    assert not any(trace["visible"] for trace in own)
    low, high, mean, *_ = (trace for trace in drawn if trace not in own)
    assert (low["y"], high["y"], mean["y"]) == ([0.5] * 2, [2.0] * 2, [1.0] * 2)
    assert high["fill"] == "tonexty"


def test_the_floor_of_rounding_and_the_limit_of_theory():
    history = History([row(1, 0.2, 1.0)], limit={"nc/nc2": 0.8})
    assert "rounding" not in names(by_name(history)["nc1"])
    assert names(by_name(history)["nc2"]) == ["train", "theory"]
    near = History([row(1, 0.2, 1e-13)])
    assert names(by_name(near)["nc1"])[-1] == "rounding"
    row_sum = {"nc/nc0": 1.0, "theory/nc0": 1.1}
    drawn = by_name(History([row(1, 0.2, 1.0, **row_sum)]))["nc0"]
    assert names(drawn) == ["theory", "train"]


def test_numbers_that_are_not_finite_are_gaps():
    rows = [{"epoch": 1, "a": np.nan}, {"epoch": 2, "a": np.inf}, {"epoch": 3}]
    assert charts.numbers([*rows, {"a": 1 / 3}], "a") == [None, None, None, 0.3333]


@pytest.mark.parametrize("count", [1, 299, 300, 301, 5000])
def test_thinned(count):
    rows = [{"epoch": e} for e in range(1, count + 1)]
    found = charts.thinned(rows)
    assert len(found) <= 300
    assert (found[0], found[-1]) == (rows[0], rows[-1])
    epochs = [r["epoch"] for r in found]
    assert epochs == sorted(set(epochs))


def test_every_metric_has_its_title_and_its_axis(monkeypatch):
    rows = [measured(e, **{"nc/cdnv": 10.0**-e, "x": np.nan}) for e in (1, 2, 3)]
    found = charts.every_metric(History(rows))
    assert found["epochs"] == [1, 2, 3]
    title, log, values = found["metrics"]["nc/cdnv"]
    assert (title, log, values) == ("CDNV", True, [0.1, 0.01, 0.001])
    assert "nc/gram" not in found["metrics"]  # a table
    assert "x" not in found["metrics"]  # never finite
    assert found["left_out"] == 0
    monkeypatch.setattr(charts, "_VALUES", 90)  # three epochs of thirty metrics
    many = {f"layers/{i}/nc/nc1": 1.0 for i in range(50)}
    found = charts.every_metric(History([measured(e, **many) for e in (1, 2, 3)]))
    assert len(found["metrics"]) == 30
    assert found["left_out"] > 0
    assert "nc/nc1" in found["metrics"]  # single layers are left out first


def test_layers():
    keys = ("nc/nc1", "train/ncc_accuracy")
    layers = {f"layers/{n}/{key}": 0.5 for n in ("01_a", "02_b") for key in keys}
    rows = [measured(e, **layers) for e in (1, 2, 3)]
    found = {m.key.split("/")[-1]: c for m, c in charts.layer_panels(History(rows))}
    assert [trace["name"] for trace in found["nc1"]["data"]] == [
        "epoch 1", "epoch 2", "epoch 3",
    ]  # fmt: skip
    assert found["nc1"]["data"][0]["x"] == ["a", "b"]
    assert charts.layer_panels(History([measured(1)])) == []


def test_labels_are_plain_text():
    assert charts.label("<b>x</b>") == "&lt;b&gt;x&lt;/b&gt;"
    assert charts.label("x" * 99, 9) == "x" * 8 + "…"


def test_aurocs_beside_nc1():
    keys = {f"probe/ood/noise/{score}_auroc": 0.9 for score in ("knn", "vim")}
    history = History([row(e, 0.2, 1.0 / e, **keys) for e in (1, 2)])
    ((name, chart),) = charts.outlier_charts(history)
    assert name == "noise"
    assert names(chart) == ["KNN", "ViM", "NC1"]
    assert chart["data"][-1]["yaxis"] == "y3"
    assert chart["data"][-1]["y"] == [1.0, 0.5]
    assert charts.outlier_charts(History([row(1, 0.2, 1.0)])) == []
