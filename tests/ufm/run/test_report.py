"""Statements that hold or fail."""

import math

import numpy as np
from matplotlib.figure import Figure

from ncjax.io import plain
from ncjax.ufm.run.report import Report, Statement, at_least, at_most, equal


def test_statements():
    assert equal("x", 1.0, 1.01, 0.1).holds
    assert str(equal("x", 1.0, 2.0, 0.1)).startswith("FAIL  x: 1, predicted 2")
    assert str(at_most("gap", 1e-3, 1e-2)) == "PASS  gap: 0.001, at most 0.01"
    assert not at_least("leak", math.nan, 0.1).holds
    assert not Statement("x", math.nan, math.nan, 1.0).holds
    assert plain({"a": [np.float64(1), math.nan]}) == {"a": [1.0, None]}


def test_a_report_in_a_notebook():
    rows = [{"c": 0.1, "rank": 3}]
    statements = [equal("x", 1.0, 1.01, 0.1), at_most("gap", 1e-3, 1e-2)]
    facts = [("theory", "a simplex & more")]
    report = Report("A model", facts, statements, rows, Figure())
    assert repr(report) == "<Report on A model; PASS: 2 of 2 statements hold>"
    assert str(report).splitlines()[-1] == "PASS: 2 of 2 statements hold"
    html = report._repr_html_()
    assert "a simplex &amp; more" in html
    assert "gap: 0.001, at most 0.01</td>" in html
    assert report.to_rows() == rows
    assert report.plot() is report.figure
