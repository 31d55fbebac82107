"""A training loop of any framework leaves what a run leaves, measured as by measure."""

import json
import re
import sys
import warnings
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import ncjax
from ncjax.measurement.epoch import meter
from ncjax.measurement.given import integer
from ncjax.measurement.recorder import Recorder
from ncjax.options import InputError
from ncjax.runs.record import Record
from tests.comparison.folders import row as row_of_ours, write
from tests.measurement.features import FEATURES, LABELS, B, D, K, N, W, clusters
from tests.runs.events import scalars

ROOT = Path(__file__).parents[2]
TEST, TEST_LABELS, _, _ = clusters(n=150, seed=3)
HEAD = {"classifier": W, "bias": B}
LOGITS = FEATURES @ W.T + B


def record(recorder, epoch=1, cuts=(), kind=np.asarray, features=FEATURES, **head):
    """One epoch of the features in batches that are cut at these rows; its row."""
    for rows in np.split(np.arange(N), sorted(cuts)):
        recorder.add(epoch, kind(features[rows]), kind(LABELS[rows]))
    recorder.add(epoch, kind(TEST), kind(TEST_LABELS), split="test")
    return recorder.end(epoch, **(head or HEAD))


def shared(measurement):
    """The numbers of a measurement, under the keys of a run."""
    keys = {key: f"nc/{key}" for key in measurement.values}
    keys |= {k: f"test/{k[5:]}" for k in keys if k.startswith("test_")}
    keys["ncc_accuracy"] = "train/ncc_accuracy"
    found = {key: measurement[old] for old, key in keys.items()}
    found["train/error"] = 1 - found.pop("nc/accuracy")
    found["test/error"] = 1 - found.pop("test/accuracy")
    return found


def assert_same(row, measurement):
    for key, value in shared(measurement).items():
        assert row[key] == pytest.approx(value, rel=2e-5, abs=1e-6), key


def measured(**changes):
    given = {"test_features": TEST, "test_labels": TEST_LABELS, **HEAD} | changes
    return ncjax.measure(FEATURES, LABELS, **given)


@pytest.fixture(scope="module")
def want():
    return measured()


@settings(max_examples=12, deadline=None)
@given(
    st.sets(st.integers(1, N - 1), max_size=9),
    st.sampled_from(["numpy", "jax", "torch"]),
)
def test_any_batches_of_any_framework_are_measured_as_by_measure(want, cuts, framework):
    kinds = {"numpy": np.array, "jax": jnp.asarray, "torch": as_torch}
    recorder = Recorder(None, K)
    assert_same(record(recorder, 3, cuts, kinds[framework]), want)
    assert recorder.latest == 3


def as_torch(array):
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(array)
    return tensor.requires_grad_() if tensor.is_floating_point() else tensor.long()


def test_what_is_added_is_copied(want):
    recorder, batch = Recorder(None, K), np.empty((100, D), np.float32)
    for i in range(0, N, 100):
        batch[:] = FEATURES[i : i + 100]  # a loader that uses its memory again
        recorder.add(1, batch, LABELS[i : i + 100])
    recorder.add(1, TEST, TEST_LABELS, split="test")
    assert_same(recorder.end(1, **HEAD), want)


def test_epochs_do_not_mix(want):
    recorder = Recorder(None, K)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(recorder, 1, features=FEATURES[::-1] + 1)
        assert_same(record(recorder, 2), want)
        recorder.add(4, FEATURES * np.nan, LABELS)
        recorder.discard()
        assert_same(record(recorder, 3), want)
    recorder.add(4, FEATURES[:300], LABELS[:300])
    with pytest.warns(UserWarning, match="There are 300 train features, and 600 in"):
        recorder.end(4, **HEAD)


def test_the_keys_are_those_of_every_run():
    line = (ROOT / "tests/benchmarks/results/digits/metrics.jsonl").read_text()
    ours = json.loads(line.splitlines()[-1])
    kept = {
        key
        for key in ours
        if not re.match("running/|tree/|theory/", key)
        and not re.search(
            "gram_to|ahd|_distance|level|hierarchical|precision|severity", key
        )
    }
    # Unasked only where they cost little: of narrower features than those of the run.
    found = set(record(Recorder(None, K))) - {"nc/vci", "nc/effective_rank_within"}
    assert found == kept - {"test/top5_error"}


