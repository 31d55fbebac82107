"""Features for given class vectors: closed forms, certificates, what is refused."""

import numpy as np
import pytest

from ncjax.gram import gram_distance, simplex_gram
from ncjax.hierarchy import balanced
from ncjax.ufm.fixed import simplex_rows
from ncjax.ufm.given import given_path
from ncjax.ufm.match import OptimumError, match_gram, match_loss

RNG = np.random.default_rng(0)
RANGE = (1e-3, 1e-1)


def test_features_of_mse_in_closed_form():
    """h_k = (W'W + K c)^-1 w_k for classes of one size, each of weight 1/K."""
    rows = RNG.normal(size=(4, 3))
    path = given_path("mse", rows, c_range=RANGE)
    for optimum in path.optima[::10]:
        decay = 4 * optimum.c
        features = rows @ np.linalg.inv(rows.T @ rows + decay * np.eye(3))
        assert gram_distance(features @ features.T, optimum.gram) < 1e-7
        fit = features @ rows.T - np.eye(4)
        assert optimum.loss == pytest.approx(0.5 * np.sum(fit**2) / 4, rel=1e-9)
    found = match_loss(path, path.optima[7].loss * 1.01)
    assert found.state == "inside"
    _, proof = path.prove(found)
    assert proof.kind == "certified"
    assert proof.gap < 1e-9


@pytest.mark.slow
def test_a_simplex_gives_a_simplex_for_every_c():
    path = given_path("cross_entropy", 2 * simplex_rows(4), c_range=RANGE)
    found = match_gram(path, simplex_gram(4))
    assert found.state == "free"
    assert found.distance < 1e-7
    losses = [optimum.loss for optimum in path.optima]
    assert losses == sorted(losses)  # a larger decay, a larger loss


def test_what_has_no_theory():
    tree = balanced((2, 2))
    options = {"hierarchy": tree, "weighting": "depth", "alpha": 1.0}
    with pytest.raises(OptimumError, match="'hxe' is not convex in its logits"):
        given_path("hxe", np.eye(4), **options)
    with pytest.raises(OptimumError, match="all classes have merged"):
        given_path("cross_entropy", 1e-9 * np.eye(3), c_range=RANGE)
