"""Movies and stills as files: they decode, have the right size, and stand still."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from ncjax.movie import MovieError, draw_still, encode, make_movie
from ncjax.movie.film import TIME, make_film
from ncjax.movie.stage import Stage, color, marker
from tests.movie.frames import shrinking


@pytest.fixture(scope="module")
def film():
    return make_film(shrinking(3), "toy")


def images_of(content):
    image = Image.open(io.BytesIO(content))
    found = []
    for place in range(image.n_frames):
        image.seek(place)
        found.append((np.asarray(image.convert("RGB")), image.info["duration"]))
    return found


def test_a_gif_of_three_images(film, tmp_path):
    path, why = make_movie([film], tmp_path / "toy.gif", images=3, fps=10)
    assert (path, why) == (tmp_path / "toy.gif", "")
    found = images_of(path.read_bytes())
    assert [duration for _, duration in found] == [100, 100, 2000]
    stage = Stage([film])
    for (seen, _), moment in zip(found, film.moments, strict=True):
        stage.show(moment)
        drawn = stage.image()
        assert seen.shape == drawn.shape == (660, 528, 3)
        # But for a palette of 256 colours it is what was drawn.
        assert np.abs(seen.astype(int) - drawn).mean() < 1
    assert (found[0][0] != found[2][0]).any(-1).mean() > 0.005


def test_what_does_not_move_is_the_same_in_all_images(film):
    stage = Stage([film])
    first, last = (_shown(stage, moment) for moment in (1, 4))
    assert (first[:, :20] == last[:, :20]).all()
    assert (first != last).any()


def _shown(stage, moment):
    stage.show(moment)
    return stage.image()


def test_films_stand_side_by_side_at_the_same_moment(film):
    both = Stage([film, make_film(shrinking(4), "other")])
    image = _shown(both, 2)
    assert image.shape == (660, 1056, 3)
    shown = [text.get_text() for axis in both.figure.axes for text in axis.texts]
    assert shown.count("epoch 2") == 2


def test_of_a_flow_the_time_is_shown():
    stage = Stage([make_film(shrinking(3), unit=TIME)])
    stage.show(4.0)
    shown = [text.get_text() for axis in stage.figure.axes for text in axis.texts]
    assert "t = 4" in shown


def test_more_than_ten_classes_have_other_markers():
    assert color(0) == color(10)
    assert marker(0) != marker(10)
    assert len({(color(k), marker(k)) for k in range(20)}) == 20


def test_without_ffmpeg_an_mp4_becomes_a_gif(film, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    path, why = make_movie([film], tmp_path / "toy.mp4", images=2)
    assert path == tmp_path / "toy.gif"
    assert "ffmpeg, which makes .mp4, is not installed" in why
    assert sorted(x.name for x in tmp_path.iterdir()) == ["toy.gif"]


def ffmpeg(folder, monkeypatch, script):
    """A program of that name, which writes to its last argument."""
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\nfor out; do :; done\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_ffmpeg_gets_every_image_and_holds_the_last(film, tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch, 'wc -c > "$out"; echo "$@" >> "$out"')
    path, why = make_movie([film], tmp_path / "toy.mp4", images=3, fps=2)
    assert why == ""
    count, command = path.read_text().splitlines()
    assert int(count) == (3 + 4) * 660 * 528 * 3
    assert "-s 528x660 -r 2 -i - -c:v libx264" in command


def test_what_ffmpeg_says_is_told(film, tmp_path, monkeypatch):
    ffmpeg(tmp_path, monkeypatch, "cat > /dev/null; echo no libx264 here >&2; exit 1")
    with pytest.raises(MovieError, match=r"no libx264 here\. Give --out a name that"):
        make_movie([film], tmp_path / "toy.mp4", images=2)
    assert not (tmp_path / "toy.mp4").exists()


@pytest.mark.slow
def test_a_gif_that_is_too_large_has_fewer_images(film, monkeypatch):
    stage = Stage([film])
    images = [_shown(stage, moment) for moment in np.geomspace(1, 4, 41)]
    whole = encode.gif(images, 20)
    monkeypatch.setattr(encode, "_MOST", 0.8 * len(whole))
    small, why = encode.small_gif(images, 20)
    assert len(small) < 0.8 * len(whole)
    found = images_of(small)
    assert len(found) == 21
    assert [duration for _, duration in found[:2]] == [100, 100]
    assert "every second image" in why


def test_a_still_is_a_figure_of_one_moment(film, tmp_path):
    figure = draw_still([film], 2.0)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert "epoch 2" in texts
    last = draw_still([film])
    assert "epoch 4" in [text.get_text() for axis in last.axes for text in axis.texts]


def test_bad_movies(film, tmp_path):
    with pytest.raises(MovieError, match=r"no frame of epoch 3\. It has those of 1, 2"):
        draw_still([film], 3)
    flow = make_film(shrinking(3), "flow", unit=TIME)
    draw_still([flow], 3)  # between two recorded times
    with pytest.raises(MovieError, match=r"It goes from t = 0 to 4\."):
        draw_still([flow], 9)
    with pytest.raises(MovieError, match="no common axis"):
        make_movie([film, flow], tmp_path / "toy.gif")
    with pytest.raises(MovieError, match="one to 3 runs side by side, got 4"):
        make_movie([film] * 4, tmp_path / "toy.gif")
    with pytest.raises(MovieError, match=r"ending '\.avi'. Available: \.gif, \.mp4"):
        make_movie([film], tmp_path / "toy.avi")
    for images, fps in ((1, 10), (9, 0), (9, 99)):
        with pytest.raises(MovieError, match="at least 2 images and up to 50 a second"):
            make_movie([film], tmp_path / "toy.gif", images=images, fps=fps)
    assert list(tmp_path.iterdir()) == []
