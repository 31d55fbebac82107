"""The target "set": from a data set to a trained network and its verdict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, multilabel
from ncjax.data import Dataset, Split
from ncjax.report.verdict import verdict
from ncjax.targets import get_target
from ncjax.targets.sets import SETS, decided
from tests.multilabel import definitions
from tests.targets.fields import changed
from tests.training.test_train import rows_of

ONE = jax.devices()[:1]


def config(**change):
    config = ncjax.default()
    config.data.name, config.loss.name = "pair_sets", "pick_all_label"
    config.data.train_size, config.data.test_size = 180, 90
    config.num_epochs, config.batch_size, config.eval.epochs = 6, 30, (1, 6)
    config.model.widths, config.model.batch_norm = (12, 10), False
    config.optimizer.learning_rate = 0.02
    return changed(config, change)


def run(workdir=None, devices=ONE, **change):
    settings = config(**change)
    return ncjax.train(settings, workdir, devices=devices, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("sets") / "run"
    run(path)
    return path


def test_a_network_is_measured_as_defined(folder):
    loaded, last = ncjax.load(folder), rows_of(folder)[-1]
    for place, split in (
        ("train", loaded.dataset.train),
        ("test", loaded.dataset.test),
    ):
        scores, features = map(np.float64, loaded(jnp.asarray(split.images)))
        labels, sizes = split.labels, split.labels.sum(1)
        order = np.argsort(-scores, 1)
        told = [
            set(x[:m]) != set(np.flatnonzero(y))
            for x, m, y in zip(order, sizes, labels)
        ]
        assert last[f"{place}/error"] == pytest.approx(np.mean(told), abs=1e-6)
        best = labels[np.arange(len(labels)), order[:, 0]]
        assert last[f"{place}/precision_at_1"] == pytest.approx(best.mean(), abs=1e-6)
        logs = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        loss = -(logs * labels).sum(1).mean()
        assert last[f"{place}/loss"] == pytest.approx(loss, rel=1e-5)
        if place == "train":
            right, wrong, scale = definitions.angles(features, labels)
            assert last["nc/set_angle"] == pytest.approx(right, rel=1e-3)
            assert last["nc/set_angle_wrong"] == pytest.approx(wrong, rel=1e-3)
            assert last["nc/set_scale"] == pytest.approx(scale, rel=1e-3)
            left = definitions.unexplained(features, labels)
            assert last["nc/sum_unexplained"] == pytest.approx(left, rel=1e-3)
    assert 0 < last["test/sum_unexplained"] <= 1
    assert {"nc/nc1", "nc/nc2", "nc/nc3", "nc/nc4", "test/nc1"} <= last.keys()
    assert not {"test/ece", "test/top5_error"} & last.keys()


def test_a_verdict_has_the_angle_to_the_sums():
    row = {"epoch": 9, "train/error": 0.0, "nc/nc1": 1e-3, "nc/set_angle": 3.21}
    said = str(verdict(ncjax.History([row])))
    assert said.startswith("collapsed: ")
    assert said.endswith(
        "sets of two labels lie 3.2 degrees from the sums of their labels."
    )
    row["nc/set_angle"] = np.nan
    assert "degrees" not in str(verdict(ncjax.History([row])))


def test_the_set_decided_for_ends_at_the_largest_gap():
    scores = jnp.array(
        [[3.0, 2.5, -1.0, -1.2], [0.0, 5.0, 0.1, 0.2], [1.0, 1.0, 1.0, 0.9]]
    )
    wanted = [[1, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 0]]
    np.testing.assert_array_equal(decided(scores), np.array(wanted, bool))
    labels = jnp.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 0, 0]], bool)
    np.testing.assert_array_equal(SETS.error(scores, labels), [True, False, True])
    values = SETS.values(scores, labels)
    np.testing.assert_allclose(values["jaccard"], [1 / 3, 1, 2 / 3], rtol=1e-6)
    np.testing.assert_array_equal(values["set_error"], [True, False, True])
    np.testing.assert_array_equal(values["precision_at_1"], [True, True, True])


@pytest.mark.slow
def test_what_a_run_leaves_can_be_read(folder):
    loaded = ncjax.load(folder)
    assert verdict(loaded.history).state == "not collapsed"
    assert "degrees from the sums of their labels" in str(verdict(loaded.history))
    assert all((folder / name).exists() for name in ("report.html", "collapse.png"))
    assert isinstance(loaded.moments, multilabel.SetMoments)
    assert loaded.moments.describe() == "d=10, K=10, 90 of 1 label, 90 of 2 labels"
    with pytest.raises(ValueError, match="have no classes"):
        loaded.class_moments()


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"devices": jax.devices()[:2]},
        {"eval__buffer_mb": 0},
        {"data__placement": "stream"},
        {"num_seeds": 2},
        {"eval__layers": "all"},
        {"eval__batch_size": 7},
    ],
    ids=str,
)
def test_every_way_of_measuring_gives_the_same(folder, change):
    want = rows_of(folder)[-1]
    found = run(**change)
    found = (found.seeds[0] if found.seeds else found).rows[-1]
    assert want.keys() <= found.keys()
    for key, value in want.items():
        if key.startswith(("nc/", "train/", "test/")) and "floor" not in key:
            assert found[key] == pytest.approx(value, rel=2e-3, abs=1e-6), key
    if "eval__layers" in change:
        assert 0 < found["layers/01_dense1/nc/set_angle"] < 180


@pytest.mark.slow
def test_bce_trains_and_a_sweep_has_a_table(tmp_path):
    whole = run(loss__name="bce").rows[-1]
    assert (
        whole["train/loss"]
        > run(loss__name="bce", loss__average_labels=True).rows[-1]["train/loss"]
    )
    decays = (1e-3, 1e-1)
    found = ncjax.sweep(config(), {"optimizer.weight_decay": decays}, tmp_path / "s")
    assert np.isfinite(found["nc/set_angle"]).all()
    assert (tmp_path / "s" / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss__name": "mse"}, r"'set'\. Losses for it: pick_all_label, bce"),
        ({"classifier__name": "spherical"}, r"'spherical' has .* Choose 'linear'"),
        ({"eval__confusion": True}, r"eval\.confusion = True measures classes"),
        ({"hierarchy__name": "cifar10"}, r"hierarchy\.name = 'cifar10' is a tree"),
        ({"data__examples_per_class": 5}, "examples_per_class choose by class"),
        ({"data__source": "svhn"}, "Unknown source 'svhn'"),
        ({"data__train_size": 5}, "no training example of"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_compiles(change, message):
    with pytest.raises((ConfigError, DataError, ValueError), match=message):
        ncjax.train(config(**change), devices=ONE, progress=False)


LABELS = np.array([[1, 0], [0, 1], [1, 1], [1, 0]], bool)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(np.uint8), "mine/train: labels are uint8, must be bool"),
        (
            LABELS & np.array([[1], [0], [1], [0]], bool),
            "2 of 4 examples have no label",
        ),
        (
            LABELS & np.array([1, 0], bool) | np.array([1, 0], bool),
            "training example of b",
        ),
        (LABELS[:, :1], r"shape \(4, 1\), must be \[n, 2\]"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    images = np.zeros((4, 1, 2, 1), np.uint8)
    splits = Split(images, labels), Split(images, LABELS)
    with pytest.raises(DataError, match=message):
        Dataset("mine", *splits, ("a", "b"), target="set")
    assert get_target("set") is SETS
