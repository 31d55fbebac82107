"""The page of a sweep, from sweep.json, sweep.csv and its members."""

import csv
import json

import pytest

from ncjax.report.sweep import write_sweep
from tests.report.made import data_of, measured, write_run

FIELDS = {"lr": [0.1, 1.0, 10.0], "loss.name": ["mse", "<b>"], "seed": [0, 1]}


def folder_of(path, fields, stopped=()):
    path.mkdir()
    rows = []
    for lr in fields["lr"]:
        for loss in fields.get("loss.name", ["mse"]):
            for seed in fields["seed"]:
                name = f"lr={lr},{loss},{seed}"
                row = {"name": name, "lr": lr, "loss.name": loss, "seed": seed}
                row |= {"stopped": 3 if lr in stopped else "", "train/error": 0.0}
                row |= {"nc/nc1": "" if lr in stopped else 1e-3 / lr, "nc/nc2": 0.5}
                rows.append(row)
                if lr not in stopped:
                    write_run(path / "members" / name.replace("<b>", "b"))
    made = {"command": "ncjax <train>"}
    programs = [{"runs": [row["name"] for row in rows], "traced": []}]
    mark = {"fields": fields, "programs": programs, "about": made}
    (path / "sweep.json").write_text(json.dumps(mark))
    with (path / "sweep.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def text_of(folder):
    return write_sweep(folder, folder / "report.html").render()


def test_two_fields(tmp_path):
    text = text_of(folder_of(tmp_path / "sweep", FIELDS, stopped=(10.0,)))
    assert "12 runs, 4 of which stopped" in text
    assert (
        "4 of 8 runs collapsed" in text
    )  # those with a name that is no folder are out
    assert "4 diverged" in text
    assert "The least NC1 is 0.001" in text
    chart = data_of(text)["charts"]["field-1"]["data"][0]
    assert chart["type"] == "heatmap"
    assert chart["x"] == ["0.1", "1", "10"]
    assert chart["y"] == ["mse", "&lt;b&gt;"]
    assert "<b>,0" not in text
    assert 'href="members/lr%3D0.1%2Cmse%2C0"' in text


def test_one_field_over_seeds(tmp_path):
    fields = {"lr": [0.1, 1.0, 10.0], "seed": [0, 1]}
    text = text_of(folder_of(tmp_path / "sweep", fields))
    runs, means = data_of(text)["charts"]["field-1"]["data"]
    assert len(runs["x"]) == 6
    assert means["x"] == [0.1, 1, 10]
    assert means["y"] == pytest.approx([1e-2, 1e-3, 1e-4])
    assert "6 of 6 runs collapsed" in text


def test_a_sweep_that_has_only_begun(tmp_path):
    folder = folder_of(tmp_path / "sweep", FIELDS)
    (folder / "sweep.csv").unlink()
    text = text_of(folder)
    assert "no verdict" in text
    assert "sweep.csv is missing: no run has ended yet." in text
    assert "0 of 12 runs" in text
    (folder / "sweep.json").write_text("[]")
    assert "it holds no object" in text_of(folder)


def test_measured_rows_of_members_are_drawn(tmp_path):
    fields = {"lr": [0.1, 1.0], "seed": [0]}
    charts = data_of(text_of(folder_of(tmp_path / "sweep", fields)))["charts"]
    assert len(charts["runs-0"]["data"]) == 2
    assert charts["runs-2"]["data"][0]["y"][0] == measured(1)["nc/nc1"]
