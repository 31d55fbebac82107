"""The command `ncjax movie`."""

import numpy as np
import pytest
from PIL import Image

from ncjax.cli.program import main
from tests.movie.test_sources import write_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("movie") / "run")


def test_a_movie_lies_in_the_folder_of_its_run(run, capsys):
    assert main(["movie", str(run), "--images=3"]) == 0
    path = run / "collapse.gif"
    assert capsys.readouterr().out == f"Written to {path} (0.0 MB)\n"
    with Image.open(path) as image:
        assert (image.n_frames, image.size) == (3, (528, 660))


def test_two_runs_side_by_side(run, tmp_path, capsys):
    out = tmp_path / "both.gif"
    flags = ["--images=2", "--fps=5", "--classes=a,b", f"--out={out}"]
    assert main(["movie", str(run), str(run), *flags]) == 0
    with Image.open(out) as image:
        assert image.size == (1056, 660)
    assert main(["movie", str(run), str(run)]) == 2
    assert "--out=FILE.gif says where" in capsys.readouterr().err


def test_a_figure_of_an_epoch(run, tmp_path):
    out = tmp_path / "epoch.png"
    assert main(["movie", str(run), f"--out={out}", "--epoch=2"]) == 0
    with Image.open(out) as image:
        assert np.asarray(image).std() > 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--out=x.avi"], "ending '.avi'. Available: .gif, .mp4, .png, .pdf, .svg"),
        (["--out=none/x.gif"], "there must be a folder"),
        (["--epoch=2"], "--epoch=2 is for a figure of one moment"),
        (["--out=x.png", "--epoch=3"], "no frame of epoch 3. It has those of 1, 2, 4"),
        (["--out=x.gif", "--classes=a,z"], "Unknown class 'z'. Available: a, b, c"),
        (["--out=x.gif", "--view=side"], "Unknown view 'side'"),
        (["--out=x.gif", "--images=1"], "at least 2 images"),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, capsys, flags, message):
    monkeypatch.chdir(tmp_path)
    assert main(["movie", str(run), *flags]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    assert list(tmp_path.iterdir()) == []
