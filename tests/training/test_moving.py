"""A loss whose option follows the run or is learned: steps, runs, devices, resuming."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError
from ncjax.comparison import theory
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.losses import hxe
from ncjax.optimizers import OPTIMIZERS
from ncjax.runs.columns import MARGIN
from ncjax.runs.workdir import Workdir
from ncjax.training.experiment import Experiment
from ncjax.training.network import Network
from ncjax.training.plan import members_of
from ncjax.ufm.match import optimum_path

ONE = jax.devices()[:1]
SCHEDULED = {"alpha": 0.8, "alpha_schedule": "linear", "alpha_end": 0.2}
LEARNED = {"alpha": 0.3, "learn_alpha": True}


def small(options, epochs=4):
    config = default()
    config.num_epochs, config.batch_size = epochs, 64
    config.model.widths = (16, 8)
    config.model.batch_norm = False  # compiles in less time
    config.data.examples_per_class = config.data.test_examples_per_class = 26
    config.checkpoint.every_epochs, config.checkpoint.max_share = 2, 1.0
    config.loss.name = "hxe"
    config.loss.update(options)
    return config


def first_step(config, hyper=None):
    """A network, its first state, a batch, and the state and metrics after a step."""
    network = Network(config, load_data(config))
    state = jax.jit(network.init)(jax.random.key(0), hyper or {})
    train = network.dataset.train
    images = jnp.asarray(train.images[:64])
    batch = network.prepare(images), jnp.asarray(train.labels[:64])
    return network, state, batch, jax.jit(network.step)


@pytest.mark.slow
def test_a_step_of_a_schedule_is_that_of_the_alpha_of_its_time():
    network, state, batch, step = first_step(small(SCHEDULED))
    late = dataclasses.replace(state, step=jnp.int32(12))  # of 16
    constant = Network(small({"alpha": 0.35}), network.dataset)
    want, metrics = jax.jit(constant.step)(state, *batch)
    got, found = step(late, *batch)
    np.testing.assert_allclose(found["loss"], metrics["loss"], rtol=1e-6)
    for a, b in zip(*map(jax.tree.leaves, (got.params, want.params)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    assert step(state, *batch)[1]["loss"] < found["loss"]  # its alpha is 0.8
    variables = network.variables(late)
    np.testing.assert_allclose(network.moving(variables)["alpha"], 0.35, rtol=1e-6)
    images = jnp.asarray(network.dataset.train.images[:64])
    outputs, _ = network.forward(variables, images)
    each = network.losses(variables, outputs, batch[1])
    np.testing.assert_allclose(each.mean(), found["loss"], rtol=1e-5)


def test_a_step_of_a_learned_alpha_by_hand():
    config = small(LEARNED)
    config.optimizer.schedule, config.optimizer.momentum = "constant", 0.0
    network, state, batch, step = first_step(config)
    tree = network.hierarchy
    edges = np.arange(tree.height)[:, None] < tree.depths[tree.leaves]
    mean = tree.heights[tree.lineage[1:]][edges].mean()

    def value(alpha):
        outputs, _ = network.model.apply(
            {"params": state.params, "batch_stats": {}}, batch[0], train=True
        )
        each = hxe(outputs, batch[1], hierarchy=tree, alpha=alpha)
        return jnp.exp(alpha * mean) * each.mean()

    loss, slope = jax.value_and_grad(value)(0.3)
    got, metrics = step(state, *batch)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    rate, decay = config.optimizer.learning_rate, config.optimizer.weight_decay
    want = 0.3 - rate * (slope + decay * 0.3)
    np.testing.assert_allclose(got.params["loss"]["alpha"], want, rtol=1e-5)
    assert network.objective.geometry is None
    assert set(network.limit) <= {MARGIN}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_takes_a_learned_alpha(optimizer):
    config = small(LEARNED)
    config.optimizer.name = optimizer
    network = Network(config, load_data(config))
    state = network.abstract()
    images = jax.ShapeDtypeStruct((64, *network.dataset.image_shape), jnp.float32)
    labels = jax.ShapeDtypeStruct((64,), jnp.int32)
    new, _ = jax.eval_shape(network.step, state, images, labels)
    assert new.params["loss"]["alpha"].shape == ()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"alpha_end": 0.5}, "alpha_end must be 0 unless loss.alpha_schedule is"),
        ({"alpha_schedule": "cos"}, "Unknown loss.alpha_schedule 'cos'. Available"),
        (LEARNED | {"normalise": True}, "learn_alpha = True excludes loss.normalise"),
        (
            {"name": "hace", "learn_alpha": True},
            "loss.learn_alpha = True has no effect",
        ),
    ],
)
def test_bad_options_are_refused_before_data_are_read(options, message):
    config = small(options)
    with pytest.raises(ConfigError, match=message):
        ncjax.config.validate(config)


def test_networks_of_one_program_differ_in_where_the_schedule_ends():
    config = small(SCHEDULED)
    config.num_seeds = 2
    bad = members_of(config, {"loss.alpha_end": (0.2, float("nan"))})
    with pytest.raises(ConfigError, match="alpha_end must be finite, got nan"):
        Experiment(config, load_data(config), ONE, members=bad)


@pytest.mark.slow
@pytest.mark.parametrize("options", [SCHEDULED, LEARNED], ids=["follows", "learned"])
def test_it_goes_on_where_it_stopped(options, tmp_path, monkeypatch):
    config = small(options)
    config.num_seeds = 2
    whole = ncjax.train(config, tmp_path / "whole", devices=ONE, progress=False)
    alphas = np.array([seed["loss/alpha"] for seed in whole.seeds])
    if options is SCHEDULED:
        np.testing.assert_allclose(alphas, [[0.65, 0.5, 0.35, 0.2]] * 2, rtol=1e-6)
    else:
        assert (np.diff(alphas) != 0).all()
        assert (alphas[0] != alphas[1]).all()
    write = Workdir.write

    def interrupted(self, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ncjax.train(config, tmp_path / "cut", devices=ONE, progress=False)
    again = ncjax.train(config, tmp_path / "cut", devices=ONE, progress=False)
    assert again.rows == whole.rows
    # Read back, it has the loss and the alpha of its last epoch.
    run = ncjax.load(tmp_path / "cut", seed=1)
    last = run.history.rows[-1]
    assert run.network.moving(run.variables)["alpha"] == last["loss/alpha"]
    test = run.dataset.test
    outputs, _ = run.network.forward(run.variables, jnp.asarray(test.images))
    each = run.network.losses(run.variables, outputs, jnp.asarray(test.labels))
    assert each.mean() == pytest.approx(last["test/loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("options", [SCHEDULED, LEARNED], ids=["follows", "learned"])
def test_on_several_devices_and_in_one_program_it_is_the_single_run(options):
    config = small(options, epochs=2)
    config.eval.epochs = (2,)
    runs = []
    for seed in (0, 1):
        config.seed = seed
        for devices in (ONE, jax.devices()[:4]):
            runs.append(ncjax.train(config, devices=devices, progress=False).rows[-1])
    config.seed, config.num_seeds = 0, 2
    both = ncjax.train(config, devices=jax.devices()[:4], progress=False)
    for seed, history in enumerate(both.seeds):
        one, four = runs[2 * seed : 2 * seed + 2]
        for row in (four, history.rows[-1]):
            for key in ("loss/alpha", "train/loss", "test/loss", "nc/nc1"):
                assert row[key] == pytest.approx(one[key], rel=1e-4), key


@pytest.mark.slow
def test_alphas_of_a_sweep_are_starts_and_ends(tmp_path):
    config = small(SCHEDULED, epochs=2)
    config.eval.epochs = (2,)
    swept = {"loss.alpha": "0.4,1", "loss.alpha_end": "0,0.6"}
    table = ncjax.sweep(config, swept, tmp_path / "sweep", progress=False)
    np.testing.assert_allclose(table["loss/alpha"], table["loss.alpha_end"])
    learned = small(LEARNED, epochs=2)
    starts = ncjax.sweep(learned, {"loss.alpha": "-1,1"}, progress=False)
    for start, row in zip((-1.0, 1.0), starts.rows, strict=True):
        learned.loss.alpha = start
        alone = ncjax.train(learned, progress=False, devices=ONE).rows[-1]
        assert row["loss/alpha"] == pytest.approx(alone["loss/alpha"], rel=1e-4)


@pytest.mark.slow
def test_theory_takes_the_alpha_at_the_end_and_none_that_was_learned(
    tmp_path, monkeypatch
):
    for name, options in (("follows", SCHEDULED), ("learned", LEARNED)):
        config = small(options, epochs=1)
        ncjax.train(config, tmp_path / name, devices=ONE, progress=False)
    asked = []

    def path(loss, **options):
        asked.append(options)
        return optimum_path(loss, **options, c_range=(1e-3, 2e-3))

    monkeypatch.setattr(theory, "optimum_path", path)
    found, warnings = theory.add_theory(ncjax.compare(tmp_path).groups)
    assert [options["alpha"] for options in asked] == pytest.approx([0.2])
    assert len(found) == 1
    assert "learn_alpha=True" in warnings[0]