@pytest.mark.slow
def test_logits_stand_for_the_classifier(want):
    recorder = Recorder(None, K)
    wrong = LOGITS.copy()
    wrong[:60] = -LOGITS[:60]
    wrong[60:90, 1:] = -np.inf  # classes that are ruled out
    recorder.add(1, FEATURES[:200], LABELS[:200], logits=wrong[:200])
    recorder.add(1, FEATURES[200:], LABELS[200:], logits=wrong[200:])
    row = recorder.end(1)
    assert row["train/error"] == pytest.approx(np.mean(wrong.argmax(1) != LABELS))
    assert row["nc/nc1"] == pytest.approx(want["nc1"], rel=1e-5)
    assert "nc/nc3" not in row
    assert np.isnan(row["test/error"])
    assert np.isnan(row["test/nc1"])
    with pytest.raises(InputError, match="has a classifier, but epoch 1 has none"):
        record(recorder, 2)


def test_the_loss_is_the_cross_entropy_or_what_is_given():
    recorder = Recorder(None, K)
    found = record(recorder)["train/loss"]
    log = np.log(np.exp(LOGITS).sum(1)) - LOGITS[np.arange(N), LABELS]
    assert found == pytest.approx(log.mean(), rel=1e-4)
    own = np.arange(N, dtype=np.float32)
    recorder.add(2, FEATURES[:150], LABELS[:150], loss=own[:150])
    recorder.add(2, FEATURES[150:], LABELS[150:], loss=jnp.float32(own[150:].mean()))
    row = recorder.end(2, **HEAD)
    assert row["train/loss"] == pytest.approx(own.mean())
    assert row["train/error"] == recorder.history["train/error"][0]


@pytest.fixture
def brief(monkeypatch):
    """A few metrics only: another type or convention would compile all of them."""
    only = ("rank", "nc1", "nc1_floor", "trace_ratio", "nc2", "nc3")
    module = sys.modules["ncjax.collapse.measure"]
    monkeypatch.setattr(module, "available", lambda *_, **__: only)
    meter.cache_clear()
    yield
    meter.cache_clear()


@pytest.mark.parametrize("dtype", [np.float64, jnp.bfloat16])
def test_the_type_of_the_features_is_kept(few, brief, dtype):
    """Deviations of 1e-9 are there in float64; the floor is that of the type."""
    features = (W[LABELS] + 1e-9 * FEATURES.astype(np.float64)).astype(dtype)
    row = record(Recorder(None, K), features=features)
    want = ncjax.measure(features, LABELS, **HEAD)
    for key in ("nc1", "nc1_floor", "nc2", "nc3", "nc4"):
        assert row[f"nc/{key}"] == pytest.approx(want[key], rel=1e-5, abs=1e-30), key


def test_conventions_of_other_papers(few, brief):
    row = record(Recorder(None, K, preset="zhu2021"))
    assert_same(row, measured(preset="zhu2021"))


def test_tokens_are_pooled_with_their_mask(want):
    tokens = np.full((N, 2, D), np.nan, np.float32)
    place = np.arange(N) % 2
    tokens[np.arange(N), place] = FEATURES
    recorder = Recorder(None, K, pool="last")
    recorder.add(1, tokens, LABELS, mask=np.eye(2)[place])
    recorder.add(1, TEST[:, None], TEST_LABELS, split="test")
    assert_same(recorder.end(1, **HEAD), want)


TREE = ncjax.hierarchy.from_nested(
    {"a": ["p", "q"], "b": {"c": ["r", "s"], "d": ["t"]}}
)


