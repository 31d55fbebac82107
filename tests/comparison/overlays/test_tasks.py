"""Several tasks beside their optimum: exact at the optimum, away from it elsewhere."""

from types import SimpleNamespace

import numpy as np
import pytest

from ncjax import ufm
from ncjax.comparison.overlays import OVERLAYS, tasks
from ncjax.training.loaded import LoadedRun
from ncjax.ufm.match import OptimumError
from ncjax.ufm.theory.tasks import binary_pair_optimum, paired_counts


class Fake(LoadedRun):
    """A network that has the features and the classifier it is given."""

    classifier = None  # not that of a checkpoint

    def __init__(self, features, labels, classifier, sizes=(2, 2), **loss):
        train = SimpleNamespace(images=np.arange(len(labels)), labels=labels)
        plain = {"label_smoothing": 0.0, "temperature": 1.0, "task_weights": ()}
        given = {
            "classifier": classifier,
            "features": features,
            "dataset": SimpleNamespace(train=Split(**vars(train)), tasks=sizes),
            "config": SimpleNamespace(
                eval=SimpleNamespace(batch_size=17),
                loss=SimpleNamespace(**plain | loss),
            ),
        }
        vars(self).update(given)

    def __call__(self, rows):
        return None, self.features[rows]


class Split(SimpleNamespace):
    def __len__(self):
        return len(self.labels)


@pytest.fixture(scope="module")
def optimum():
    """Two binary tasks of correlation 1/2, at the optimum for c = 0.01."""
    counts = paired_counts(2, 0.5, 4.0)
    problem = ufm.tasks(counts, lambda_w=0.01, lambda_h=0.01)
    found = ufm.solve(problem, 0).params
    order = np.repeat(np.arange(4), [30, 10, 10, 30])
    labels = np.argwhere(counts)[order].astype(np.int32)
    weights, means = (np.asarray(found[name]) for name in ("W", "H"))
    return means[order], labels, (weights, np.zeros(4))


@pytest.mark.slow
def test_it_is_exact_at_the_optimum_and_away_from_it_elsewhere(optimum):
    features, labels, classifier = optimum
    shifted = classifier[0], -classifier[0] @ np.full(4, 3.0)  # the bias absorbs it
    found = tasks.values(Fake(features + 3, labels, shifted))
    assert found["cosines of class means"].distance == pytest.approx(0, abs=1e-6)
    want = binary_pair_optimum(0.5, 4.0, 0.01, 0.01)
    across = found["|cosine| of rows of W across tasks"]
    assert across.found == pytest.approx(want.cosine, abs=1e-6)
    bent = features * np.array([1.0, 3.0, 1.0, 1.0])
    away = tasks.values(Fake(bent, labels, classifier))
    assert away["cosines of class means"].distance > 0.05


def test_networks_of_which_nothing_is_known(optimum):
    features, labels, classifier = optimum
    assert OVERLAYS["tasks"].values is tasks.values
    for sizes, loss, message in (
        ((2,), {}, "a single task"),
        ((100, 100), {}, "have 10,000 combinations of labels"),
        ((2, 2), {"temperature": 0.5}, "at temperature 1"),
        ((2, 2), {"label_smoothing": 0.1}, "without label smoothing"),
    ):
        with pytest.raises(OptimumError, match=message):
            tasks.values(Fake(features, labels, classifier, sizes, **loss))
