"""The target "tasks": from a data set to a trained network and its theory."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, data
from ncjax.data import Dataset, Split
from ncjax.runs.metrics import describe
from ncjax.targets import get_target
from ncjax.targets.tasks import of_sizes
from tests.runs.events import scalars
from tests.targets.fields import changed
from tests.tasks import definitions
from tests.training.test_train import rows_of

ONE = jax.devices()[:1]
SIZES = (3, 2)


def config(**change):
    config = ncjax.default()
    config.data.name, config.loss.name = "pair_tasks", "sum_of_tasks"
    config.data.task_classes, config.data.correlation = SIZES, 0.5
    config.data.train_size, config.data.test_size = 90, 50
    config.num_epochs, config.batch_size, config.eval.epochs = 4, 30, (1, 4)
    config.model.widths, config.model.batch_norm = (12, 10), False
    return changed(config, change)


def run(workdir=None, devices=ONE, **change):
    return ncjax.train(config(**change), workdir, devices=devices, progress=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks") / "run"
    run(path)
    return path


def test_a_network_is_measured_as_defined(folder):
    loaded, last = ncjax.load(folder), rows_of(folder)[-1]
    train, test = loaded.dataset.train, loaded.dataset.test
    of = {}
    for place, split in (("train", train), ("test", test)):
        outputs, of[place] = map(np.float64, loaded(jnp.asarray(split.images)))
        decided = np.stack([outputs[:, :3].argmax(1), outputs[:, 3:].argmax(1)], 1)
        wrong = decided != split.labels
        assert last[f"{place}/error"] == pytest.approx(wrong.any(1).mean())
        assert last[f"{place}/task1/error"] == pytest.approx(wrong[:, 1].mean())
        logs = outputs - np.repeat(
            np.stack(
                [np.log(np.exp(x).sum(1)) for x in (outputs[:, :3], outputs[:, 3:])], 1
            ),
            SIZES,
            axis=1,
        )
        rows = np.arange(len(outputs))
        loss = -logs[rows, split.labels[:, 0]] - logs[rows, 3 + split.labels[:, 1]]
        assert last[f"{place}/loss"] == pytest.approx(loss.mean(), rel=1e-4)
    want = definitions.not_sum(of["train"], train.labels, SIZES)
    assert last["nc/not_sum"] == pytest.approx(want, rel=1e-3)
    pair = of["test"], test.labels
    want = definitions.not_sum(of["train"], train.labels, SIZES, pair)
    assert last["test/not_sum"] == pytest.approx(want, rel=1e-3)
    vectors = [
        definitions.class_means(of["train"], train.labels[:, t], k)
        for t, k in enumerate(SIZES)
    ]
    cosines = definitions.cross_task(vectors)
    assert last["nc/cross_task"] == pytest.approx(cosines.mean(), rel=1e-3)
    weights = np.float64(loaded.classifier[0])
    rows = [x - x.mean(0) for x in np.split(weights, [3])]
    cosines = definitions.cross_task(rows)
    assert last["nc/cross_task_w_max"] == pytest.approx(cosines.max(), rel=1e-3)
    nc1 = definitions.nc1(of["train"], train.labels[:, 0], 3)
    assert last["nc/task0/nc1"] == pytest.approx(nc1, rel=1e-2)
    both = last["nc/task0/nc1"] + last["nc/task1/nc1"]
    assert last["nc/nc1"] == pytest.approx(both / 2, rel=1e-5)
    assert {"test/nc1", "nc/task1/nc4"} <= last.keys()
    assert not {"test/ece", "nc/gram"} & last.keys()


def test_what_a_run_leaves_can_be_read(folder):
    loaded = ncjax.load(folder)
    assert loaded.moments.describe() == "d=10, K=3 + 2, 90 examples"
    assert "cross-task cosine" in str(loaded.history)
    assert all((folder / name).exists() for name in ("report.html", "collapse.png"))
    assert scalars(folder)["nc/not_sum"]
    with pytest.raises(ValueError, match="have no classes"):
        loaded.class_moments()
    assert describe("nc/cross_task").title == "cross-task cosine"
    assert describe("train/task1/error").title == "error (train/task1)"


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
        {"loss__task_weights": (1.0, 1.0)},
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
            assert found[key] == pytest.approx(value, rel=5e-3, abs=1e-5), key
    if "eval__layers" in change:
        assert 0 < found["layers/01_dense1/nc/not_sum"] < 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loss__name": "cross_entropy"}, r"'tasks'\. Losses for it: sum_of_tasks"),
        ({"classifier__name": "spherical"}, r"'spherical' has .* Choose 'linear'"),
        ({"eval__confusion": True}, r"eval\.confusion = True measures classes"),
        ({"loss__task_weights": (1.0,)}, "1 weights for 2 tasks"),
        ({"loss__task_weights": (1.0, -1.0)}, "more than 0, got -1.0"),
        ({"data__examples_per_class": 5}, "examples_per_class choose by class"),
        ({"data__task_classes": (10, 11)}, r"two numbers in 2\.\.10"),
        ({"data__name": "digits"}, "is a loss for the target 'tasks'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_compiles(change, message):
    settings = config()
    if change.get("data__name") == "digits":
        settings = ncjax.default()
        settings.loss.name = "sum_of_tasks"
    else:
        settings = config(**change)
    with pytest.raises((ConfigError, DataError), match=message):
        ncjax.train(settings, devices=ONE, progress=False)


LABELS = np.array([[0, 1], [1, 0], [2, 1], [0, 0]], np.int32)


def dataset(labels, names="abcde", **about):
    images = np.zeros((len(labels), 1, 2, 1), np.float32)
    good = np.resize(LABELS, (len(labels), 2))
    pair = Split(images, labels), Split(images, good)
    return Dataset(
        "mine", *pair, tuple(names), **({"target": "tasks", "tasks": SIZES} | about)
    )


@pytest.mark.parametrize(
    ("labels", "about", "message"),
    [
        (LABELS.astype(np.int64), {}, "mine/train: labels are int64, must be int32"),
        (LABELS[:, 0], {}, r"shape \(4,\), must be \[n, 2\]"),
        (LABELS[:, :1], {}, r"shape \(4, 1\), must be \[n, 2\]: a class of each of 2"),
        (LABELS + np.int32([1, 0]), {}, r"task 0 lie in 1\.\.3, must lie in 0\.\.2"),
        (LABELS[:2], {}, "no training example of c"),
        (LABELS, {"tasks": ()}, r"needs the number of classes of each task"),
        (LABELS, {"tasks": (4, 1)}, "at least 2 classes of each"),
        (LABELS, {"names": "abcdef"}, r"6 class names for tasks of \(3, 2\) classes"),
        (LABELS[:, 0], {"target": "class"}, r"'class' has no tasks, got 2"),
    ],
)
def test_bad_labels_are_refused(labels, about, message):
    with pytest.raises(DataError, match=message):
        dataset(labels, **about)


def test_a_target_of_tasks_is_one_of_their_sizes():
    target = get_target("tasks", SIZES)
    assert target.sizes == of_sizes(SIZES).sizes == SIZES
    assert target.absent(LABELS, 5) == []
    assert target.kept(5, 10) == 10 + 2 + 1
    scores = jnp.array([[3.0, 1, 2, 0, 1], [0, 1, 0, 0, 1]])
    assert target.decide(scores).tolist() == [[0, 1], [1, 1]]
    assert target.error(scores, jnp.asarray(LABELS[:2])).tolist() == [False, True]
    whole = dataset(LABELS)
    assert data.select(whole) is whole