@pytest.mark.slow
def test_a_tree_and_the_confusion(tmp_path, brief, drawn):
    order = ("r", "t", "p", "q", "s")
    given = {"class_names": order, "hierarchy": TREE, "confusion": True}
    tree = TREE.restrict(order)
    with Recorder(tmp_path / "run", K, **given) as recorder:
        recorder.add(1, *SOME, logits=LOGITS[:9])
        with pytest.raises(InputError, match=r"no test features, in which confusion"):
            recorder.end(1)
        recorder.discard()
        text = np.array(order)[LABELS]
        recorder.add(1, FEATURES, text.tolist(), logits=LOGITS)
        recorder.add(1, TEST, TEST_LABELS, logits=-TEST @ W.T - B, split="test")
        row = recorder.end(1)  # no classifier
    decided = (-TEST @ W.T - B).argmax(1)
    heights = tree.lca_heights()[TEST_LABELS, decided]
    assert row["test/ahd@1"] == pytest.approx(heights.mean())
    assert row["test/mistake_severity"] == pytest.approx(heights[heights > 0].mean())
    table = np.zeros((K, K))
    np.add.at(table, (TEST_LABELS, decided), 1 / len(decided))
    np.testing.assert_allclose(row["test/confusion"], table, atol=1e-7)
    means = np.stack([FEATURES[k == LABELS].mean(0) for k in range(K)])
    rows = means - means.mean(0)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    siblings = (rows[2] @ rows[3] + rows[0] @ rows[4]) / 2  # p and q, r and s
    assert row["tree/sibling_cosine"] == pytest.approx(siblings, rel=1e-4)
    assert "tree/level1/nc1" in row
    assert "tree/level1/nc3" not in row
    assert drawn == [(order, tree)]
    with pytest.raises(InputError, match=r"differ in recorder.class_names .* there"):
        Recorder(tmp_path / "run", K, **given | {"class_names": order[::-1]})
    with pytest.raises(InputError, match=r"differ in recorder.hierarchy"):
        Recorder(tmp_path / "run", K, class_names=order, confusion=True)


@pytest.fixture
def drawn(monkeypatch):
    """What is drawn of a run: the class names and the tree; figures take seconds."""
    found = []
    monkeypatch.setattr(Record, "draw", lambda _, *about: found.append(about))
    return found


def lines(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_recorded_run_leaves_the_files_of_a_run(tmp_path):
    config = {"seed": 2, "loss": "mse", "out": tmp_path, "optimizer": {"lr": (0.1,)}}
    with Recorder(tmp_path / "run", K, config=config) as recorder:
        assert recorder.workdir == tmp_path / "run"
        for epoch in (1, 5):
            recorder.add(epoch, FEATURES, LABELS)
            recorder.end(epoch, **HEAD)
        assert recorder.history["nc/nc1"].shape == (2,)
        assert "NC1" in str(recorder.history)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    assert stored["loss"] == {"name": "mse"}
    assert stored["optimizer"] == {"lr": [0.1]}
    assert stored["out"] == str(tmp_path)
    assert stored["about"]["ncjax"] == ncjax.__version__
    assert [x["epoch"] for x in lines(tmp_path / "run")] == [1, 5]
    assert lines(tmp_path / "run")[0]["test/nc1"] is None  # there is no test set
    assert [step for step, _ in scalars(tmp_path / "run")["nc/nc1"]] == [1, 5]
    assert (tmp_path / "run" / "collapse.png").is_file()


def test_a_killed_run_goes_on(tmp_path, drawn):
    first = Recorder(tmp_path, K)
    for epoch in (1, 2):
        record(first, epoch)
    first.add(3, FEATURES, LABELS)  # killed before its end, and in its last line
    file = tmp_path / "metrics.jsonl"
    whole = file.read_text()
    for left in (whole + '{"epoch": 3, "nc/n', whole[:-1]):
        file.write_text(left)
        again = Recorder(tmp_path, K)
        assert again.latest == 2
        assert file.read_text() == whole
        record(again, 3)
        assert [x["epoch"] for x in lines(tmp_path)] == [1, 2, 3]
        again.close()
    assert again.history.rows[:2] == first.history.rows
    # The network itself may have been kept at an earlier epoch.
    with Recorder(tmp_path, K, after=1) as back:
        assert back.latest == 1
        assert [x["epoch"] for x in lines(tmp_path)] == [1]
        record(back, 2)
    assert [x["epoch"] for x in lines(tmp_path)] == [1, 2]


def test_the_figure_is_there_before_the_end(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr("ncjax.measurement.recorder._REDRAWN", -1.0)
    recorder = Recorder(tmp_path / "run", K)
    record(recorder)
    assert drawn == [(tuple("01234"), None)]


def test_compare_takes_recorded_runs(tmp_path, drawn):
    for loss in ("mse", "focal"):
        for seed in (0, 1):
            config = {"loss": loss, "seed": seed, "lr": 0.1}
            with Recorder(tmp_path / f"{loss}{seed}", K, config=config) as recorder:
                record(recorder, 1, features=FEATURES * (1 + seed))
    comparison = ncjax.compare(tmp_path)
    assert [group.name for group in comparison.groups] == ["focal", "mse"]
    assert [group.seeds for group in comparison.groups] == [(0, 1), (0, 1)]
    assert comparison.warnings == ()
    write(tmp_path / "ours", [row_of_ours(1)])
    names = [group.name for group in ncjax.compare(tmp_path).groups]
    assert names == ["recorded focal", "recorded mse", "cross_entropy"]
    with pytest.raises(ncjax.CompareError, match=r"No theory .* focal, mse"):
        ncjax.compare(str(tmp_path / "[fm]*"), theory=True)


def test_compare_says_how_recorders_become_seeds(tmp_path, drawn):
    for name in "ab":
        with Recorder(tmp_path / name, K) as recorder:
            record(recorder)
    with pytest.raises(ncjax.CompareError, match=r"twice.*config={'seed': \.\.\.}"):
        ncjax.compare(tmp_path)


def test_a_folder_of_another_run_is_refused(tmp_path):
    Recorder(tmp_path / "mine", K, config={"lr": 0.1}).close()
    with pytest.raises(ncjax.WorkdirError, match=r"num_classes \(5 there, 6 now\)"):
        Recorder(tmp_path / "mine", K + 1, config={"lr": 0.1})
    with pytest.raises(ncjax.WorkdirError, match=r"in lr \(0.1 there, 0.2 now\)"):
        Recorder(tmp_path / "mine", K, config={"lr": 0.2})
    write(tmp_path / "ours", [row_of_ours(1)])
    with pytest.raises(ncjax.WorkdirError, match="holds a run of training, and this"):
        Recorder(tmp_path / "ours", K)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("precious")
    with pytest.raises(ncjax.WorkdirError, match="is not empty and holds no run"):
        Recorder(tmp_path / "other", K)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ({"class_names": "pq"}, "2 class names for num_classes = 5"),
        ({"hierarchy": ncjax.hierarchy.balanced((2, 2))}, "tree has 4 classes, but"),
        ({"pool": "max"}, "Unknown pool 'max'. Available: mean"),
        ({"after": -1}, "after must be at least 0"),
        ({"config": {"recorder": 1}}, "'recorder' of config is the recorder's"),
        ({"config": {"f": len}}, "config cannot be stored as JSON: .* not builtin_fu"),
        ({"config": {"seed": "one"}}, r"config\['seed'\] is 'one'; an integer"),
    ],
)
def test_bad_options(tmp_path, options, message):
    with pytest.raises(InputError, match=message) as error:
        Recorder(tmp_path / "run", **{"num_classes": K} | options)
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


