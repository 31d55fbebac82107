"""Levels beside their optimum: exact at the optimum, away from it elsewhere."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import class_moments, ordinal
from ncjax.comparison.overlays import OVERLAYS, levels
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError
from ncjax.ufm.theory.ordinal import match_pull, ordinal_optimum, pulled_latent

CUTS, SIZES = (-3.0, -1.0, 0.5, 4.0), np.array([4, 1, 3, 2, 5])
LABELS = np.repeat(np.arange(5), SIZES).astype(np.int32)
OPTIMUM = ordinal_optimum(CUTS, SIZES, 0.01, 0.04)


class Fake(LoadedRun):
    """A network that has the latent numbers that it is given, on a line of features."""

    moments = classifier = None  # not those of a checkpoint

    def __init__(self, latent, size=2.0):
        direction = size * np.array([0.6, 0, 0.8])
        features = np.outer(latent, [0.6, 0, 0.8]) / (size or 1)
        train = SimpleNamespace(images=np.arange(len(LABELS)), labels=LABELS)
        rows = ordinal.to_rows(jnp.float32(direction), jnp.float32(CUTS))
        vars(self).update(
            moments=class_moments(np.float32(features[LABELS]), LABELS, 5),
            classifier=rows,
            latent=latent,
            dataset=SimpleNamespace(train=Train(train)),
            config=SimpleNamespace(
                eval=SimpleNamespace(batch_size=7), loss=SimpleNamespace(link="logit")
            ),
        )

    def __call__(self, rows):
        z = jnp.float32(self.latent[LABELS[rows]])
        cuts = jnp.tile(jnp.float32(CUTS), (len(z), 1))
        return ordinal.log_probabilities(z, cuts), None


class Train(SimpleNamespace):
    def __init__(self, given):
        super().__init__(images=given.images, labels=given.labels)

    def __len__(self):
        return len(self.labels)


def test_it_is_exact_at_the_optimum():
    found = levels.values(Fake(OPTIMUM.latent))
    assert found["z of the levels"].distance < 1e-5
    assert found["loss of training"].distance < 1e-5
    assert OVERLAYS["ordinal"].values is levels.values
    # The pull is N mu/r: 15 samples, mu = 0.02.
    pull = match_pull(OPTIMUM.latent, CUTS)
    radius = np.sqrt(SIZES @ OPTIMUM.latent**2)
    assert pull == pytest.approx(15 * 0.02 / radius, rel=1e-4)


def test_it_sees_a_network_that_is_none():
    moved = OPTIMUM.latent + np.array([0, 1.0, -1, 1, 0])
    away = levels.values(Fake(moved))
    assert away["z of the levels"].distance > 0.1
    assert away["loss of training"].distance > 0.1
    with pytest.raises(OptimumError, match="its classifier is 0"):
        levels.values(Fake(OPTIMUM.latent, size=0.0))


def test_without_a_pull_levels_lie_in_the_middle():
    latent, losses = pulled_latent(CUTS, 1e-9)
    np.testing.assert_allclose(latent[1:-1], [-2, -0.25, 2.25], atol=1e-6)
    assert (losses[[0, -1]] < 1e-6).all()
    with pytest.raises(ValueError, match="pull must be finite and > 0"):
        pulled_latent(CUTS, 0.0)
