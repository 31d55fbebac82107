"""Runs that know a class tree: every loss, where trees come from, what is refused."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError
from ncjax.classifiers import CLASSIFIERS
from ncjax.config import default
from ncjax.config.binding import load_data, load_hierarchy
from ncjax.data import Dataset, Split
from ncjax.evaluation.mistakes import confusion_by_level
from ncjax.hierarchy import BUILTIN, write
from ncjax.losses import CLASSIFIER_OF, GEOMETRY, losses_for
from ncjax.training.experiment import Experiment
from tests.config.test_config import load
from tests.thin import thin
from tests.training.test_train import small as treeless

ONE = jax.devices()[:1]
FLAT = ("cross_entropy", "mse")
TREE_LOSSES = [name for name in losses_for("class") if name not in FLAT]
LONGER = ("soft_labels", "label_embedding", "multi_level")


def small(loss="soft_labels", epochs=3):
    config = default()
    config.num_epochs = epochs
    config.model.widths = (32, 24)
    config.data.examples_per_class = 30
    config.data.test_examples_per_class = 10
    config.batch_size = 60
    config.loss.name = loss
    config.eval.num_points = 2
    return config


def run(config, workdir=None):
    return ncjax.train(config, workdir, devices=ONE, progress=False)


def assert_measured(last, loss):
    """All that is measured of a loss on a tree is there, of a network that learned."""
    assert last["train/error"] < 0.3
    assert last["test/ahd@1"] == pytest.approx(
        last["test/error"] * last["test/mistake_severity"], rel=1e-5
    )
    for name in ("nc/nc1", "nc/nc2", "nc/nc3", "nc/nc4", "tree/level1/nc1"):
        assert np.isfinite(last[name]), name
    assert ("nc/gram_to_limit" in last) == (loss in GEOMETRY or loss in CLASSIFIER_OF)


# Those that have runs of their own below are not run twice.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "split_features"),
    [
        pytest.param("multi_level", True, marks=pytest.mark.slow),
        pytest.param("multi_level", False, marks=pytest.mark.slow),
        *thin([(name, False) for name in TREE_LOSSES if name not in LONGER], keep={0}),
    ],
)
def test_every_loss_trains_and_is_measured(loss, split_features):
    config = small(loss, epochs=20)
    config.loss.split_features = split_features
    assert_measured(run(config).rows[-1], loss)


@pytest.mark.slow
def test_an_embedding_is_measured_itself():
    # The features of a label embedding are the outputs, its classifier is fixed.
    classifier = CLASSIFIERS["label_embedding"](10, hierarchy=BUILTIN["digits"]())
    assert classifier.measured == "outputs"
    last = run(small("label_embedding", epochs=60)).rows[-1]
    assert_measured(last, "label_embedding")
    assert last["nc/gram_to_limit"] < 0.35
    assert last["nc/gram_to_limit"] < last["nc/nc2"]
    assert last["nc/rank"] == 9


@pytest.mark.slow
def test_soft_labels_take_the_geometry_of_the_tree():
    """What theory says, on a short run: away from the simplex, towards the tree."""
    config = small("soft_labels", epochs=60)
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 1e-2
    soft = run(config).rows[-1]
    assert_measured(soft, "soft_labels")
    config.loss.name = "cross_entropy"
    plain = run(config).rows[-1]
    assert soft["nc/gram_to_tree"] < 0.3 < soft["nc/nc2"]
    assert plain["nc/nc2"] < 0.35 < plain["nc/gram_to_tree"]
    assert soft["tree/sibling_cosine"] > 0.1 > plain["tree/sibling_cosine"]


def test_where_the_tree_comes_from(tmp_path):
    config = small()
    dataset = load_data(config)
    assert load_hierarchy(config, dataset) == BUILTIN["digits"]()
    config.hierarchy.name = "none"
    assert load_hierarchy(config, dataset) is None
    write(BUILTIN["mnist"](), tmp_path / "tree.json")
    config.hierarchy.file = str(tmp_path / "tree.json")
    assert load_hierarchy(config, dataset) == BUILTIN["mnist"]()
    config = small()
    config.data.examples_per_class = 0
    config.data.test_examples_per_class = 0
    config.data.name = "synthetic"
    tree = load_hierarchy(config, load_data(config))
    assert tree.num_classes == 8
    assert tree.height == 3
    config.data.classes = (6, 7, 0)
    tree = load_hierarchy(config, load_data(config))
    assert set(tree.class_names) == {"0", "6", "7"}


@pytest.mark.slow
def test_cross_entropy_needs_no_tree():
    row = run(treeless(1)).rows[-1]
    assert not [name for name in row if "tree" in name or "ahd" in name]


@pytest.mark.slow
def test_confusion(tmp_path):
    config = small("cross_entropy", epochs=1)
    config.eval.confusion = True
    history = run(config, tmp_path / "run")
    last, table = history.rows[-1], history["test/confusion"][-1]
    np.testing.assert_allclose(table.sum(1), 0.1, rtol=1e-5)  # 10 images a class
    assert 1 - np.trace(table) == pytest.approx(last["test/error"], rel=1e-5)
    groups, _ = confusion_by_level(table, BUILTIN["digits"](), 1)
    assert 1 - np.trace(groups) == pytest.approx(last["test/level1_error"], rel=1e-5)
    assert (tmp_path / "run" / "confusion.png").exists()
    assert run(config, tmp_path / "run").rows == history.rows  # read again


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hierarchy.name": "none"}, "'soft_labels' needs a class tree, and"),
        ({"hierarchy.name": "cifar"}, "Unknown config.hierarchy.name 'cifar'. Avail"),
        ({"hierarchy.name": "cifar10"}, r"hierarchy \(cifar10\) does not fit .*'0'"),
        ({"hierarchy.file": "no.json"}, "no.json"),
        ({"loss.beta": -1.0}, "beta must be at least 0 and finite, got -1"),
        ({"loss.alpha": 2.0}, "loss.alpha = 2.0 has no effect: 'soft_labels' takes"),
        ({"loss.name": "hxe", "loss.alpha": float("nan")}, "alpha must be finite"),
        ({"loss.name": "hxe", "loss.weighting": "up"}, "'up'. Available: height"),
        (
            {"loss.name": "hier_cos", "model.widths": (32, 8)},
            r"config\.model: .* at least 14 features, and the network has 8\. Choose",
        ),
        ({"loss.name": "haframe", "classifier.frame_gamma": 0.0}, "frame_gamma must"),
        (
            {"loss.name": "multi_level", "loss.level_weights": (1.0,)},
            "one for each lev",
        ),
    ],
)
def test_bad_input_before_anything_is_written(tmp_path, change, message):
    config = small()
    for field, value in change.items():
        section, name = field.split(".")
        config[section][name] = value
    with pytest.raises(ConfigError, match=message):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_tree_with_a_cycle(tmp_path):
    path = tmp_path / "tree.json"
    path.write_text(json.dumps({"a": "b", "b": "a", "0": "root"}))
    config = small()
    config.hierarchy.file = str(path)
    with pytest.raises(ConfigError, match="cycle"):
        run(config)


@pytest.mark.parametrize(
    "measured", [False, pytest.param(True, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize(
    ("name", "features", "tree"),
    [
        ("cifar100_soft", 32, "dataset"),
        ("cifar100_hxe", 32, "dataset"),
        ("cifar100_hace", 32, "cifar100_5"),
        ("cifar100_hier_cos", 134, "cifar100_5"),
    ],
)
def test_the_tree_of_cifar100_fits_its_classes(name, features, tree, measured):
    """With images of noise and a small MLP: the data are not at hand everywhere."""
    config = load(Path(__file__).parents[2] / "configs" / f"{name}.py")
    config.model.name, config.model.widths = "mlp", (features,)
    config.hierarchy.name = tree
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    split = Split(images, np.repeat(np.arange(100, dtype=np.int32), 2))
    noise = Dataset("cifar100", split, split, BUILTIN["cifar100"]().class_names)
    experiment = Experiment(config, noise, ONE)
    state, steps = experiment.epoch(experiment.init(), 1)
    assert np.isfinite(steps["loss"]).all()
    if not measured:
        return
    last = experiment.evaluate(state)
    assert np.isfinite(last["tree/level1/nc2"])
    assert last["test/ahd@5"] <= experiment.network.hierarchy.height
