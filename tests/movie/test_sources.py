"""Films from the folders of runs; folders that have none say why."""

import json

import numpy as np
import pytest

from ncjax.movie import MovieError, film_of
from ncjax.runs.frames import NAME, rows_of_frames
from ncjax.runs.journal import Journal
from tests.movie.frames import frame

CONFIG = {"data": {"name": "toy"}, "model": {"name": "mlp"}, "loss": {"name": "mse"}}


def write_run(folder, epochs=(1, 2, 4), count=3, config=CONFIG):
    """A folder like that of a run of which frames were kept."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    journal = Journal(folder, NAME)
    for epoch in epochs:
        one = frame(count, spread=0.5 / epoch, seed=epoch)
        row = {"epoch": epoch, "nc/nc1": one.nc1}
        names = ("means", "deviations", "weights", "weight_norm")
        found = {name: np.asarray(getattr(one, name)) for name in names}
        rows = rows_of_frames([row], found, (one.names, one.place))
        journal.append(rows)
    return folder


def test_the_film_of_a_run(tmp_path):
    film = film_of(write_run(tmp_path / "run"))
    assert film.title == "toy, mlp, mse"
    assert film.moments.tolist() == [1, 2, 4]
    assert film.names == ("a", "b", "c")
    np.testing.assert_allclose(film.pictures[-1].means, film.view.ideal, atol=2e-3)
    assert film_of(tmp_path / "run", classes=["c", "a"]).names == ("c", "a")


def test_a_run_that_was_cut_off_shows_what_it_has(tmp_path):
    folder = write_run(tmp_path / "run")
    text = (folder / NAME).read_text()
    (folder / NAME).write_text(text[:-200])
    assert film_of(folder).moments.tolist() == [1, 2]


def test_folders_without_a_film(tmp_path):
    with pytest.raises(MovieError, match=r"none is not the folder of a run: .*No such"):
        film_of(tmp_path / "none")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(MovieError, match=r"config.json is damaged, or not of ncjax"):
        film_of(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(MovieError, match=r"no frames.*--config\.eval\.movie=True"):
        film_of(tmp_path)
    (tmp_path / "seeds" / "7").mkdir(parents=True)
    (tmp_path / "seeds" / "8").mkdir()
    with pytest.raises(MovieError, match=r"2 networks.*Choose .*seeds/7 or another\."):
        film_of(tmp_path)
    (tmp_path / "members" / "lr=1").mkdir(parents=True)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(MovieError, match=r"1 networks.*Choose .*members/lr=1\."):
        film_of(tmp_path)


def test_a_model_without_a_flow_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"experiment": "minority"}))
    (tmp_path / "verdict.json").write_text("{}")
    with pytest.raises(
        MovieError, match=r"The flow of .* has no movie: the experiment"
    ):
        film_of(tmp_path)


def test_a_recorder_keeps_no_features(tmp_path):
    config = {"recorder": {"num_classes": 3}}
    folder = write_run(tmp_path / "run", epochs=(), config=config)
    with pytest.raises(MovieError, match="that of a Recorder, which keeps no features"):
        film_of(folder)
