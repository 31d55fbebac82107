"""Unit features and classifiers: closed forms, codes, who is where."""

import numpy as np
import pytest

import ncjax
from ncjax.options import InputError
from ncjax.ufm.match import match_gram, match_loss
from ncjax.ufm.sphere import sphere_optimum, sphere_path

RNG = np.random.default_rng(0)


def loss_of(features, classifier, temperature):
    """The cross-entropy of cosines over a temperature, written out in float64."""
    powers = np.exp(features @ classifier.T / temperature)
    return -np.log(np.diag(powers) / powers.sum(axis=1)).mean()


@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_a_simplex_at_every_temperature(temperature):
    found = sphere_optimum(4, 3, temperature)
    assert found.proof.kind == "closed form"
    products = found.features @ found.classifier.T
    np.testing.assert_allclose(products, 4 / 3 * np.eye(4) - 1 / 3, atol=1e-12)
    own = loss_of(found.features, found.classifier, temperature)
    assert found.loss == pytest.approx(own, rel=1e-9)
    for _ in range(20):  # none of these is better
        rows = RNG.normal(size=(8, 3))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        assert loss_of(rows[:4], rows[4:], temperature) > found.loss


@pytest.mark.slow
def test_the_polygon_at_a_small_temperature():
    """In two dimensions the softmax code is the regular polygon."""
    found = sphere_optimum(5, 2, 0.1, starts=2)
    assert found.proof.kind == "starts"
    margin = ncjax.codes.describe(found.classifier).margin
    assert margin == pytest.approx(1 - np.cos(2 * np.pi / 5), abs=1e-6)
    own = loss_of(found.features, found.classifier, 0.1)
    assert found.loss == pytest.approx(own, rel=1e-9)


@pytest.mark.slow
def test_the_code_as_the_temperature_falls():
    """(10, 4): far from the code at 1, the code at 0.03."""
    margins = [
        ncjax.codes.describe(sphere_optimum(10, 4, t).classifier).margin
        for t in (1.0, 0.03)
    ]
    best = ncjax.codes.known_margin(10, 4)
    assert margins[0] < best - 0.1
    assert margins[1] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("places", [(0, 1, 2, 3, 4), (0, 2, 4, 1, 3)])
def test_classes_of_the_optimum_are_those_that_fit(places):
    """A pentagon and a pentagram: no single order of the optimum is near to both."""
    angles = 2 * np.pi * np.array(places) / 5
    measured = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    gram = measured @ measured.T
    path = sphere_path(5, 2, 0.1, gram=gram, starts=1)
    found = match_gram(path, gram)
    assert found.state == "free"
    assert np.isnan(found.c)
    assert found.distance < 1e-5
    assert match_loss(path, 0.5).state == "free"
    proven, proof = path.prove(match_loss(path, 0.5))
    assert proof.kind == "starts"
    assert proven.optimum.gram.shape == (5, 5)


def test_larger_classes_have_points_of_their_own():
    even = sphere_optimum(3, 2, 0.5, starts=1)
    odd = sphere_optimum(3, 2, 0.5, sizes=[1, 1, 4], starts=1)
    cosines = odd.classifier @ odd.classifier.T
    assert cosines[0, 1] > cosines[0, 2]  # the small ones come nearer
    assert even.proof.kind == "closed form"
    assert odd.proof.kind == "starts"


def test_what_is_refused():
    with pytest.raises(InputError, match="In 1 dimension there are 2 directions"):
        sphere_optimum(3, 1, 0.1)
    with pytest.raises(ValueError, match="temperature must be positive and finite"):
        sphere_optimum(3, 2, 0.0)
    with pytest.raises(ValueError, match="Class sizes must be positive and finite"):
        sphere_optimum(3, 2, 0.1, sizes=[1, 0, 2])
