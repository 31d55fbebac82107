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
        ([], "following arguments are required: RUN"),
    ],
)
def test_bad_input(tmp_path, capsys, flags, said):
    assert main([flag.format(tmp_path) for flag in flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_help(capsys):
    assert main(["--help"]) == 0
    assert "--out=FILE" in capsys.readouterr().out
