"""The view: exact for three and four classes, steady, a polygon of a simplex."""

import dataclasses

import numpy as np
import pytest

from ncjax.movie.view import MovieError, choose_view, look, toward
from tests.movie.frames import frame, rotation, simplex


def distances(points):
    return np.linalg.norm(points[:, None] - points[None], axis=-1)


def features(one):
    return one.means[one.place] + one.deviations


def test_three_classes_lose_nothing():
    """All distances of features in the plane of the means, up to one scale."""
    one = frame(3, spread=0.3)
    one = dataclasses.replace(
        one, means=one.means + rotation(3)[0] * [[0.5], [0.0], [0.0]]
    )
    picture = look(one, choose_view([one]))
    centred = one.means - one.means.mean(0)
    _, _, plane = np.linalg.svd(centred)
    exact = distances(features(one) @ plane[:2].T)
    scale = np.sqrt((centred**2).sum(1).mean())
    np.testing.assert_allclose(distances(picture.points), exact / scale, atol=1e-12)


def test_four_classes_are_a_tetrahedron_seen_by_one_camera():
    one = frame(4, spread=0.3)
    view = choose_view([one])
    solid = one.means @ toward(one.means, view.target)
    np.testing.assert_allclose(distances(solid), distances(one.means), atol=1e-12)
    np.testing.assert_allclose(view.camera.T @ view.camera, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(look(one, view).means, view.ideal, atol=1e-12)


@pytest.mark.parametrize("count", [2, 3, 5, 10])
def test_a_simplex_is_a_regular_polygon_on_the_unit_circle(count):
    one = frame(count)
    view = choose_view([one], kind="polygon")
    picture = look(one, view)
    np.testing.assert_allclose(picture.means, view.ideal, atol=1e-12)
    np.testing.assert_allclose(picture.weights, view.ideal, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(view.ideal, axis=1), 1, atol=1e-12)
    steps = distances(view.ideal)[np.arange(count), np.arange(count) - 1]
    np.testing.assert_allclose(steps, 2 * np.sin(np.pi / count), atol=1e-12)


@pytest.mark.parametrize("kind", ["auto", "polygon", "principal"])
def test_the_view_is_steady_whatever_the_basis_of_a_frame_is(kind):
    count, bend = 5, np.diag([1.6, 1.3, 1.0, 0.9, 0.8])
    frames = [
        dataclasses.replace(one, means=bend @ one.means)
        for one in (frame(count, seed=i, spread=0.2) for i in range(3))
    ]
    view = choose_view(frames, kind=kind)
    first, *others = (look(one, view) for one in frames)
    for other in others:
        for part in ("means", "points", "weights"):
            got, want = (getattr(x, part) for x in (other, first))
            np.testing.assert_allclose(got, want, atol=1e-10)


def test_a_small_change_of_the_features_is_a_small_change_of_the_picture():
    one = frame(10, spread=0.2)
    view = choose_view([one])
    moved = 1e-4 * np.random.default_rng(2).normal(size=one.means.shape)
    near = dataclasses.replace(one, means=one.means + moved)
    gap = np.abs(look(near, view).points - look(one, view).points).max()
    assert 0 < gap < 1e-3


def test_chosen_classes_are_shown_in_the_plane_of_their_means():
    one = frame(5, spread=0.2)
    view = choose_view([one], ["e", "a", "c"])
    picture = look(one, view)
    np.testing.assert_allclose(picture.means, view.ideal, atol=1e-12)
    assert np.bincount(picture.place).tolist() == [6, 6, 6]
    own = features(one)[one.place == 4]
    np.testing.assert_allclose(
        picture.points[picture.place == 0].mean(0) - picture.means[0],
        (own - one.means[4]).mean(0) / 5.0
        @ toward(one.means[[4, 0, 2]] - one.means[[4, 0, 2]].mean(0), view.target)
        / np.sqrt((simplex(5)[[4, 0, 2]] - simplex(5)[[4, 0, 2]].mean(0)) ** 2
        @ np.ones(5)).mean(),
        atol=1e-12,
    )  # fmt: skip


def test_rows_of_the_classifier_beside_the_means_are_short():
    one = frame(4)
    away = dataclasses.replace(one, weights=one.weights / 2)  # half of W is elsewhere
    view = choose_view([one])
    np.testing.assert_allclose(look(away, view).weights, view.ideal / 2, atol=1e-12)


def test_means_that_coincide_have_no_picture():
    one = frame(3)
    flat = dataclasses.replace(one, means=np.zeros_like(one.means))
    assert np.isnan(look(flat, choose_view([one])).points).all()


@pytest.mark.parametrize(
    ("classes", "kind", "message"),
    [
        (["a", "x"], "auto", "Unknown class 'x'. Available: a, b, c, d"),
        (["a"], "auto", "at least two classes, each once; got a."),
        (["a", "b", "a"], "auto", "each once; got a, b, a."),
        ([], "polygn", "Unknown view 'polygn'.*Did you mean 'polygon'"),
        (["a", "b"], "principal", "do not span a plane"),
    ],
)
def test_bad_choices(classes, kind, message):
    with pytest.raises(MovieError, match=message):
        choose_view([frame(4)], classes, kind)
