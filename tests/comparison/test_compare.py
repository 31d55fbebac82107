"""The comparison: paired tests, baselines, warnings, data, bad options."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from ncjax.comparison import CompareError, compare
from ncjax.statistics import holm
from tests.comparison.folders import SOFT, row, write


def test_paired_tests_of_a_comparison(runs):
    comparison = compare(runs)
    by_key = {t.metric.key: t for t in comparison.results}
    error = by_key["test/error"]
    assert (error.first, error.second) == ("cross_entropy", "soft_labels beta=4")
    assert error.seeds == (0, 1, 2)  # not the fourth of cross-entropy
    wanted = stats.ttest_rel([0.10, 0.12, 0.14], [0.11, 0.15, 0.16]).pvalue
    np.testing.assert_allclose(error.result.p, wanted)
    log = stats.ttest_rel(np.log([1e-3, 2e-3, 4e-3]), np.log([1e-2, 3e-2, 2e-2]))
    np.testing.assert_allclose(by_key["nc/nc1"].result.p, log.pvalue)
    p = np.array([t.result.p for t in comparison.results])
    np.testing.assert_allclose([t.corrected for t in comparison.results], holm(p))
    text = comparison.tests()
    assert "for the 5 tests made" in text
    assert "identical values" in text  # NC2
    assert "percentage points" in text


def test_against_a_baseline(runs):
    write(runs / "mse0", [row(30)], loss={"name": "mse"})
    write(runs / "mse1", [row(30)], seed=1, loss={"name": "mse"})
    assert len(compare(runs, metrics=["nc/nc2"]).results) == 3
    found = compare(runs, metrics=["nc/nc2"], baseline="soft")  # its beginning
    assert found.baseline == "soft_labels beta=4"
    pairs = [(t.first, t.second) for t in found.results]
    assert pairs == [("cross_entropy", found.baseline), ("mse", found.baseline)]
    with pytest.raises(CompareError, match=r"Unknown baseline 'x'\. Available: 'cross"):
        compare(runs, baseline="x")
    with pytest.raises(CompareError, match="Ambiguous baseline ''"):
        compare(runs, baseline="")


def test_single_seeds_have_no_tests(tmp_path):
    write(tmp_path / "a", [row(5)])
    write(tmp_path / "b", [row(5)], loss=SOFT)
    comparison = compare(tmp_path)
    assert "One seed in each group" in comparison.table()
    assert "±" not in comparison.table()
    assert comparison.tests() == "No tests: no two groups have 2 seeds in common."
    assert all(math.isnan(t.corrected) for t in comparison.results)
    write(tmp_path / "c", [row(5)], seed=1)
    one = compare([tmp_path / "a", tmp_path / "c"])
    assert one.tests() == "No tests: there is one group only."
    assert one.groups[0].name == "cross_entropy"


def test_wilcoxon_says_what_it_cannot_do(runs):
    text = compare(runs, test="wilcoxon").tests()
    assert "With 3 seeds the signed-rank test cannot give a p below 0.25" in text


def test_warnings(tmp_path):
    write(tmp_path / "a", [row(5), row(20)])
    write(tmp_path / "b", [row(5), row(10)], seed=1, num_epochs=20)
    unfinished, apart, ends = compare(tmp_path).warnings
    assert "b is unfinished: measured up to epoch 10 of 20." in unfinished
    assert "show the 1 that they share" in apart
    assert "end at different epochs" in ends
    assert "cross_entropy: 10, 20" in ends
    assert "**Warning:** The runs end" in str(compare(tmp_path))


def test_json_has_everything_and_no_nan(runs):
    write(runs / "mse0", [row(30, test__mistake_severity=None)], loss={"name": "mse"})
    found = json.loads(json.dumps(compare(runs).to_dict(), allow_nan=False))
    assert found["level"] == 0.95
    assert found["metrics"]["nc/nc1"]["scale"] == "log"
    names = [group["name"] for group in found["groups"]]
    assert names == ["cross_entropy", "mse", "soft_labels beta=4"]
    error = found["groups"][0]["metrics"]["test/error"]
    assert error["values"] == {"0": 0.1, "1": 0.12, "2": 0.14, "3": 0.2}
    np.testing.assert_allclose(error["centre"], 0.14)
    severity = found["groups"][1]["metrics"]["test/mistake_severity"]
    assert (severity["count"], severity["centre"]) == (0, None)
    test = next(t for t in found["tests"] if t["metric"] == "nc/nc1")
    assert test["note"] == "no test: 1 common seed"
    assert test["p"] is None
    assert test["ratio"] == 1


def test_bad_options(runs):
    with pytest.raises(
        CompareError,
        match=r"Unknown metric 'nc1'\. Available: .*\. Did you mean 'nc/nc1'\?",
    ):
        compare(runs, metrics=["nc1"])
    with pytest.raises(CompareError, match="No metrics were chosen"):
        compare(runs, metrics=[])
    with pytest.raises(CompareError, match="between 0 and 1, got 95"):
        compare(runs, level=95.0)
    with pytest.raises(
        CompareError, match=r"Unknown test 'u'\. Available: t, wilcoxon"
    ):
        compare(runs, test="u")


def test_a_comparison_in_a_notebook(runs):
    comparison = compare(runs, metrics=["nc/nc1", "test/error"])
    named = "'cross_entropy', 'soft_labels beta=4'"
    assert repr(comparison) == f"<Comparison of 7 runs, 2 metrics: {named}>"
    html = comparison._repr_html_()
    assert "<h3>Comparison</h3>" in html
    assert html.count("<table>") == comparison.report().count("\n|---")
    error = comparison.to_rows()[1]
    assert (error["group"], error["metric"]) == ("cross_entropy", "test/error")
    assert error["count"] == 4
    np.testing.assert_allclose(error["centre"], 0.14)
    assert error["low"] < 0.14 < error["high"]
    assert len(comparison.to_rows()) == 4
