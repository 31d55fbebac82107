"""The table, its sentences and ideals, and the JSON of a measurement."""

import json
import math

import numpy as np
import pytest

from ncjax.collapse import METRICS
from ncjax.measurement import measure
from tests.measurement.features import D, K, N, simplex


def test_every_number_has_a_sentence(plain):
    text = str(plain)
    for name in plain.values:
        line = next(x for x in text.splitlines() if x.split()[:1] == [name])
        copied = {"nc2": "nc2_means", "nc3": "nc3_etf"}.get(name, name)
        assert METRICS[copied].sentence in line
    assert all(metric.sentence for metric in METRICS.values())
    assert "600 float32 features of width 12, 5 classes of" in text
    assert "precision floor" in text
    assert max(map(len, text.splitlines())) <= 110


def test_ideals_are_those_of_a_simplex():
    x, y, frame = simplex()
    result = measure(x, y, classifier=frame, bias=np.zeros(K, np.float32))
    for name, value in result.values.items():
        ideal = METRICS[name].limit(K, D)
        if ideal is not None:
            assert value == pytest.approx(ideal, abs=1e-5), name


def test_to_dict_is_strict_json(plain):
    x, y, frame = simplex()
    result = measure(x, y, classifier=frame, bias=np.zeros(K, np.float32))
    assert math.isinf(result["snr"])
    data = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert data["snr"] is None
    assert data["nc1"] == 0
    assert data["measured"]["class_sizes"] == [N // K, N // K]
    assert data["measured"]["convention"]["divide_by_classes"] is True
    assert data["measured"]["warnings"] == list(result.warnings)
    assert plain.to_dict()["nc1"] == plain["nc1"]
    with pytest.raises(KeyError, match=r"Unknown or not measured metric 'nc7'"):
        plain["nc7"]


def test_a_measurement_in_a_notebook(plain):
    assert repr(plain).startswith("<Measurement of features: NC1 ")
    assert "\n" not in repr(plain)
    html = plain._repr_html_()
    assert html.count("<tr>") == 1 + len(plain.values)
    assert METRICS["nc1"].sentence in html
    rows = plain.to_rows()
    assert {row["metric"]: row["value"] for row in rows} == plain.values
    assert rows[0] == {
        "metric": "nc1",
        "value": plain["nc1"],
        "ideal": 0,
        "meaning": METRICS["nc1"].sentence,
    }
    with pytest.raises(KeyError, match="Did you mean 'nc1'"):
        plain["NC1x"]