BAD = FEATURES.copy()
BAD[[17, 300], 2] = np.nan
TOKENS = np.zeros((N, 3, D), np.float32)
SOME = (FEATURES[:9], LABELS[:9])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((0, *SOME), r"epoch must be at least 1, got 0\. .* record epoch \+ 1"),
        ((2, *SOME), r"Epoch 2 goes back: epoch 2 is .* on with epoch 3.*after=1\)"),
        ((4, FEATURES, LABELS + 1), r"train labels of epoch 4.*1 to K: subtract 1"),
        ((4, FEATURES, -LABELS), "0..4 are allowed"),
        ((4, FEATURES, LABELS / 2), "labels are integers"),
        ((4, FEATURES, LABELS[1:]), r"shape \(600, 12\), their labels \(599,\)"),
        ((4, FEATURES[0], LABELS), r"shape \(12,\); \[n, d\] is needed"),
        ((4, FEATURES[:, :0], LABELS), r"shape \(600, 0\)"),
        ((4, TOKENS, LABELS), "Say how feature maps become vectors"),
        ((4, FEATURES.astype(str), LABELS), "real numbers are needed"),
        ((4, FEATURES, np.full(N, "cat")), "class_names"),
        ((4, *SOME, {"split": "val"}), "Unknown split 'val'. Available: train, test"),
        ((4, *SOME, {"logits": LOGITS}), r"\(600, 5\); \[n, K\] = \(9, 5\) is needed"),
        ((4, *SOME, {"logits": LOGITS[:9, 0]}), r"z of a binary network stands for"),
        ((4, *SOME, {"logits": BAD[15:24, :5]}), "train logits .* first is row 2"),
        ((4, *SOME, {"loss": np.zeros((9, 5))}), r"loss has shape \(9, 5\)"),
        ((4, *SOME, {"mask": np.ones((9, 2))}), "mask of the tokens .* pool=None"),
    ],
)
def test_a_bad_batch_is_refused_and_nothing_is_taken_in(want, given, message):
    recorder = Recorder(None, K)
    record(recorder, 2)
    epoch, features, labels, *more = given
    with pytest.raises(InputError, match=message) as error:
        recorder.add(epoch, features, labels, **(more[0] if more else {}))
    assert "\n" not in str(error.value)
    assert_same(record(recorder, 3), want)


