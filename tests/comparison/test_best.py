"""The best group of a metric and its ties, and the tables of LaTeX that show them."""

import csv
import io
import math

import numpy as np
import pytest

from ncjax.comparison import compare
from ncjax.comparison.best import best
from ncjax.comparison.latex import escape
from ncjax.runs.metrics import describe
from tests.comparison.folders import SOFT, row, write

ERROR = describe("test/error")


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Three groups of 4 seeds: the second ties with the first, the third is worse."""
    folder = tmp_path_factory.mktemp("runs")
    errors = {
        "a": [0.100, 0.120, 0.110, 0.130],
        "b": [0.104, 0.117, 0.115, 0.128],
        "c": [0.151, 0.169, 0.162, 0.178],
    }
    for place, (name, values) in enumerate(errors.items()):
        for seed, error in enumerate(values):
            end = row(9, test__error=error, nc__nc1=error * 10.0 ** -(6 * place))
            loss = {"loss": SOFT | {"beta": float(place + 1)}} if place else {}
            write(folder / f"{name}{seed}", [row(1), end], seed, **loss)
    return compare(folder, metrics=["test/error", "nc/nc1", "nc/nc2"])


def test_the_best_and_what_a_test_does_not_tell_from_it(compared):
    groups = compared.groups
    assert best(groups, ERROR, 0.95, "t") == {0, 1}
    assert best(groups, describe("nc/nc1"), 0.95, "t") == {2}
    assert best(groups, describe("nc/nc2"), 0.95, "t") == {0, 1, 2}  # identical
    # The signed-rank test cannot tell anything from 4 seeds.
    assert best(groups, ERROR, 0.95, "wilcoxon") == {0, 1, 2}


def test_without_a_test_there_are_no_ties(tmp_path):
    write(tmp_path / "a", [row(5, test__error=0.1, train__accuracy=0.8)])
    write(tmp_path / "b", [row(5, test__error=0.1001, train__accuracy=0.9)], loss=SOFT)
    groups = compare(tmp_path).groups
    assert best(groups, ERROR, 0.95, "t") == {0}
    assert best(groups, describe("nc/ncc_accuracy"), 0.95, "t") == set()  # no values
    assert best(groups, describe("nc/new"), 0.95, "t") == set()  # neither is better


def test_latex(compared):
    text = compared.latex()
    assert text.startswith("% \\usepackage{booktabs}")
    for line in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert text.count(line) == 2  # tables: mistakes, collapse
    assert text.count("{") == text.count("}")
    mistakes, collapse = text.split(r"\end{table}")[:2]
    first, tied, worse = (
        line for line in mistakes.splitlines() if line.endswith(r"\\") and "pm" in line
    )
    assert first.strip() == r"cross\_entropy & {\boldmath$11.5 \pm 2.1$} \\"
    assert r"{\boldmath$11.6 \pm 1.6$}" in tied
    assert r"& $16.5 \pm 1.8$ \\" in worse
    assert r"test error, \% $\downarrow$" in mistakes
    assert r"paired t-test by seed, corrected by Holm's method" in mistakes
    assert r"(p $\ge$ 0.05)" in mistakes
    assert r"$1.16 \times 10^{-7} \times\!/\!\div" in collapse


def test_every_character_is_escaped():
    assert escape(r"a_b & 5% of {x} ~^\ ↓") == (
        r"a\_b \& 5\% of \{x\} \textasciitilde{}\textasciicircum{}"
        r"\textbackslash{} $\downarrow$"
    )


def test_single_seeds_have_no_interval_in_latex(tmp_path):
    write(tmp_path / "a", [row(5)])
    null = [row(5, test__mistake_severity=None)]
    write(tmp_path / "b", null, loss=SOFT)
    text = compare(tmp_path, metrics=["test/mistake_severity"]).latex()
    assert "& undefined" in text
    assert r"{\boldmath$1.5$}" in text
    assert "Bold: the best; one seed each, so no test." in text


def test_csv(compared):
    rows = list(csv.DictReader(io.StringIO(compared.to_csv())))
    assert len(rows) == 9
    np.testing.assert_allclose(float(rows[0]["centre"]), 0.115)
    assert rows[0]["group"] == "cross_entropy"
    tests = list(csv.DictReader(io.StringIO(compared.tests_csv())))
    assert len(tests) == len(compared.results)
    assert tests[0]["seeds"] == "0 1 2 3"
    assert 0 <= float(tests[0]["p_corrected"]) <= 1
    assert math.isclose(float(tests[0]["difference"]), -0.001, rel_tol=1e-6)
