"""The page of `ncjax compare`, with and without the runs behind it."""

import json
import shutil

import pytest

from ncjax.report.comparison import write_comparison
from tests.report.made import data_of, write_run


def folder_of(path, names=("mse", "<b>")):
    groups = []
    for place, name in enumerate(names):
        runs = [path / f"runs/{place}-{seed}" for seed in range(2)]
        for run in runs:
            write_run(run)
        values = {"centre": 0.1 + place, "low": 0.05, "high": 2.0, "values": {"0": 0.1}}
        metrics = {"test/error": values, "nc/nc1": values}
        metrics["test/mistake_severity"] = values | {"centre": 2.0 - place}
        runs = [{"path": str(run), "seed": 0} for run in runs]
        groups.append({"name": name, "runs": runs, "metrics": metrics})
    test = {"metric": "nc/nc1", "first": "mse", "second": "<b>", "ratio": 2.0}
    content = {
        "level": 0.95,
        "metrics": {key: {} for key in groups[0]["metrics"]},
        "groups": groups,
        "tests": [test | {"p_corrected": 0.01}, test | {"p_corrected": None}],
        "warnings": ["beware <i>"],
    }
    folder = path / "comparison"
    folder.mkdir()
    (folder / "comparison.json").write_text(json.dumps(content))
    return folder


def text_of(folder):
    return write_comparison(folder, folder / "report.html").render()


def test_groups_tests_curves_and_pareto(tmp_path):
    text = text_of(folder_of(tmp_path))
    assert "comparison of 2 groups, 4 runs" in text
    assert "least test error: mse (10 %)" in text
    assert "1 of 2 paired tests at 95 %" in text
    assert "beware &lt;i&gt;" in text
    assert "10 [5, 200]" in text  # percent
    charts = data_of(text)["charts"]
    front, *points = charts["pareto"]["data"]
    assert front["x"] == pytest.approx([10, 110])  # neither beats the other in both
    assert [p["name"] for p in points] == ["mse", "&lt;b&gt;"]
    assert [t["name"] for t in charts["mean-2"]["data"]] == ["mse", "&lt;b&gt;"]


def test_runs_that_are_gone(tmp_path):
    folder = folder_of(tmp_path)
    shutil.rmtree(tmp_path / "runs")
    text = text_of(folder)
    assert "4 of the runs are no longer where they were" in text
    assert '<section id="curves">' not in text
    assert '<section id="metrics">' in text


def test_damage(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "comparison.json").write_text('{"groups": 5, "metrics": []}')
    assert "comparison of 0 groups" in text_of(folder)
    (folder / "comparison.json").write_text("{")
    assert "comparison.json is damaged" in text_of(folder)