def test_batches_that_do_not_belong_together():
    recorder = Recorder(None, K)
    recorder.add(1, *SOME, logits=LOGITS[:9])
    for features, message in [
        (
            SOME[0][:, 1:],
            r"train features of epoch 1 differ: .* float32 \[11\], .*\[12\]",
        ),
        (SOME[0].astype(np.float64), r"features float64 \[12\].*features float32"),
        (SOME[0], r"labels int32, those before .* logits float32 \[5\]\."),
    ]:
        with pytest.raises(InputError, match=message):
            recorder.add(1, features, SOME[1])
    with pytest.raises(InputError, match=r"test features .* width 11, train .* 12"):
        recorder.add(1, SOME[0][:, 1:], SOME[1], split="test")
    with pytest.raises(InputError, match=r"Epoch 2 .* epoch 1 is open.*end\(1\)"):
        recorder.add(2, *SOME)
    with pytest.raises(InputError, match=r"Epoch 2 .* epoch 1 is open.*end\(1\)"):
        recorder.end(2)


ALONE = FEATURES[LABELS == 2], LABELS[LABELS == 2]
REST = FEATURES[LABELS != 2], LABELS[LABELS != 2]


@pytest.mark.parametrize(
    ("train", "test", "head", "message"),
    [
        (None, None, HEAD, r"Epoch 1 has no train features: add them with add\(1, "),
        (None, SOME, HEAD, "Epoch 1 has no train features"),
        ((FEATURES, LABELS), SOME, {}, r"train features of epoch 1 have no logits"),
        ((BAD, LABELS), SOME, HEAD, "train .* epoch 1 are not finite.*first is row 17"),
        (
            (FEATURES, LABELS),
            (BAD, LABELS),
            HEAD,
            "test features of epoch 1 are not fi",
        ),
        (
            REST,
            SOME,
            HEAD,
            "Class 2 is in the test features of epoch 1, but not in the",
        ),
        (ALONE, None, HEAD, "train features of epoch 1 are all of one class"),
        (
            (FEATURES, LABELS),
            SOME,
            {"classifier": W.T},
            "Keras kernels have; .* transpo",
        ),
        (
            (FEATURES, LABELS),
            SOME,
            {"classifier": W[:4]},
            "has 4 rows, but .* 5 classes",
        ),
        ((FEATURES, LABELS), SOME, {"bias": B}, "a bias, but no classifier"),
    ],
)
def test_an_epoch_that_cannot_be_measured_stays_open(train, test, head, message):
    recorder = Recorder(None, K)
    if train is not None:
        recorder.add(1, *train)
    if test is not None:
        recorder.add(1, *test, split="test")
    with pytest.raises(InputError, match=message) as error:
        recorder.end(1, **head)
    assert "\n" not in str(error.value)
    assert recorder.latest == 0
    recorder.discard()
    record(recorder, 1)


def test_a_closed_recorder(tmp_path):
    recorder = Recorder(tmp_path / "run", K)
    recorder.add(1, *SOME)
    with pytest.warns(UserWarning, match="Epoch 1 was added but not ended"):
        recorder.close()
    recorder.close()
    with pytest.raises(InputError, match=r"is closed\. Open its"):
        recorder.add(1, *SOME)
    again = Recorder(tmp_path / "run", K)

    def loop():
        with again:
            again.add(1, *SOME)
            raise KeyError  # no second message hides why the loop failed

    with pytest.raises(KeyError):
        loop()


def test_numbers_of_epochs():
    assert integer(np.int64(3), "epoch", 1) == 3
    for value in (1.0, "1", None, jnp.ones(2)):
        with pytest.raises(InputError, match=r"epoch is .*; an integer of 1 or more"):
            integer(value, "epoch", 1)


def test_what_makes_numbers_void_is_said_once():
    recorder = Recorder(None, K)
    with pytest.warns(UserWarning, match=r"Epoch 1: The rows .* in another order"):
        record(recorder, 1, classifier=W[::-1], bias=B[::-1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        record(recorder, 2, classifier=W[::-1], bias=B[::-1])
