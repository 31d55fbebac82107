"""The tables of a comparison."""

import math

import numpy as np
from scipy import stats

from ncjax.comparison import compare
from ncjax.comparison.tables import cell, plus_minus
from ncjax.runs.metrics import describe
from ncjax.statistics import t_interval
from tests.comparison.folders import row, write


def test_final_table(runs):
    lines = compare(runs).table().splitlines()
    assert len({len(line) for line in lines[:4]}) == 1  # aligned
    head, _, ce, soft = ([c.strip() for c in x.split("|")[1:-1]] for x in lines[:4])
    assert head[:4] == ["Mistakes", "seeds", "epoch", "test error, % ↓"]
    assert ce[:5] == ["cross_entropy", "4", "30", "14.0 ± 6.9", "0 ± 0"]
    mean, half = 14.0, 100 * stats.t.ppf(0.975, 2) * np.std([0.11, 0.15, 0.16], ddof=1)
    assert soft[3] == f"{mean:.1f} ± {half / math.sqrt(3):.1f}"
    text = "\n".join(lines)
    found = t_interval(np.array([1e-2, 3e-2, 2e-2]), 0.95, log=True)
    assert f"{found.centre:.3g} ×/÷ {found.high / found.centre:.3g}" in text
    assert "NC1: geometric mean ×/÷ the factor of the 95 % t-interval" in text
    assert "AHD" not in text  # the runs do not have it


def test_undefined_values_are_counted(runs):
    null = [row(30, test__mistake_severity=None)]
    write(runs / "ce4", null, seed=4)
    write(runs / "mse0", null, loss={"name": "mse"})
    text = compare(runs, metrics=["test/mistake_severity"]).table()
    assert "1.5 ± 0 (4 of 5)" in text
    assert "| undefined " in text
    assert "(k of n): defined in k of n seeds" in text
    assert "One seed, so no interval: mse." in text


def test_cells():
    nc1, error = describe("nc/nc1"), describe("test/error")
    one = t_interval(np.array([0.0123]), 0.95)
    assert cell(error, one, 1) == "1.23"
    assert cell(error, t_interval(np.array([np.nan] * 2), 0.95), 2) == (
        "undefined (0 of 2)"
    )
    zero = t_interval(np.array([0.0, 1e-3]), 0.95, log=True)
    assert cell(nc1, zero, 2) == "0"
    assert plus_minus(0.046073, 0.001234) == "0.0461 ± 0.0012"
    assert plus_minus(123.4, 56.7) == "123 ± 57"
    assert plus_minus(3e-9, 1.23e-9) == "3e-09 ± 1.2e-09"
    assert plus_minus(0.11, 1e-17) == "0.11 ± 0"
    assert describe("nc/new").heading == "nc/new"
