"""The target "ordinal": from any data set with classes to a network and its verdict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, data
from ncjax.data import Dataset, Split
from ncjax.ordinal import of_rows
from ncjax.report.verdict import verdict
from ncjax.targets import get_target
from ncjax.targets.levels import LEVELS, distances
from tests.targets.fields import changed
from tests.training.test_train import rows_of

ONE = jax.devices()[:1]


def config(**change):
    config = ncjax.default()
    config.data.target, config.loss.name = "ordinal", "ordinal"
    config.data.classes = (3, 1, 8, 9)
    config.data.examples_per_class = config.data.test_examples_per_class = 20
    config.num_epochs, config.batch_size, config.eval.epochs = 6, 20, (1, 6)
    config.model.widths, config.model.batch_norm = (12, 10), False
    config.optimizer.learning_rate = 0.02
    return changed(config, change)


def run(workdir=None, devices=ONE, **change):
    settings = config(**change)
    return ncjax.train(settings, workdir, devices=devices, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ordinal") / "run"
    run(path)
    return path


def test_a_network_is_measured_as_defined(folder):
    loaded, last = ncjax.load(folder), rows_of(folder)[-1]
    weights, cuts = of_rows(*map(jnp.asarray, loaded.classifier))
    np.testing.assert_allclose(cuts, [-4, 0, 4])
    for place, split in (
        ("train", loaded.dataset.train),
        ("test", loaded.dataset.test),
    ):
        scores, features = map(np.float64, loaded(jnp.asarray(split.images)))
        level, z = scores.argmax(1), features @ np.float64(weights)
        off = np.abs(level - split.labels)
        assert last[f"{place}/mae"] == pytest.approx(off.mean(), abs=1e-6)
        assert last[f"{place}/error"] == pytest.approx(np.mean(off > 0), abs=1e-6)
        median = np.abs(np.searchsorted(cuts, z) - split.labels).mean()
        assert last[f"{place}/mae_median"] == pytest.approx(median, abs=1e-6)
        loss = -scores[np.arange(len(off)), split.labels].mean()
        assert last[f"{place}/loss"] == pytest.approx(loss, rel=1e-4)
        if place == "train":
            means = [features[split.labels == k].mean(0) for k in range(4)]
            z = np.array(means) @ np.float64(weights)
            assert last["nc/order"] == pytest.approx(np.mean(np.diff(z) > 0))
            onc3 = np.abs(z[1:3] - [-2, 2]).mean() / 2
            assert last["nc/onc3"] == pytest.approx(onc3, rel=1e-3)
    assert {"nc/onc1", "nc/onc2", "nc/nc4", "test/ece"} <= last.keys()
    assert not {"nc/nc1", "nc/nc2", "tree/gram_to_tree"} & last.keys()
    assert loaded.class_means.shape == (4, 10)


@pytest.mark.slow
def test_what_a_run_leaves_can_be_read(folder):
    history = ncjax.load(folder).history
    assert verdict(history).state == "not collapsed"
    assert "ONC2" in str(verdict(history))
    assert "ONC1" in str(history)
    assert all((folder / name).exists() for name in ("report.html", "collapse.png"))
    with pytest.raises(KeyError, match="nc/nc2"):
        history["nc/nc2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"devices": jax.devices()[:2]},
        {"devices": jax.devices()},
        {"eval__buffer_mb": 0},
        {"data__placement": "stream"},
        {"num_seeds": 2},
        {"eval__batch_size": 7},
    ],
    ids=str,
)
def test_every_way_of_measuring_gives_the_same(folder, change):
    if len(change.get("devices", ())) == 8:
        change["batch_size"] = 24  # a multiple, for both
        want = run(batch_size=24).rows[-1]
    else:
        want = rows_of(folder)[-1]
    found = run(**change)
    found = (found.seeds[0] if found.seeds else found).rows[-1]
    assert want.keys() <= found.keys()
    for key, value in want.items():
        if key.startswith(("nc/", "train/", "test/")) and key != "nc/gram":
            assert found[key] == pytest.approx(value, rel=2e-3, abs=1e-6), key


@pytest.mark.slow
def test_learned_thresholds_and_links_train_and_a_sweep_has_a_table(tmp_path):
    folder = tmp_path / "learned"
    run(folder, classifier__learn_thresholds=True, loss__link="probit", num_epochs=40)
    _, cuts = of_rows(*map(jnp.asarray, ncjax.load(folder).classifier))
    assert np.abs(cuts - np.array([-4, 0, 4])).max() > 0.01
    assert (np.diff(cuts) > 0).all()
    assert rows_of(folder)[-1]["train/loss"] < rows_of(folder)[0]["train/loss"]
    given = (-3.0, 1.0, 2.0)
    found = run(classifier__thresholds=given, eval__confusion=True).rows[-1]
    assert np.isfinite(found["nc/onc3"])
    decays = (1e-3, 1e-1)
    found = ncjax.sweep(config(), {"optimizer.weight_decay": decays}, tmp_path / "s")
    assert np.isfinite(found["nc/onc1"]).all()
    assert "nc/onc1" in str(found)
    assert (tmp_path / "s" / "report.html").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss__name": "cross_entropy"}, r"'ordinal'\. Losses for it: ordinal"),
        ({"data__target": "class"}, r"cross_entropy, .*target = 'ordinal'\."),
        ({"classifier__name": "linear"}, r"'linear' has outputs .* Choose 'ordinal'"),
        ({"classifier__thresholds": (1.0, 0.0, 2.0)}, r"increase, got \(1\.0, 0\.0"),
        ({"classifier__thresholds": (1.0, 2.0)}, "must be 3 numbers for 4 levels"),
        ({"classifier__gap": -1.0}, "gap must be more than 0"),
        ({"loss__link": "cloglog"}, r"config\.loss: Unknown link 'cloglog'"),
        ({"eval__movie": True}, r"eval\.movie shows classes"),
        ({"data__target": "level"}, r"'level'.* Available: class, ordinal"),
        ({"data__target": "vector"}, r"target = 'vector', and its .* 'class'"),
        ({"loss__cpcc": 0.1}, "needs a class tree"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_compiles(change, message):
    with pytest.raises((ConfigError, DataError), match=message):
        run(**change)


def test_labels_of_vectors_have_no_levels():
    settings = config(data__name="digits_regression", data__classes=())
    settings.data.examples_per_class = settings.data.test_examples_per_class = 0
    with pytest.raises(DataError, match=r"target 'vector'\. Available: class, vector"):
        ncjax.train(settings, devices=ONE, progress=False)


def test_any_data_set_with_classes_has_levels_in_the_order_of_its_names(capfd):
    digits = data.load("digits")
    levels = data.select(digits, target="ordinal")
    assert levels.target == "ordinal"
    np.testing.assert_array_equal(levels.train.labels, digits.train.labels)
    assert "<" not in capfd.readouterr().err  # 0..9 need no word
    images = np.float32(np.random.default_rng(0).random((6, 2, 2, 1)))
    split = Split(images, np.int32([0, 1, 2, 0, 1, 2]))
    mine = Dataset("mine", split, split, ("high", "low", "middle"))
    order = ("low", "middle", "high")
    levels = data.select(mine, target="ordinal", classes=order)
    assert levels.class_names == order
    np.testing.assert_array_equal(levels.train.labels, [2, 0, 1, 2, 0, 1])
    assert "levels low < middle < high" in capfd.readouterr().err
    assert get_target("ordinal") is LEVELS


def test_the_median_has_the_least_expected_error():
    scores = jnp.log(jnp.array([[0.4, 0.15, 0.2, 0.25]]))
    found = distances(scores, jnp.array([2]))
    assert found["mae"] == 2  # the most probable level is 0
    assert found["mae_median"] == 1
