"""The sample that a movie watches, and its frames."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.evaluation.sample import choose_sample, frame_of, part_frame
from ncjax.hierarchy import from_nested
from tests.thin import thin

RNG = np.random.default_rng(0)


def frame(*arrays_and_places):
    *arrays, classes, place = arrays_and_places
    found = frame_of(*map(jnp.asarray, arrays), classes, place)
    return {name: np.asarray(x) for name, x in found.items()}


def test_the_first_examples_of_each_class_are_watched():
    labels = np.array([2, 0, 1] * 150)
    sample = choose_sample(labels, 3, None)
    assert sample.classes.tolist() == [0, 1, 2]
    assert np.bincount(sample.place).tolist() == [100, 100, 100]
    assert (labels[sample.rows] == sample.classes[sample.place]).all()
    assert sample.rows[:3].tolist() == [1, 4, 7]


def test_of_many_classes_twenty_are_watched():
    sample = choose_sample(np.arange(1000).repeat(2), 1000, None)
    assert len(sample.classes) == 20
    assert sample.classes[[0, -1]].tolist() == [0, 999]
    assert len(sample.rows) == 40  # there are but two of each


def test_classes_stand_in_the_order_of_the_tree():
    names = ("cat", "car", "dog", "bus")
    tree = from_nested((("cat", "dog"), ("car", "bus")), names)
    found = choose_sample(np.arange(4), 4, tree).classes.tolist()
    assert {frozenset(found[:2]), frozenset(found[2:])} == {
        frozenset({0, 2}),
        frozenset({1, 3}),
    }


@pytest.mark.parametrize(("classes", "dim"), thin([(5, 9), (5, 3), (2, 6)], keep={0}))
def test_a_frame_keeps_the_distances_in_the_span_of_the_means(classes, dim):
    means, features = RNG.normal(size=(classes, dim)), RNG.normal(size=(40, dim))
    weights, place = RNG.normal(size=(classes, dim)), np.arange(40) % classes
    chosen = np.arange(classes)
    found = frame(means, features, weights, chosen, place)
    centred = means - means.mean(0)
    gram = found["means"] @ found["means"].T
    np.testing.assert_allclose(gram, centred @ centred.T, atol=1e-5)
    # Products with the means lose nothing to the projection.
    for name, whole in (
        ("deviations", features - means[place]),
        ("weights", weights - weights.mean(0)),
    ):
        np.testing.assert_allclose(
            found[name] @ found["means"].T, whole @ centred.T, atol=1e-4
        )
    rows = weights - weights.mean(0)
    norm = np.sqrt((rows**2).sum(1).mean())
    assert found["weight_norm"] == pytest.approx(norm, rel=1e-5)


def test_the_second_direction_of_two_classes_is_where_features_spread_most():
    means = np.array([[1.0, 0, 0], [-1, 0, 0]])
    place = np.arange(30) % 2
    spread = RNG.normal(size=(30, 3)) * [1.0, 0.1, 3.0]
    found = frame(means, means[place] + spread, means, np.arange(2), place)
    assert np.abs(found["deviations"][:, 1]) == pytest.approx(
        np.abs(spread[:, 2]), abs=0.2
    )


def test_the_frame_is_no_metric():
    found = {"nc/nc1": 1.0, "frame/means": 2.0}
    assert part_frame(found) == ({"nc/nc1": 1.0}, {"means": 2.0})
