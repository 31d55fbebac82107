"""Many seeds at once: each is the single run, on any devices; means, files, errors."""

import json
import math
import os
import re

import jax
import numpy as np
import pytest
from scipy import stats

import ncjax
from ncjax import ConfigError, TrainingError
from ncjax.cluster import make_mesh
from ncjax.comparison import compare
from ncjax.comparison.networks import data_of, read_networks
from ncjax.comparison.runs import find, read
from ncjax.config import default, validate
from ncjax.config.binding import load_data
from ncjax.config.stored import complete
from ncjax.io import plain
from ncjax.models import MODELS
from ncjax.models.resnet import ResNet
from ncjax.runs import plots
from ncjax.runs.history import History
from ncjax.runs.seeds import mean_row
from ncjax.runs.workdir import Workdir
from ncjax.training.experiment import Experiment
from tests.thin import thin
from tests.training.test_train import ONE, rows_of, run, small

SEEDS = (5, 6, 7)


def many(count=3):
    config = small(4)
    config.seed = SEEDS[0]
    config.num_seeds = count
    config.eval.epochs = (1, 4)
    return config


def one(seed):
    config = many(1)
    config.seed = seed
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three seeds at once, and each alone."""
    folder = tmp_path_factory.mktemp("runs")
    run(many(), folder / "many")
    for seed in SEEDS:
        run(one(seed), folder / f"one{seed}")
    return folder


def assert_same(rows, others):
    """The same metrics, to a hundred roundings.

    Steps of a few epochs are alike to a few roundings (1e-7); measurements sum over
    samples and classes.  A metric that is 0 but for rounding has no relative error.
    """
    assert len(rows) == len(others)
    for row, other in zip(rows, others):
        assert row.keys() == other.keys()
        for name, value in row.items():
            np.testing.assert_allclose(
                value, other[name], rtol=1e-5, atol=2e-6, err_msg=name
            )


def test_a_seed_of_many_is_the_single_run(folder):
    for seed in SEEDS:
        assert_same(
            rows_of(folder / f"many/seeds/{seed}"), rows_of(folder / f"one{seed}")
        )
    last = [rows_of(folder / f"one{seed}")[-1]["train/loss"] for seed in SEEDS]
    assert np.ptp(last) > 1e-3  # the seeds do differ


def test_the_networks_of_many_are_those_of_single_runs(folder):
    singles = [read(folder / f"one{seed}") for seed in SEEDS]
    together = [read(path) for path in find([folder / "many"])]
    assert [r.seed for r in together] == list(SEEDS)
    config, dataset, _ = data_of(together[0])
    for a, b in zip(
        read_networks(together, config, dataset),
        read_networks(singles, config, dataset),
    ):
        assert a.epoch == b.epoch == 4
        np.testing.assert_allclose(a.classifier, b.classifier, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a.outputs, b.outputs, rtol=1e-5, atol=1e-5)


def test_what_many_seeds_leave(folder):
    whole = folder / "many"
    names = {p.name.split(".")[0] for p in whole.iterdir()}
    assert names == {
        *("config", "metrics", "events", "classes", "collapse", "report"),
        *("checkpoints", "seeds"),
    }
    for seed in SEEDS:
        own = whole / "seeds" / str(seed)
        assert {p.name.split(".")[0] for p in own.iterdir()} == {
            *("config", "metrics", "events", "movie")
        }
        alone = folder / f"one{seed}"
        settings = [json.loads((f / "config.json").read_text()) for f in (own, alone)]
        assert complete(settings[0]) == complete(settings[1])
        assert list(settings[0]) == list(settings[1])
    rows = rows_of(whole)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    of_seeds = [rows_of(whole / "seeds" / str(seed)) for seed in SEEDS]
    for i, row in enumerate(rows):
        assert row == plain(mean_row([r[i] for r in of_seeds]))


def test_compare_reads_the_seeds_and_finds_the_same_means(folder):
    found = compare(folder / "many")
    (group,) = found.groups
    assert group.seeds == SEEDS
    row = rows_of(folder / "many")[-1]
    for metric in found.metrics:
        interval = group.summary(metric, found.level)
        assert row[metric.key] == pytest.approx(float(interval.centre))
        assert row[f"{metric.key}/low"] == pytest.approx(float(interval.low))
    assert find([folder / "many" / "seeds"]) == find([folder / "many"])
    assert find([folder / "m*"]) == find([folder / "many"])


def test_means_by_hand():
    values = {
        "nc/nc1": (0.01, 1.0),
        "layers/a/nc/nc1": (4.0, 9.0),
        "test/error": (0.1, 0.3),
        "x": (2.0, math.nan),
        "test/confusion": ([[1.0, 0.0]], [[0.0, 3.0]]),
    }
    rows = [{"epoch": 3} | {k: v[i] for k, v in values.items()} for i in (0, 1)]
    found = mean_row(rows)
    assert found["epoch"] == 3
    assert found["nc/nc1"] == pytest.approx(0.1)  # the geometric mean
    assert found["layers/a/nc/nc1"] == pytest.approx(6)
    assert found["test/error"] == pytest.approx(0.2)
    t = 12.706204736  # of one degree of freedom, 97.5 %
    assert found["test/error/high"] == pytest.approx(0.2 + t * 0.1)
    assert found["test/error/low"] == pytest.approx(0.2 - t * 0.1)
    assert found["nc/nc1/high"] == pytest.approx(0.1 * 10**t)
    assert found["x"] == 2  # undefined in the other seed
    assert found["test/confusion"] == [[0.5, 1.5]]
    assert "test/confusion/low" not in found
    assert math.isnan(found["x/low"])
    assert math.isnan(found["x/high"])


def test_the_interval_covers_at_its_level():
    rng = np.random.default_rng(0)
    hit = 0
    for sample in np.exp(rng.normal(-3, 1, (2000, 5))):
        row = mean_row([{"epoch": 1, "nc/nc1": x} for x in sample])
        hit += row["nc/nc1/low"] <= math.exp(-3) <= row["nc/nc1/high"]
    low, high = stats.binom.interval(0.999, 2000, 0.95)
    assert low <= hit <= high


def test_the_table_and_the_figure_show_the_interval(folder):
    history = run(many(), folder / "many")  # finished: only read again
    assert [h.rows[-1]["epoch"] for h in history.seeds] == [4, 4, 4]
    text = str(history)
    assert text.startswith("mean of 3 seeds [95 % interval]")
    row = history.rows[-1]
    low, high = row["nc/nc2/low"], row["nc/nc2/high"]
    assert f"{row['nc/nc2']:.3g} [{low:.3g}, {high:.3g}]" in text
    assert max(map(len, text.splitlines())) < 120
    nc2 = plots.collapse(history).axes
    assert [len(axis.collections) for axis in nc2].count(2) == 4  # NC2, NC3: train only
    alone = plots.collapse(History(history.seeds[0].rows))
    assert all(not axis.collections for axis in alone.axes)


@pytest.mark.slow
def test_continues_exactly_where_it_stopped(folder, tmp_path, monkeypatch):
    write = Workdir.write

    def interrupted(self, row):
        if row["epoch"] == 3:  # after the checkpoint of epoch 2
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(many(), tmp_path / "cut")
    with (tmp_path / "cut/seeds/6/metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "running/loss": 1.0}\n{"epoch": 4, "ru')
    run(many(), tmp_path / "cut")
    for name in ("", *(f"seeds/{seed}" for seed in SEEDS)):
        assert rows_of(tmp_path / "cut" / name) == rows_of(folder / "many" / name)


def test_a_killed_writer_of_events_is_made_good(folder, tmp_path):
    config = json.loads((folder / "one5" / "config.json").read_text())
    workdir = Workdir(tmp_path / "run", config)
    workdir.append(rows_of(folder / "one5")[:1])
    workdir.renew_events()
    (first,) = workdir.path.glob("events*")
    before = first.read_bytes()
    os.utime(first, (0, 0))  # a clock that was set back says nothing
    workdir.renew_events()  # of these metrics: left alone
    assert first.read_bytes() == before
    workdir.append(rows_of(folder / "one5")[1:])
    workdir.renew_events()
    (second,) = workdir.path.glob("events*")
    assert len(second.read_bytes()) > len(before)


@pytest.mark.parametrize(
    ("seeds", "devices", "shape"),
    [(1, 8, (1, 8)), (4, 8, (4, 2)), (8, 8, (8, 1)), (3, 8, (1, 8)), (16, 1, (1, 1))],
)
def test_mesh(seeds, devices, shape):
    mesh = make_mesh(jax.devices()[:devices], seeds)
    assert (mesh.shape["seeds"], mesh.shape["data"]) == shape


def test_training_on_eight_devices(folder):
    """Four groups of two devices, a seed each; curves of three are compared."""
    config = many(4)
    together = Experiment(config, load_data(config), jax.devices())
    state = together.init()
    for number in (1, 2):
        state, steps = together.epoch(state, number)
        for place, seed in enumerate(SEEDS):
            alone = rows_of(folder / f"one{seed}")[number - 1]["running/loss"]
            assert steps["loss"][place].mean() == pytest.approx(alone, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4, 8])
def test_one_and_eight_devices_give_the_same_curves(folder, count):
    history = ncjax.train(many(count), devices=jax.devices(), progress=False)
    assert len(history.seeds) == count
    for seed, found in zip(SEEDS, history.seeds):
        single = [row for row in rows_of(folder / f"one{seed}") if "nc/nc1" in row]
        for row, other in zip(found.rows, single, strict=True):
            for name in ("train/loss", "nc/nc1", "nc/nc2", "nc/nc3", "test/nc1"):
                assert row[name] == pytest.approx(other[name], rel=2e-4), name


@pytest.fixture
def tiny(monkeypatch):
    """A run of a ResNet that compiles in seconds."""

    def resnet(outputs, *, dtype=np.float32):
        return ResNet(outputs, blocks=(1,), width=4, dtype=dtype)

    monkeypatch.setitem(MODELS, "resnet18", resnet)
    config = small(2)
    config.model.name, config.model.widths = "resnet18", default().model.widths
    config.eval.epochs = (2,)
    return config


@pytest.mark.parametrize("model", thin(["mlp", "resnet"], keep={0}))
def test_groups_of_devices_do_not_wait_for_each_other(tiny, model):
    """Four networks on two devices; only the metrics of an epoch are exchanged."""
    config = tiny if model == "resnet" else many()
    config.num_seeds = 4
    together = Experiment(config, load_data(config), jax.devices()[:2])
    state = together.init()
    arguments = state, together._epoch_key(1), *together.train_set
    text = together.run_epoch.lower(*arguments).compile().as_text()
    steps = config.data.examples_per_class * 10 // config.batch_size
    found = re.findall(r"= (.*?)\{.* (all-\w+|collective-\w+|reduce-scatter)\(", text)
    assert found == [(f"f32[4,{steps}]", "all-gather")] * 2
    assert "group_count" not in text


@pytest.mark.slow
def test_convolutions_train_in_turn(tmp_path, tiny):
    """Two networks on one device: bit for bit that of the single run."""
    config = tiny
    config.num_seeds = 2
    run(config, tmp_path / "many")
    config.seed, config.num_seeds = 1, 1
    run(config, tmp_path / "one")
    assert rows_of(tmp_path / "many/seeds/1") == rows_of(tmp_path / "one")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "devices"), [(2, 4), (4, 2)], ids=["own batch", "two take turns"]
)
def test_resnet_with_batch_norm_over_its_own_batch(count, devices):
    """As one network on one device."""
    config = default()
    config.data.name = "synthetic"
    config.data.dim = 64
    config.data.num_classes = 4
    config.data.train_size_per_class = 16
    config.data.test_size_per_class = 4
    config.data.augment = "crop_flip"
    config.model.name = "resnet18"
    config.model.width = 1 / 16
    config.num_epochs = 1
    config.batch_size = 32
    dataset = load_data(config)
    config.num_seeds = count
    together = Experiment(config, dataset, jax.devices()[:devices])
    state, steps = together.epoch(together.init(), 1)
    config.num_seeds = 1
    for place in (0, count - 1):
        config.seed = place
        single = Experiment(config, dataset, ONE)
        own, own_steps = single.epoch(single.init(), 1)
        np.testing.assert_allclose(
            steps["loss"][place], own_steps["loss"], rtol=1e-5, atol=1e-6
        )
        assert jax.tree.leaves(own.batch_stats)
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(own), strict=True):
            np.testing.assert_allclose(a[place], b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_its_seed(tmp_path, monkeypatch):
    epoch = Experiment.epoch

    def broken(self, state, number):
        state, steps = epoch(self, state, number)
        if number == 3:
            steps = steps | {"loss": steps["loss"].at[1, 2].set(math.nan)}
        return state, steps

    monkeypatch.setattr(Experiment, "epoch", broken)
    steps = 300 // 64
    with pytest.raises(
        TrainingError,
        match=f"loss of seed 6 became nan in epoch 3, at step {2 * steps + 3}.*epoch 2",
    ):
        run(many(), tmp_path / "run")


def test_bad_numbers_of_seeds():
    config = many(0)
    with pytest.raises(ConfigError, match=r"config\.num_seeds must be between 1 and"):
        validate(config)
    config = many(3)
    config.seed = 2**31 - 2
    with pytest.raises(ConfigError, match="ends at seed 2147483648; the largest is"):
        validate(config)
    config = many(2)
    config.batch_size = 30
    with pytest.raises(ConfigError, match=r"30.*over 4 devices.*2 group\(s\) of 4"):
        ncjax.train(config, devices=jax.devices(), progress=False)
