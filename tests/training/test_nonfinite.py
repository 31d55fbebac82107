"""Steps that are not finite: the run stops, or leaves them out and counts them."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax.config import ConfigError, default, resolved, validate
from ncjax.config.binding import load_data
from ncjax.config.stored import complete
from ncjax.losses import LOSSES, cross_entropy, mse
from ncjax.models import mlp
from ncjax.optimizers import OPTIMIZERS
from ncjax.training.experiment import Experiment
from ncjax.training.loop import Stopped, TrainingError, Unbroken, _rows, broken
from ncjax.training.plan import members_of
from ncjax.training.step import init_state, make_train_step

SHAPE, BATCH = (4, 4, 1), 20
ONE = jax.devices()[:1]


def infinite_slope(logits, labels):
    """A loss that is finite where its gradient is not: sqrt at 0."""
    return cross_entropy(logits, labels) + jnp.sqrt(jnp.abs(logits - logits)).sum(-1)


def infinite(logits, labels):
    return cross_entropy(logits, labels) * jnp.inf


def fragile(logits, labels):
    """Not a number for training batches that begin with one of three classes."""
    bad = (labels[0] < 3) & (len(labels) == BATCH)
    return jnp.where(bad, jnp.nan, cross_entropy(logits, labels))


def batch(seed):
    rng = np.random.default_rng(seed)
    images = rng.normal(size=(8, *SHAPE)).astype(np.float32)
    return jnp.asarray(images), jnp.asarray(rng.integers(0, 3, 8), jnp.int32)


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("sgd", infinite_slope),
        pytest.param("adamw", infinite_slope, marks=pytest.mark.slow),
        pytest.param("sam", infinite, marks=pytest.mark.slow),
        pytest.param("muon", infinite, marks=pytest.mark.slow),
    ],
)
def test_a_step_that_is_not_finite_changes_nothing(name, bad):
    model, optimizer = mlp(3, widths=(8, 8)), OPTIMIZERS[name](0.1)
    state = init_state(model, optimizer, jax.random.key(0), SHAPE)
    plain = make_train_step(model, cross_entropy, optimizer)
    skips = make_train_step(model, cross_entropy, optimizer, skip_nonfinite=True)
    fails = make_train_step(model, bad, optimizer, skip_nonfinite=True)
    state, _ = plain(state, *batch(0))  # the optimizer has something to remember
    same, metrics = jax.jit(fails)(state, *batch(1))
    assert_equal(same, state)
    assert np.isnan(metrics["loss"])
    assert np.isnan(metrics["error"])
    assert_equal(skips(same, *batch(2)), plain(state, *batch(2)))
    spoiled, _ = make_train_step(model, bad, optimizer)(state, *batch(1))
    assert not all(np.isfinite(x).all() for x in jax.tree.leaves(spoiled.params))


def test_statistics_that_are_not_finite_are_not_taken_over():
    """Images so large that their variance overflows, and a loss that does not look."""
    model, optimizer = mlp(3, widths=(8,)), OPTIMIZERS["sgd"](0.1)
    state = init_state(model, optimizer, jax.random.key(0), SHAPE)

    def blind(logits, labels):
        return jnp.zeros(len(labels))

    step = make_train_step(model, blind, optimizer, skip_nonfinite=True)
    images, labels = batch(0)
    same, _ = step(state, 1e30 * images, labels)
    assert_equal(same, state)


def test_without_skipping_the_program_has_no_check():
    model, optimizer = mlp(3, widths=(8,)), OPTIMIZERS["sgd"](0.1)
    state = init_state(model, optimizer, jax.random.key(0), SHAPE)
    for skips in (False, True):
        step = make_train_step(model, mse, optimizer, skip_nonfinite=skips)
        program = str(jax.make_jaxpr(step)(state, *batch(0)))
        assert ("is_finite" in program) == skips


def test_too_many_that_are_not_finite_end_a_network():
    config = default()
    losses = np.ones((4, 10))
    losses[1, 2], losses[2, [3, 4]], losses[3] = np.inf, np.nan, np.nan
    assert broken(losses, config).tolist() == [False, True, True, True]
    config.on_nonfinite = "skip"
    assert broken(losses, config).tolist() == [False, False, True, True]
    config.max_skipped = 1.0  # all of an epoch are too many
    assert broken(losses, config).tolist() == [False, False, False, True]


def test_the_messages_say_what_may_help():
    config = default()
    losses = np.ones((2, 10))
    losses[1, 2:4] = np.nan
    config.num_seeds = 2
    says = (
        "The loss of seed 1 became nan in epoch 3, at step 23. There is no checkpoint "
        "yet. Try a lower config.optimizer.learning_rate (now 0.05) or "
        "config.optimizer.weight_decay (now 0.01), in another --workdir, as that is "
        "another run; config.on_nonfinite = 'skip' leaves such steps out."
    )
    with pytest.raises(TrainingError, match=re.escape(says)):
        Unbroken(validate(config))(losses, 3, 0)
    config.on_nonfinite = "skip"
    says = (
        "In epoch 3 2 of 10 steps of seed 1 were skipped, because their loss or "
        "gradients were not finite: more than the share config.max_skipped = 0.1. The "
        "last good checkpoint is that of epoch 2."
    )
    with pytest.raises(TrainingError, match=re.escape(says)):
        Unbroken(validate(config))(losses, 3, 2)
    losses[1, 3] = 1.0
    assert Unbroken(validate(config))(losses, 3, 2) == [True, True]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"on_nonfinite": "ignore"}, "Unknown config.on_nonfinite 'ignore'. Avail"),
        ({"on_nonfinite": "skip", "max_skipped": 1.5}, "between 0 and 1, got 1.5"),
        ({"on_nonfinite": "skip", "max_skipped": float("nan")}, "between 0 and 1, got"),
        ({"max_skipped": 0.2}, "max_skipped = 0.2 has no effect: with config.on_non"),
    ],
)
def test_bad_values_are_refused(values, message):
    config = default()
    config.update(values)
    with pytest.raises(ConfigError, match=re.escape(message)):
        validate(config)


def test_older_configurations_are_those_that_stop():
    """Neither the name of a run nor its config.json knows of the fields."""
    config = default()
    assert not {"on_nonfinite", "max_skipped"} & resolved(config).keys()
    old = complete(resolved(config))
    config.on_nonfinite = "skip"
    found = complete(resolved(config))
    assert (found.pop("on_nonfinite"), found.pop("max_skipped")) == ("skip", 0.1)
    assert found == old


@pytest.fixture
def config(monkeypatch):
    """A run of five steps an epoch, of which about a third fail."""
    monkeypatch.setitem(LOSSES, "fragile", fragile)
    config = default()
    config.loss.name, config.on_nonfinite, config.max_skipped = "fragile", "skip", 0.8
    config.num_epochs, config.batch_size = 3, BATCH
    config.model.widths = (8,)
    config.data.examples_per_class = config.data.test_examples_per_class = 10
    config.hierarchy.name = "none"
    return config


def epochs(config, members=None, devices=ONE):
    """Parameters after three epochs, and the losses [..., steps] of all."""
    data = load_data(config)
    trained = Experiment(validate(config), data, devices, members=members)
    state, losses = trained.init(), []
    for epoch in range(1, 4):
        state, steps = trained.epoch(state, epoch)
        losses.append(np.asarray(steps["loss"]))
    return state, np.concatenate(losses, -1)


def expected(config):
    """Which steps fail, from the order of the examples."""
    data, found = load_data(config), []
    for epoch in range(1, 4):
        key = jax.random.fold_in(jax.random.key(config.seed), epoch)
        order = jax.random.permutation(key, len(data.train))
        first = data.train.labels[np.asarray(order).reshape(-1, BATCH)[:, 0]]
        found.append(first < 3)
    return np.concatenate(found)


def test_the_steps_that_fail_are_left_out_of_an_epoch(config):
    state, losses = epochs(config)
    skipped = expected(config)
    assert 0 < skipped.sum() < skipped.size
    np.testing.assert_array_equal(np.isnan(losses), skipped)
    assert state.step == (~skipped).sum()


@pytest.mark.slow
def test_streamed_many_or_traced_they_are_the_same(config):
    state, losses = epochs(config)
    config.data.placement = "stream"
    streamed, same = epochs(config)
    np.testing.assert_array_equal(same, losses)
    assert_equal(streamed, state)
    config.data.placement = "auto"
    config.num_seeds = 2
    rates = members_of(config, {"optimizer.learning_rate": (0.05, 0.01)})
    for members in (None, rates):
        many, of_both = epochs(config, members)
        np.testing.assert_allclose(of_both[0], losses, rtol=1e-5)
        np.testing.assert_array_equal(np.isnan(losses), np.isnan(of_both[0]))
        config.seed = 1
        np.testing.assert_array_equal(np.isnan(of_both[1]), expected(config))
        config.seed = 0
        assert many.step[0] == state.step
    _, spread = epochs(config, rates, jax.devices()[:4])  # each network on two of them
    np.testing.assert_allclose(spread, of_both, rtol=1e-4)


def rows_of(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("many", [False, True])
def test_averages_of_an_epoch_are_over_the_steps_that_were_taken(many):
    losses = np.array([[4.0, np.nan, 1.0], [np.nan] * 3], np.float32)
    errors = np.array([[1.0, np.nan, 0.5], [np.nan] * 3], np.float32)
    steps = {"loss": losses, "error": errors}
    steps = steps if many else {name: x[0] for name, x in steps.items()}
    rows = _rows(7, steps, {"nc/nc1": np.zeros(2) if many else 0.0}, skips=True)
    names = ("running/loss", "running/error", "running/skipped")
    assert [rows[0][name] for name in names] == [2.5, 0.75, 1]
    assert len(rows) == 1 + many
    if many:  # it has stopped
        assert np.isnan(rows[1]["running/loss"])
        assert rows[1]["running/skipped"] == 3


@pytest.mark.slow
def test_a_run_counts_them_and_goes_on_to_the_same_numbers(config, tmp_path):
    asks = iter([0, 1])
    folder, how = tmp_path / "cut", {"devices": ONE, "progress": False}
    with pytest.raises(Stopped):
        ncjax.train(config, folder, stop=lambda: next(asks), **how)
    ncjax.train(config, folder, **how)
    ncjax.train(config, tmp_path / "whole", **how)
    rows, skipped = rows_of(folder), expected(config).reshape(3, 5).sum(1)
    assert rows == rows_of(tmp_path / "whole")
    assert [row["running/skipped"] for row in rows] == skipped.tolist()
    _, losses = epochs(config)
    for row, own in zip(rows, losses.reshape(3, 5), strict=True):
        assert row["running/loss"] == pytest.approx(np.nanmean(own), rel=1e-5)
    config.max_skipped = 0.0
    with pytest.raises(TrainingError, match="steps were skipped"):
        ncjax.train(config, tmp_path / "strict", **how)


@pytest.mark.slow
def test_a_sweep_goes_on_with_networks_that_skip_few(config, capsys):
    config.max_skipped = 0.3
    config.num_seeds = 4
    found = ncjax.sweep(config, {"optimizer.learning_rate": (0.05, 0.01)})
    said = capsys.readouterr().err
    for row in found.rows:
        config.seed = row["seed"]
        share = expected(config).reshape(3, 5).mean(1)
        assert (row["stopped"] != "") == (share > 0.3).any()
    assert "in more steps than config.max_skipped = 0.3. The other networks" in said
