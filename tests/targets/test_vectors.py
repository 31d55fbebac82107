"""The target "vector": from a data set to a trained network and its verdict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, data, regression
from ncjax.data import Dataset, Split
from ncjax.evaluation.passes import LAST
from ncjax.report.verdict import verdict
from ncjax.targets import get_target
from ncjax.targets.vectors import VECTORS
from tests.regression import definitions
from tests.targets.fields import changed
from tests.training.test_train import rows_of

ONE = jax.devices()[:1]


def config(**change):
    config = ncjax.default()
    config.data.name, config.loss.name = "synthetic_regression", "mse"
    config.data.dim, config.data.train_size, config.data.test_size = 8, 90, 50
    config.num_epochs, config.batch_size, config.eval.epochs = 6, 30, (1, 6)
    config.model.widths, config.model.batch_norm = (12, 10), False
    config.optimizer.learning_rate = 0.02
    return changed(config, change)


def run(workdir=None, devices=ONE, **change):
    settings = config(**change)
    return ncjax.train(settings, workdir, devices=devices, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("regression") / "run"
    run(path)
    return path


def test_a_network_is_measured_as_defined(folder):
    loaded, last = ncjax.load(folder), rows_of(folder)[-1]
    for place, split in (
        ("train", loaded.dataset.train),
        ("test", loaded.dataset.test),
    ):
        outputs, features = map(np.float64, loaded(jnp.asarray(split.images)))
        targets = np.float64(split.labels)
        errors = ((outputs - targets) ** 2).sum(1)
        assert last[f"{place}/squared_error"] == pytest.approx(errors.mean(), rel=1e-5)
        assert last[f"{place}/loss"] == pytest.approx(errors.mean() / 2, rel=1e-5)
        r2 = definitions.r2(outputs, targets)
        assert last[f"{place}/r2"] == pytest.approx(r2, rel=1e-4)
        if place == "train":
            axes, mean = definitions.basis(features, 3), features.mean(0)
            weights = np.float64(loaded.classifier[0])
            want = definitions.of_span(features, axes)
            assert last["nc/nrc1"] == pytest.approx(want[""], rel=1e-3)
            assert last["nc/nrc1_unit"] == pytest.approx(want["_unit"], rel=1e-3)
            nrc3, _ = definitions.least_nrc3(weights, targets)
            assert last["nc/nrc3"] == pytest.approx(nrc3, rel=1e-3)
            assert last["nc/cka"] == pytest.approx(
                definitions.cka(features, targets), rel=1e-3
            )
    rest = definitions.distances(features - mean, axes).sum()  # of the test set
    assert last["test/nrc1"] == pytest.approx(
        rest / ((features - mean) ** 2).sum(), rel=1e-3
    )
    assert not {"train/error", "nc/nc1", "test/ece"} & last.keys()


@pytest.mark.slow
def test_what_a_run_leaves_can_be_read(folder):
    history = ncjax.load(folder).history
    assert verdict(history).state == "not collapsed"
    assert "NRC1" in str(verdict(history))
    assert "NRC1" in str(history)
    assert all((folder / name).exists() for name in ("report.html", "collapse.png"))
    loaded = ncjax.load(folder)
    assert loaded.moments.describe() == "d=10, t=3, 90 examples"
    with pytest.raises(ValueError, match="have no classes"):
        loaded.class_moments()
    (found,) = ncjax.compare([folder], theory=True).overlays
    error = found.runs[0].values["squared error of training"].found
    assert error == pytest.approx(rows_of(folder)[-1]["train/squared_error"], rel=1e-5)
    with pytest.raises(KeyError, match="nc/nc2"):
        history["nc/nc2"]


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
        if key.startswith(("nc/", "train/", "test/")):
            assert found[key] == pytest.approx(value, rel=2e-3, abs=1e-6), key
    if "eval__layers" in change:
        assert 0 < found["layers/01_dense1/nc/nrc1"] < 1


@pytest.mark.slow
def test_huber_trains_and_a_sweep_has_a_table(tmp_path):
    losses = [run(loss__name="huber", loss__delta=d).rows[-1] for d in (0.1, 1e3)]
    assert losses[0]["train/loss"] < losses[1]["train/loss"]
    mse = run().rows[-1]
    assert losses[1]["train/loss"] == pytest.approx(mse["train/loss"], rel=1e-4)
    decays = (1e-3, 1e-1)
    found = ncjax.sweep(config(), {"optimizer.weight_decay": decays}, tmp_path / "s")
    assert np.isfinite(found["nc/nrc1"]).all()
    assert "nc/nrc1" in str(found)
    assert "error 0" not in str(found)
    assert (tmp_path / "s" / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss__name": "cross_entropy"}, r"'vector'\. Losses for it: mse, huber"),
        ({"classifier__name": "spherical"}, r"'spherical' has .* Choose 'linear'"),
        ({"eval__confusion": True}, r"eval\.confusion = True measures classes"),
        ({"eval__movie": True}, r"eval\.movie = True measures classes"),
        ({"eval__probes": ("mse_decomposition",)}, r"eval\.probes = .* measures"),
        ({"loss__cpcc": 0.1}, "needs a class tree"),
        ({"data__examples_per_class": 5}, "examples_per_class choose by class"),
        ({"data__random_labels": 0.5}, "random_labels choose by class"),
        ({"data__name": "digits", "loss__name": "huber"}, r"Losses for it: .*, mse"),
        ({"loss__name": "huber", "loss__delta": 0.0}, "delta must be positive"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_compiles(change, message):
    if change.get("data__name") == "digits":
        settings = ncjax.default()
        settings.loss.name = "huber"
    else:
        settings = config(**change)
    with pytest.raises((ConfigError, DataError), match=message):
        ncjax.train(settings, devices=ONE, progress=False)


def dataset(labels, names=("a", "b")):
    images = np.zeros((len(labels), 1, 2, 1), np.float32)
    images[:, 0, 0, 0] = np.arange(len(labels))
    good = np.float32(np.random.default_rng(0).normal(size=(len(labels), len(names))))
    return Dataset(
        "mine", Split(images, labels), Split(images, good), names, target="vector"
    )


LABELS = np.float32(np.random.default_rng(1).normal(size=(6, 2)))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS.astype(np.float64), "mine/train: labels are float64, must be float32"),
        (LABELS[:, 0], r"shape \(6,\), must be \[n, 2\]"),
        (LABELS[:, :1], r"shape \(6, 1\), must be \[n, 2\]"),
        (np.where(LABELS[3, 0] == LABELS, np.nan, LABELS), "NaN .* first in row 3"),
        (LABELS * np.float32([1, 0]), r"constant in dimension\(s\) 1"),
        (LABELS * np.float32(1e18), "leave the range of float32"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(DataError, match=message):
        dataset(labels)


def test_one_target_is_enough_and_parts_are_whole():
    one = dataset(LABELS[:, :1], ("only",))
    assert one.num_classes == 1
    assert data.select(one) is one
    assert get_target("vector") is VECTORS
    found = VECTORS.moments(2, 5, scatter="none", largest_norm=True)
    assert isinstance(found, regression.RegressionMoments)
    assert LAST == "features"
