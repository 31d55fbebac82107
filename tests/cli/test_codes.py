"""`ncjax codes`: the file, the table, the progress, and what is refused."""

import re

import numpy as np
import pytest

from ncjax.cli.codes import main


def test_a_code_is_searched_and_written(tmp_path, capsys):
    out = tmp_path / "code.npy"
    flags = ["--classes=7", "--dim=3", "--starts=4", "--steps=150"]
    assert main([*flags, f"--out={out}"]) == 0
    vectors = np.load(out)
    assert vectors.shape == (7, 3)
    assert vectors.dtype == np.float64
    said = capsys.readouterr()
    for words in ("margin", "least angle", "77.86954 deg", "rattlers: ", "proved"):
        assert words in said.out
    assert said.out.endswith(f"Written to {out}: float64 [7, 3]\n")
    assert "| 4/4 [" in said.err
    assert re.search(r"start/s, best 0\.7\d+", said.err)
    assert [path.name for path in tmp_path.iterdir()] == ["code.npy"]


def test_a_closed_form_needs_no_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["--classes", "5", "--dim", "2", "--objective", "angle"]) == 0
    said = capsys.readouterr()
    assert "72.00000 deg" in said.out
    assert "start" not in said.err
    assert np.load("code.npy").shape == (5, 2)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "Give the number of vectors, --classes=K, and of dimensions, --dim=D."),
        (["--classes=7"], "--dim=D"),
        (["--classes=3", "--dim=1"], "In 1 dimension there are 2 directions"),
        (["--classes=7", "--dim=3", "--objective=margn"], "Did you mean 'margin'?"),
        (["--classes=7", "--dim=3", "--starts=0"], "starts must be at least 1, got 0"),
        (["--classes=7", "--dim=3", "--out=x.txt"], "has the ending '.txt'"),
        (["--classes=7", "--dim=3", "--out=none/x.npy"], "cannot be written"),
        (["--classes=many", "--dim=3"], "--classes: invalid int value: 'many'"),
    ],
)
def test_what_is_refused(flags, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(flags) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.startswith("error: ") or "\nerror: " in said.err
    assert not list(tmp_path.iterdir())
