"""A probe that is only registered is trained with, written, compared and repeated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, WorkdirError, probes
from ncjax.collapse.registry import Metric
from ncjax.comparison import compare
from ncjax.config import resolved, validate
from ncjax.config.fields import describe
from ncjax.config.stored import complete
from ncjax.io import plain
from ncjax.options import flat
from ncjax.probes import Probe
from ncjax.runs.metrics import describe as describe_metric
from ncjax.training.stored import open_run, probe
from tests.probes.test_probes import Sums
from tests.runs.events import scalars
from tests.training.test_train import rows_of, run, small

MSE = "mse_decomposition"


def brightness(subject, *, brightness_scale=1.0):
    """The mean score of the test set, times a factor."""

    def update(state, variables, images, labels, weights):
        values = subject.scores(variables, images).sum(1)
        return Sums(state.count + weights.sum(), state.pixels + weights @ values)

    def measure(variables, reader):
        empty = Sums(jnp.zeros(()), jnp.zeros(()))
        sums = reader.fold(update, empty, variables, "test")
        return {"mean": brightness_scale * sums.pixels / sums.count}

    return Probe(measure)


METRIC = Metric(
    "brightness/mean",
    "mean score",
    "what the probe finds",
    home="probe",
    curve="linear",
)


@pytest.fixture(scope="module", autouse=True)
def registered():
    """Registry, and what people read: the two lines that a new probe takes."""
    patch = pytest.MonkeyPatch()
    patch.setitem(probes.PROBES, "brightness", brightness)
    patch.setitem(probes.METRICS, METRIC.key, METRIC)
    yield
    patch.undo()


def probed(seed=0, num_seeds=1):
    config = small(2)
    config.seed, config.num_seeds = seed, num_seeds
    config.loss.name = "mse"
    config.eval.epochs = (1, 2)
    config.eval.probes = (MSE, "brightness")
    config.eval.brightness_scale = 10.0
    return config


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of seed 0."""
    folder = tmp_path_factory.mktemp("runs")
    run(probed(0), folder / "one0")
    return folder


@pytest.fixture(scope="module")
def both(folder):
    """And seed 1 alone, and the two seeds in one program."""
    run(probed(1), folder / "one1")
    run(probed(0, 2), folder / "both")
    return folder


def test_it_is_written_at_the_measured_epochs(folder):
    rows = rows_of(folder / "one0")
    assert [row["epoch"] for row in rows] == [1, 2]
    found = scalars(folder / "one0")
    for row in rows:
        for key in ("probe/brightness/mean", *(f"probe/{k}" for k in _mse_keys())):
            assert np.isfinite(row[key])
            assert (row["epoch"], pytest.approx(row[key])) in found[key]


def _mse_keys():
    return [key for key in probes.METRICS if key.startswith(MSE)]


def test_the_parts_sum_to_the_loss_that_was_trained(folder):
    """The loss on the training set and the penalty of the last layer."""
    row = rows_of(folder / "one0")[-1]
    parts = sum(row[f"probe/{MSE}/{part}"] for part in ("nc1", "nc2_nc3", "off_path"))
    _, state, experiment = open_run(folder / "one0")
    weights, bias = experiment.network.subject().classifier(state.variables())
    penalty = (
        0.5
        * probed().optimizer.weight_decay
        * ((np.asarray(weights) ** 2).sum() + (np.asarray(bias) ** 2).sum())
    )
    assert parts == pytest.approx(row["train/loss"] + penalty, rel=1e-4)
    assert row[f"probe/{MSE}/loss"] == pytest.approx(parts, rel=1e-5)


@pytest.mark.slow
def test_many_seeds_have_means_and_intervals(both):
    for seed in (0, 1):
        own = rows_of(both / "both" / "seeds" / str(seed))[-1]
        alone = rows_of(both / f"one{seed}")[-1]
        for key in ("probe/brightness/mean", f"probe/{MSE}/off_path"):
            assert own[key] == pytest.approx(alone[key], rel=1e-3, abs=1e-5), key
    row = rows_of(both / "both")[-1]
    assert {f"probe/brightness/mean{x}" for x in ("", "/low", "/high")} <= row.keys()


