"""Films: the frames themselves at their moments, between them interpolated."""

import dataclasses

import numpy as np
import pytest

from ncjax.movie.film import TIME, log_moments, make_film, moments_of
from ncjax.movie.view import MovieError, look
from tests.movie.frames import frame, shrinking


def test_at_its_moment_a_frame_is_shown_as_it_is():
    frames = shrinking(5)
    film = make_film(frames, "toy")
    for one in frames:
        picture, nc1 = film.at(one.at)
        want = look(one, film.view)
        np.testing.assert_allclose(picture.points, want.points, atol=1e-12)
        assert nc1 == pytest.approx(one.nc1)


def test_between_two_frames_is_the_middle_and_beyond_them_they_stand():
    film = make_film(shrinking(3, steps=2))
    picture, nc1 = film.at(np.sqrt(2.0))
    first, last = film.pictures
    np.testing.assert_allclose(picture.points, (first.points + last.points) / 2)
    assert nc1 == pytest.approx(np.sqrt(film.nc1.prod()))
    assert film.at(99.0)[0].points.tolist() == last.points.tolist()
    assert film.at(0.5)[1] == pytest.approx(film.nc1[0])


def test_moments_are_log_spaced_from_the_first_to_the_last_of_all():
    films = [make_film(shrinking(3)), make_film([frame(3, at=x) for x in (2, 100)])]
    moments = moments_of(films, 5)
    assert moments[[0, -1]].tolist() == [1, 100]
    assert len(moments_of(films, 40)) == 40
    assert moments_of([make_film([frame(3)])], 5).tolist() == [1]
    assert np.diff(log_moments(np.expm1([0.0, 1, 2]), TIME)) == pytest.approx(1)


def test_the_film_of_a_flow_ends_when_it_stands_still():
    frames = [*shrinking(3, steps=6), frame(3, at=1e5, spread=1e-4)]
    frames = [dataclasses.replace(one, at=one.at - 1) for one in frames]
    film = make_film(frames, unit=TIME)
    assert film.moments.tolist() == [0, 1, 3, 7, 15]
    assert len(make_film(frames[1:]).moments) == 6


def test_two_classes_stay_on_their_side():
    """The sign of the second direction is that of a decomposition, which may flip."""
    frames = [frame(2, at=x) for x in (1.0, 2.0)]
    flip = np.diag([1.0, -1.0])
    spread = np.random.default_rng(0).normal(size=frames[0].deviations.shape)
    means = np.array([[1.0, 0], [-1, 0]])
    parts = {"means": means, "weights": means, "deviations": spread}
    frames[0] = dataclasses.replace(frames[0], **parts)
    turned = {name: x @ flip for name, x in parts.items()}
    frames[1] = dataclasses.replace(frames[1], **turned)
    first, second = make_film(frames).pictures
    np.testing.assert_allclose(first.points, second.points, atol=1e-12)


def test_a_class_keeps_its_colour():
    assert make_film(shrinking(5), classes=["e", "b", "c"]).paints == (4, 1, 2)
    assert make_film(shrinking(12), classes=["l", "b"]).paints == (0, 1)


def test_frames_that_cannot_be_drawn_are_left_out():
    lost = dataclasses.replace(frame(3, at=2.0), means=np.full((3, 3), np.nan))
    film = make_film([frame(3), lost, frame(3, at=4.0)])
    assert film.moments.tolist() == [1, 4]
    with pytest.raises(MovieError, match="There is no frame that can be drawn"):
        make_film([lost])
    flat = dataclasses.replace(frame(3), means=np.zeros((3, 3)))
    with pytest.raises(MovieError, match="All class means coincide"):
        make_film([flat])
