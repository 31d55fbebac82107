"""Regression beside its optimum: exact at the optimum, away from it elsewhere."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.comparison.overlays import Overlay, RunOverlay, show, vectors
from ncjax.comparison.overlays.both import Both
from ncjax.regression import RegressionMoments
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError
from ncjax.ufm.theory.regression import regression_features, regression_optimum

DECAYS = 0.02, 0.08  # lW, lH
SPECTRUM = 2.0, 0.7, 0.3


class Fake(LoadedRun):
    """A network that has the features and the classifier it is given."""

    moments = classifier = None  # not those of a checkpoint

    def __init__(self, features, targets, weights):
        moments = RegressionMoments.empty(targets.shape[1], features.shape[1])
        given = {
            "moments": moments.update(np.float32(features), np.float32(targets)),
            "classifier": tuple(map(jnp.float32, (weights, targets.mean(0)))),
            "features": features,
            "dataset": SimpleNamespace(
                train=Split(np.arange(len(targets)), targets), target="vector"
            ),
            "config": SimpleNamespace(eval=SimpleNamespace(batch_size=7)),
        }
        vars(self).update(given)

    def __call__(self, rows):
        features = self.features[rows]
        return features @ self.classifier[0].T + self.classifier[1], features


class Split:
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)


def optimum(spectrum=SPECTRUM, number=60):
    """The optimum for targets of a covariance whose eigenvalues are the spectrum."""
    rng, size = np.random.default_rng(0), len(spectrum)
    targets = rng.normal(size=(number, size))
    targets -= targets.mean(0)
    targets = np.linalg.qr(targets)[0] * np.sqrt(number * np.array(spectrum))
    targets = targets @ np.linalg.qr(rng.normal(size=(size, size)))[0] + 1.5
    covariance = np.cov(targets.T, bias=True).reshape(size, size)
    gram = regression_optimum(covariance, *DECAYS).classifier_gram
    values, axes = np.linalg.eigh(gram)
    weights = np.zeros((size, 8))
    weights[:, :size] = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    return regression_features(weights, targets, *DECAYS), targets, weights


def test_it_is_exact_at_the_optimum():
    found = vectors.values(Fake(*optimum()))
    assert {name: both.distance for name, both in found.items()} == {
        "spectrum of W W'": pytest.approx(0, abs=2e-5),
        "spectrum of the features": pytest.approx(0, abs=2e-5),
        "squared error of training": pytest.approx(0, abs=2e-3),
    }
    error = found["squared error of training"].predicted
    assert error == pytest.approx(3 * np.prod(DECAYS), rel=2e-3)


def test_it_sees_a_network_that_is_none():
    features, targets, weights = optimum()
    away = vectors.values(Fake(3 * features, targets, weights))
    assert away["spectrum of the features"].distance < 2e-5  # whatever the scale
    assert away["squared error of training"].distance > 1
    other = vectors.values(Fake(features @ np.diag(np.arange(8)), targets, weights))
    assert other["spectrum of the features"].distance > 0.1


def test_one_target_fits_any_optimum():
    with pytest.raises(OptimumError, match="needs two targets"):
        vectors.values(Fake(*optimum(spectrum=(1.0,))))


def test_both_have_one_shape():
    with pytest.raises(ValueError, match=r"shapes \(2,\) and \(\)"):
        Both.of([1, 2], 1)
    assert np.isnan(Both.of([1.0], [0.0]).distance)


def test_overlays_are_shown():
    values = {
        "number": Both.of(1.5, 1.0),
        "row": Both.of(np.arange(8.0), np.arange(8.0)),
    }
    runs = tuple(RunOverlay(seed, 9, values) for seed in (0, 1))
    shown = [Overlay("mse", "vector", "The note.", runs)]
    cells = show.table(shown).cells
    assert cells[1] == ["mse", "number", "1.5", "1", "0.5"]
    assert cells[2][2:] == ["0 1 2 3 4 5 ... (8)"] * 2 + ["0"]
    assert show.table(shown).notes[-1] == "The note."
    assert show.to_dict(shown)[0]["runs"][1]["values"]["number"] == {
        **{"found": 1.5, "predicted": 1.0, "distance": 0.5}
    }
    drawn = show.figure(shown)
    titles = [axis.get_title() for axis in drawn.axes]
    assert titles == ["mse\nnumber", "mse\nrow"]
