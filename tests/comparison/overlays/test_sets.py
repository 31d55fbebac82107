"""Sets of labels beside their optimum: exact at the optimum, away from it elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncjax import ufm
from ncjax.comparison.overlays import OVERLAYS, sets
from ncjax.multilabel import set_moments
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.label_sets import label_sets, sets_of
from ncjax.ufm.match import OptimumError

PER_SET = (6, 2)
NAMES = ("lengths s_m of the logits", "sets in units of their sums", "cosines")


class Fake(LoadedRun):
    """A network that has the features and the classifier it is given.

    A common shift of the features is absorbed by its bias.
    """

    moments = None  # not those of a checkpoint

    def __init__(self, features, labels, weights, loss="pick_all_label", shift=0.0):
        options = SimpleNamespace(name=loss, average_labels=False)
        given = {
            "moments": set_moments(np.float32(features + shift), labels),
            "weights": weights,
            "features": features,
            "dataset": SimpleNamespace(train=Split(np.arange(len(labels)), labels)),
            "config": SimpleNamespace(eval=SimpleNamespace(batch_size=7), loss=options),
        }
        vars(self).update(given)

    def __call__(self, rows):
        features = self.features[rows]
        return features @ self.weights.T, features


class Split:
    def __init__(self, images, labels):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.labels)


@pytest.fixture(scope="module")
def optimum():
    """Features, sets and classifier of the certified optimum, a row for each sample."""
    problem = label_sets(5, PER_SET, lambda_w=3e-3, lambda_h=1e-2)
    params = ufm.solve(problem, 0).params
    labels = sets_of(5, PER_SET)
    rows = np.repeat(np.arange(len(labels)), problem.counts.astype(int))
    features = np.asarray(params["H"])[rows]
    return features, labels[rows], np.asarray(params["W"])


def test_it_is_exact_at_the_optimum(optimum):
    features, labels, weights = optimum
    found = sets.values(Fake(features, labels, weights, shift=1.0))
    assert tuple(found) == NAMES
    for name, both in found.items():
        assert both.distance < 1e-4, name
    assert 0.8 < found["sets in units of their sums"].predicted < 1
    assert found["cosines"].predicted[0] == pytest.approx(-1 / 4)


def test_it_sees_a_network_that_is_none(optimum):
    features, labels, weights = optimum
    bent = np.where(labels.sum(1, keepdims=True) > 1, features[:, ::-1], features)
    found = sets.values(Fake(bent, labels, weights))
    assert all(both.distance > 0.02 for both in found.values())


def test_what_has_no_theory_is_refused(optimum):
    features, labels, weights = optimum
    with pytest.raises(
        OptimumError, match="bce with sets of labels has no closed form"
    ):
        sets.values(Fake(features, labels, weights, loss="bce"))
    with pytest.raises(OptimumError, match="No optimum has the mean loss"):
        sets.values(Fake(features, labels, -weights))
    assert OVERLAYS["set"].values is sets.values
