"""Theory beside networks with fixed vectors and on the sphere."""

import jax
import pytest

import ncjax
from ncjax.comparison import compare
from ncjax.comparison.theory import HEADS
from ncjax.config import default

pytestmark = pytest.mark.slow

OPTIONS = {
    "fixed": {"target": "code", "project": 2, "norm": 5.0, "assign": "linear"},
    "spherical": {"project": 2, "temperature": 0.2},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, options in OPTIONS.items():
        for seed in (0, 1):
            config = default()
            config.seed, config.num_epochs, config.batch_size = seed, 30, 40
            config.data.classes = (0, 1, 2, 3, 4)
            config.data.examples_per_class = 40
            config.model.widths = (32, 16)
            config.optimizer.weight_decay = 1e-3
            config.eval.num_points = 2
            config.classifier.name = name
            config.classifier.update(options)
            path = folder / f"{name}{seed}"
            ncjax.train(config, path, devices=jax.devices()[:1], progress=False)
    return folder


def test_both_have_a_theory(runs):
    assert set(HEADS) == set(OPTIONS)
    paths = sorted(path for path in runs.iterdir())
    found = compare(paths, theory=True)
    said = str(found)
    assert "the optimum of the features for the class vectors as they are" in said
    assert "the optimum of unit features and unit class vectors" in said
    assert "certified" in said
    assert "best of 10 starts" in said
    for group in found.theory:
        assert group.head in HEADS
        for run in group.runs:
            assert run.gram.shape == (5, 5)
            if group.head == "fixed":
                assert run.values["classifier_to_prediction"] < 1e-6
            assert run.values["to_prediction"] < run.values["to_simplex"]
