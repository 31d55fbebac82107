"""The page of an experiment of `ncjax ufm`, whole and damaged."""

import json

from ncjax.report.ufm import write_ufm
from tests.report.made import data_of


def folder_of(path, holds=True):
    path.mkdir()
    rows = [{"time": 2.0**t, "gap": 10.0**-t, "values": [1.0, t]} for t in range(9)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (path / "metrics.jsonl").write_text(lines)
    (path / "config.json").write_text('{"model": {"c": 0.5}, "about": {"jax": "1"}}')
    said = {"text": "a <gap>", "found": 1.0, "expected": 2.0, "tolerance": 0.5}
    said |= {"relation": "<=", "holds": holds}
    verdict = {"title": "K < 4", "facts": {"rank": "<3>"}, "statements": [said]}
    (path / "verdict.json").write_text(json.dumps(verdict))
    return path


def text_of(folder):
    return write_ufm(folder, folder / "report.html").render()


def test_statements_facts_and_curves(tmp_path):
    text = text_of(folder_of(tmp_path / "ufm"))
    assert "<b>PASS</b>: 1 of 1 statements hold." in text
    for part in ("K &lt; 4", "&lt;3&gt;", "a &lt;gap&gt;", "at most 2", "model.c"):
        assert part in text
    charts = data_of(text)["charts"]
    assert len(charts) == 2
    assert charts["column-0"]["layout"]["yaxis"]["type"] == "log"
    assert [len(t["y"]) for t in charts["column-1"]["data"]] == [9, 9]
    assert "<b>FAIL</b>: 0 of 1" in text_of(folder_of(tmp_path / "other", holds=False))


def test_damage(tmp_path):
    folder = folder_of(tmp_path / "ufm")
    (folder / "verdict.json").write_text("{")
    with (folder / "metrics.jsonl").open("a") as file:
        file.write("torn\n")
    text = text_of(folder)
    assert "verdict.json is damaged" in text
    assert "metrics.jsonl is damaged in line 10" in text
    assert "no verdict" in text
    (folder / "metrics.jsonl").unlink()
    assert "metrics.jsonl is missing" in text_of(folder)