@pytest.mark.slow
def test_it_is_compared_and_drawn(both):
    keys = ["probe/brightness/mean", f"probe/{MSE}/nc1"]
    found = compare([both / "one0", both / "one1"], metrics=keys)
    assert "mean score" in found.table()
    assert "MSE loss: NC1" in found.table()
    values = [rows_of(both / f"one{s}")[-1][keys[0]] for s in (0, 1)]
    summary = found.groups[0].summary(describe_metric(keys[0]), found.level)
    assert float(summary.centre) == pytest.approx(np.mean(values))
    titles = [axis.get_title(loc="left") for axis in found.figure().axes]
    assert "mean score" in titles
    assert describe_metric(f"probe/{MSE}/nc1").log
    assert describe_metric("probe/unknown/nc1").title == "probe/unknown/nc1"


def test_a_stored_checkpoint_is_measured_again(folder):
    found = probe(folder / "one0", (MSE, "brightness"), devices=jax.devices()[:1])
    row = rows_of(folder / "one0")[-1]
    for key, value in found.items():
        assert float(value) == pytest.approx(row[key], rel=1e-5), key


@pytest.mark.slow
@pytest.mark.parametrize("which", ["one1", "both", "both/seeds/1"])
def test_a_stored_checkpoint_of_a_seed_is_measured_again(both, which):
    found = probe(both / which, (MSE, "brightness"), devices=jax.devices()[:1])
    row = rows_of(both / "both" / "seeds" / "1")[-1]
    assert set(found) == {"probe/brightness/mean", *(f"probe/{k}" for k in _mse_keys())}
    for key, value in found.items():
        of_seed_1 = value[1] if which == "both" else value
        assert float(of_seed_1) == pytest.approx(row[key], rel=1e-3, abs=1e-5), key


@pytest.mark.slow
def test_a_run_without_the_probe_is_measured_by_it(tmp_path):
    run(small(2), tmp_path / "run")
    options = {"mse_decay": 0.3, "devices": jax.devices()[:1]}
    found = probe(tmp_path / "run", (MSE,), epoch=2, **options)
    assert found[f"probe/{MSE}/loss"] > 0
    with pytest.raises(WorkdirError, match=r"no checkpoint of epoch 1\. It keeps .* 2"):
        probe(tmp_path / "run", (MSE,), epoch=1)
    with pytest.raises(WorkdirError, match="is not the folder of a run"):
        probe(tmp_path, (MSE,))
    with pytest.raises(ConfigError, match=r"Unknown config\.eval\.probes 'x'\. Avail"):
        probe(tmp_path / "run", ("x",))


def test_its_options_are_fields_and_it_is_refused_before_anything_compiles():
    config = small()
    assert "brightness_scale" not in resolved(config)["eval"]
    assert resolved(probed())["eval"]["brightness_scale"] == 10
    assert "brightness_scale = 1.0" in describe()
    old = resolved(probed())
    del old["eval"]["mse_decay"]  # an option that came later
    assert complete(old)["eval.mse_decay"] == 0
    assert plain(complete(old)) == plain(flat(resolved(probed())))

    config.eval.brightness_scale = 2.0
    with pytest.raises(ConfigError, match=r"no effect: .*probe 'brightness'\. Add it"):
        validate(config)
    config.eval.probes = ("brightnes",)
    with pytest.raises(ConfigError, match=r"Unknown config\.eval\.probes 'brightnes'"):
        ncjax.train(config, progress=False)
    config = probed()
    config.optimizer.weight_decay = 0.0
    with pytest.raises(ConfigError, match=r"config\.eval: .*needs a weight decay"):
        ncjax.train(config, progress=False)
    config.eval.mse_decay = -1.0
    with pytest.raises(ConfigError, match="mse_decay must be at least 0"):
        ncjax.train(config, progress=False)
