"""The command line: files, what is printed, errors."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncjax.cli.compare import main
from tests.comparison.folders import SOFT, row, write

ROOT = Path(__file__).parents[2]


def test_command_line_writes_tables_and_figures(runs, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main([str(runs), f"--out={out}", "--metrics=nc/nc1,test/error"]) == 0
    printed = capsys.readouterr().out
    files = sorted(path.name for path in out.iterdir())
    tables = [f"comparison.{ending}" for ending in ("csv", "json", "md", "png", "tex")]
    assert files == [*tables, "pareto.png", "report.html", "tests.csv"]
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert "## Paired tests" in text
    for line in text.splitlines()[2:]:
        assert line in printed
    found = json.loads((out / "comparison.json").read_text())
    assert list(found["metrics"]) == ["nc/nc1", "test/error"]
    assert found["about"]["devices"] is None  # none of them computed
    assert (out / "comparison.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_many_tests_are_not_all_printed(tmp_path, capsys):
    for i in range(8):
        for seed in range(3):
            loss = SOFT | {"beta": float(i)}
            noise = 0.1 + 0.001 * seed * (-1) ** i + 1e-4 * i * seed**2
            end = row(3, test__error=noise, nc__nc2=i + 0.001 * noise)
            write(tmp_path / "runs" / f"r{i}s{seed}", [end], seed, loss=loss)
    out = tmp_path / "out"
    arguments = [str(tmp_path / "runs"), f"--out={out}", "--metrics=test/error,nc/nc2"]
    arguments += ["--format=svg", "--columns=2"]
    assert main(arguments) == 0
    assert "of 56 comparisons are not shown" in capsys.readouterr().out
    text = (out / "comparison.md").read_text(encoding="utf-8")
    assert text.count("| test error, %") == 1 + 28
    assert (out / "groups.svg").read_text().count("<svg") == 1  # of more than 4 groups
    assert not list(out.glob("*.png"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "There is no folder nowhere"),
        (["runs", "--metrics=x"], "Unknown metric 'x'. Available: "),
        (["runs", "--columns=3"], "Unknown --columns '3'. Available: 1, 2"),
        (["runs", "--level=2"], "between 0 and 1, got 2.0"),
        (["runs", "--out=runs/ce0/config.json"], "cannot be written: File exists."),
        (["runs", "--baseline=x"], "Unknown baseline 'x'"),
    ],
)
def test_errors_are_one_paragraph(runs, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(runs.parent)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert [path.name for path in runs.parent.iterdir()] == ["runs"]


def test_a_warning_is_one_paragraph(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs.parent)
    write(runs / "late", [row(50)], loss={"name": "mse"})
    assert main(["runs"]) == 0
    captured = capsys.readouterr()
    assert "Written to comparison" in captured.out
    assert captured.err.startswith("warning: The runs end at different epochs")
    assert captured.err.count("\n") == 1


@pytest.mark.slow
def test_as_a_program(runs):
    bad = subprocess.run(
        [sys.executable, "-m", "ncjax", "compare", "runs", "--baseline=x"],
        cwd=runs.parent,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.count("\n") == 1
    assert "Traceback" not in bad.stderr
    assert bad.stderr.startswith("error: Unknown baseline 'x'")
