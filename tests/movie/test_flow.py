"""Frames of gradient flows."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import ufm
from ncjax.movie.film import TIME, make_film
from ncjax.movie.flow import frames_of, frames_of_flow
from ncjax.options import ConfigError
from ncjax.ufm.run import default
from tests.movie.frames import simplex


def path(features, weights):
    """A recorded flow, of which the frames need the parameters and NC1."""
    count = len(features)
    numbers = dict.fromkeys(ufm.Trajectory._fields, jnp.zeros(count))
    params = {"H": jnp.asarray(features), "W": jnp.asarray(weights)}
    times = jnp.arange(count) * 1.0
    return ufm.Trajectory(**numbers | {"params": params, "times": times})


def test_features_are_seen_from_the_means_of_their_classes():
    labels = np.array([0, 1, 2, 0, 1, 2])
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(2, 6, 4)), rng.normal(size=(2, 3, 4))
    found = frames_of(path(features, weights), labels, ["x", "y", "z"], [2, 0, 1])
    assert [frame.at for frame in found] == [0, 1]
    assert found[0].names == ("z", "x", "y")
    assert found[0].place.tolist() == [1, 2, 0, 1, 2, 0]
    means = (features[0, :3] + features[0, 3:])[[2, 0, 1]] / 2
    centred = means - means.mean(0)
    gram = found[0].means @ found[0].means.T
    np.testing.assert_allclose(gram, centred @ centred.T, atol=1e-6)
    np.testing.assert_allclose(
        found[0].deviations[:3] @ found[0].means.T,
        (features[0, :3] - features[0, 3:]) / 2 @ centred.T,
        atol=1e-6,
    )


def test_a_flow_that_has_come_to_the_simplex_stands_on_the_target():
    away = simplex(3) + 0.5 * np.random.default_rng(0).normal(size=(3, 3))
    steps = np.stack([away, simplex(3), simplex(3)])
    film = make_film(frames_of(path(steps, steps), np.arange(3)), unit=TIME)
    assert film.moments.tolist() == [0, 1]
    np.testing.assert_allclose(film.pictures[-1].means, film.view.ideal, atol=1e-6)


def fields(**model):
    config = default()
    config.model.num_classes = 3
    config.model.c = 0.1
    config.flow.t_max = 100.0
    config.model.update(model)
    return config.to_dict()


@pytest.mark.slow
def test_the_flow_of_a_model_ends_in_its_optimum():
    frames, title = frames_of_flow(fields() | {"about": {"x": 1}, "sweep": None})
    assert title == "flow of cross_entropy, c = 0.1"
    assert len(frames[0].place) == 30
    film = make_film(frames, title, unit=TIME)
    np.testing.assert_allclose(
        film.pictures[-1].points, film.view.ideal[film.pictures[-1].place], atol=0.05
    )
    assert frames[0].nc1 > 1 > frames[-1].nc1


def test_models_without_a_movie():
    with pytest.raises(ConfigError, match="at most 20 classes, and the model has 30"):
        frames_of_flow(fields(num_classes=30))
    other = fields() | {"experiment": "minority"}
    with pytest.raises(ConfigError, match="'minority' is not about the flow of one"):
        frames_of_flow(other)
