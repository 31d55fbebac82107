"""`ncjax report`."""

import pytest

from ncjax.cli.report import main
from tests.report.made import write_run


def test_it_writes_the_page_and_says_where(tmp_path, capsys):
    folder, out = write_run(tmp_path / "run"), tmp_path / "a.html"
    assert main([str(folder)]) == 0
    assert capsys.readouterr().out == f"Written to {folder / 'report.html'}\n"
    assert main([str(folder), f"--out={out}"]) == 0
    assert out.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["{}/none"], "There is no folder"),
        (["{}"], "There is no run in"),
        (["{}", "--out={}/a.pdf"], "has the ending '.pdf'. Available: .html, .htm."),
        (["{}", "--out={}/none/a.html"], "cannot be written"),
        ([], "Give the folder of a run"),
        (["{}", "--explorer={}/a.html"], "which takes no run"),
        (["--explorer={}/a.txt"], "--explorer={}/a.txt has the ending '.txt'"),
        (["--explorer={}/a.html", "--out=b.html"], "--out is for the page of a run"),
        (["{}", "--columns=1"], "--columns is the width of figures"),
        (["{}", "--figures=gif"], "'gif'"),
        (["{}", "--figures=pdf"], "There is no run in"),
    ],
)
def test_bad_input(tmp_path, capsys, flags, said):
    assert main([flag.format(tmp_path) for flag in flags]) == 2
    error = capsys.readouterr().err
    assert said.format(tmp_path) in error
    assert error.count("\n") == 1


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "--out=FILE" in capsys.readouterr().out


def test_figures_for_a_paper(tmp_path, capsys):
    folder = write_run(tmp_path / "run")
    assert main([str(folder), "--figures=pdf", "--columns=1"]) == 0
    paths = [folder / f"{name}.pdf" for name in ("collapse", "confusion")]
    assert capsys.readouterr().out == f"Written to {paths[0]}, {paths[1]}\n"
    assert all(path.read_bytes().startswith(b"%PDF") for path in paths)
    assert main([str(write_run(tmp_path / "new", [])), "--figures=pdf"]) == 2
    assert "no measured epoch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("mark", "way"), [("comparison.json", "compare RUN"), ("verdict.json", "ufm")]
)
def test_figures_that_other_commands_draw(tmp_path, capsys, mark, way):
    (tmp_path / mark).write_text("{}")
    assert main([str(tmp_path), "--figures=svg"]) == 2
    assert f"are drawn by `ncjax {way}" in capsys.readouterr().err


def test_figures_of_a_sweep(tmp_path):
    (tmp_path / "sweep.json").write_text('{"fields": {"loss.name": ["a", "b"]}}')
    text = "name,loss.name,seed,stopped,nc/nc1\nx,a,0,,0.5\ny,b,0,,0.1\nz,b,1,3,\n"
    (tmp_path / "sweep.csv").write_text(text)
    assert main([str(tmp_path), "--figures=svg"]) == 0
    assert (tmp_path / "sweep.svg").read_text().startswith("<?xml")
