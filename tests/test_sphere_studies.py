"""The study of the sphere: its descent, its bound, and what it says of directions."""

import numpy as np
import pytest

from ncjax import codes
from tests.benchmarks.studies import sphere_flow, sphere_losses


def test_a_falling_temperature_ends_in_the_pentagon():
    temperatures = sphere_flow.falling(sphere_flow.HOT)
    ends = sphere_flow.flow(5, 2, temperatures, starts=2, steps=20)
    gap = codes.known_margin(5, 2) - ends.margins().max()
    assert -1e-9 < gap < sphere_flow.bound(5, sphere_flow.COLD)
    assert ends.path().shape == temperatures.shape
    assert ends.path()[-1] == ends.margins().max()
    losses, margins = ends.of_least_loss()
    assert margins[-1] == pytest.approx(ends.path()[-1])
    assert losses[-1] == pytest.approx(-margins[-1], abs=1e-3)  # for tau to 0
    assert ends.spread.max() < 1e-3  # the two features of a class are one


def test_the_loss_is_that_of_its_definition():
    rng, tau, k = np.random.default_rng(0), 0.3, 4
    points = rng.normal(size=(3 * k, 3))
    units = points / np.linalg.norm(points, axis=1, keepdims=True)
    scores = units[k:] @ units[:k].T / tau
    own = np.exp(scores[np.arange(2 * k), np.arange(2 * k) % k])
    loss = -np.log(own / np.exp(scores).sum(axis=1))
    found = sphere_flow._log_loss(points, tau, k)
    assert found == pytest.approx(tau * np.log(loss.mean()), rel=1e-5)


def test_directions_of_a_collapsed_simplex():
    simplex = np.eye(4) - 1 / 4
    labels = np.arange(12) % 4
    features = np.repeat(np.arange(1.0, 4), 4)[:, None] * simplex[labels]
    found = sphere_losses.directions(features, labels, 5 * simplex)
    assert found["between"] == pytest.approx(3)
    for key in ("weights", "instances"):
        assert found[key] == pytest.approx(0, abs=1e-12)
    other = sphere_losses.directions(features, labels, -simplex)
    assert [other["weights"], other["instances"]] == pytest.approx([2, 2])


def test_share_of_the_epochs():
    def of(*curves):
        curves = np.array(curves)
        return {"curve": curves, "nc2": curves[:, -1], "epochs": np.array([1, 2, 8])}

    found = {"cross_entropy": of((3, 2, 1.0), (3, 2, 1.0))}
    found["nonl"] = of((2, 0.5, 0.6), (3, 2, 1.5))
    assert sphere_losses.shares(found, "nonl").tolist() == [0.25, np.inf]
    assert sphere_losses.shares(found, "cross_entropy", 2).tolist() == [0.25, 0.25]
