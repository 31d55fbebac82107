"""The target of a data set decides labels, losses, errors, moments and metrics."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, collapse, data, losses, targets
from ncjax.comparison import compare
from ncjax.moments import ClassMoments
from ncjax.targets import TARGETS, Target, get_target
from ncjax.targets.classes import CLASSES
from ncjax.training.stored import open_run
from tests.runs.events import scalars
from tests.training.test_train import rows_of

LABELS = np.array([0, 1, 2, 1], np.int32)


def test_classes():
    target = get_target("class")
    target.check(LABELS, 3)
    assert target.absent(LABELS, 4) == [3]
    scores = jnp.array([[2.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    labels = jnp.asarray(LABELS[:3])
    wrong = target.error(scores, labels)  # the first of equal scores decides
    np.testing.assert_array_equal(wrong, [False, True, False])
    assert target.values(scores, labels) == {}
    assert isinstance(target.moments(3, 4, scatter="none"), ClassMoments)


@pytest.mark.parametrize(
    ("labels", "error", "match"),
    [
        (LABELS.astype(np.int64), TypeError, "labels are int64, must be int32"),
        (LABELS + 1, ValueError, r"lie in 1\.\.3, must lie in 0\.\.2"),
        (LABELS[:, None], ValueError, r"shape \(4, 1\), must be \[n\]"),
    ],
)
def test_classes_refuse(labels, error, match):
    with pytest.raises(error, match=match):
        CLASSES.check(labels, 3)


def test_an_unknown_target_is_refused_with_those_that_there_are():
    split = data.Split(np.zeros((2, 1, 1, 1), np.uint8), np.arange(2, dtype=np.int32))
    with pytest.raises(DataError, match=r"Unknown target 'clas'\. Available: class"):
        data.Dataset("toy", split, split, ("a", "b"), target="clas")


# Levels in a row, where a decision beside the label is no error.


def far_off(scores, labels):
    return jnp.abs(scores.argmax(1) - labels) > 1


def distance(scores, labels):
    return {"distance": jnp.abs(scores.argmax(1) - labels).astype(jnp.float32)}


def metrics(moments, *classifier, **about):
    found = collapse.measure(moments, *classifier, **about)
    return found | {"twice_nc1": 2 * found["nc1"]}


LEVELS = Target(
    check=CLASSES.check,
    absent=CLASSES.absent,
    error=far_off,
    values=distance,
    moments=ClassMoments.empty,
    metrics=metrics,
)


def level_loss(logits, labels, *, level_scale=1.0):
    return level_scale * losses.mse(logits, labels)


def levels():
    found = data.synthetic(num_classes=4, dim=6, noise=3.0, train_size_per_class=40)
    return data.Dataset(
        "levels", found.train, found.test, found.class_names, target="level"
    )


@pytest.fixture
def registered(monkeypatch):
    """A target, a data set of it, and a loss for it."""
    monkeypatch.setitem(targets.TARGETS, "level", LEVELS)
    monkeypatch.setitem(data.DATASETS, "levels", levels)
    monkeypatch.setitem(losses.LOSSES, "level_loss", level_loss)
    monkeypatch.setitem(losses.TARGETS_OF, "level_loss", ("level",))


def config(seed=0):
    config = ncjax.default()
    config.seed, config.num_epochs, config.batch_size = seed, 2, 40
    config.model.widths = (8,)
    config.data.name = "levels"
    config.loss.name = "level_loss"
    config.eval.epochs = (1, 2)
    return config


@pytest.mark.slow
def test_a_new_target_is_trained_measured_written_and_compared(registered, tmp_path):
    runs = [tmp_path / f"run{seed}" for seed in (0, 1)]
    for seed, folder in enumerate(runs):
        ncjax.train(config(seed), folder, devices=jax.devices()[:1], progress=False)
    rows = rows_of(runs[0])
    dataset, last = levels(), rows[-1]
    _, state, experiment = open_run(runs[0], devices=jax.devices()[:1])
    subject, variables = experiment.network.subject(), state.variables()
    for part, split in (("train", dataset.train), ("test", dataset.test)):
        features = subject.features(variables, jnp.asarray(split.images))
        weights, bias = subject.classifier(variables)
        far = np.abs(np.asarray(features @ weights.T + bias).argmax(1) - split.labels)
        assert last[f"{part}/error"] == pytest.approx((far > 1).mean(), abs=0.01)
        assert last[f"{part}/distance"] == pytest.approx(far.mean(), abs=0.02)
        assert 0 < last[f"{part}/error"] < (far > 0).mean()
    assert last["nc/twice_nc1"] == pytest.approx(2 * last["nc/nc1"])
    assert 0 < rows[0]["running/error"] < 0.75  # of four classes, none learned yet
    assert scalars(runs[0])["test/distance"][-1] == (
        2,
        pytest.approx(last["test/distance"]),
    )
    found = compare(runs, metrics=["test/error", "test/distance", "nc/twice_nc1"])
    assert "test/distance" in found.table()


def test_a_loss_for_another_target_is_refused_before_anything_compiles(registered):
    settings = config()
    settings.loss.name = "cross_entropy"
    message = (
        r"'cross_entropy' is a loss for the target 'class', but .* levels are labelled "
        r"with the target 'level'\. Losses for it: level_loss\."
    )
    with pytest.raises(ConfigError, match=message):
        ncjax.train(settings, progress=False)
    settings = config()
    settings.data.name = "digits"
    with pytest.raises(ConfigError, match=r"is a loss for the target 'level'.*'class'"):
        ncjax.train(settings, progress=False)


def test_parts_of_a_data_set_keep_its_target(registered):
    part = data.select(levels(), classes=(0, 1), examples_per_class=3)
    assert part.target == "level"
    assert set(TARGETS) >= {"class", "level"}
