"""Networks of one program that differ in numeric fields: each is the single run."""

import jax
import numpy as np
import pytest

from ncjax import ConfigError
from ncjax.config import default
from ncjax.config.binding import load_data, numeric_fields
from ncjax.training.experiment import Experiment
from ncjax.training.plan import members_of

ONE = jax.devices()[:1]


def small(loss="cross_entropy", optimizer="sgd"):
    config = default()
    config.num_epochs, config.batch_size = 4, 40
    config.data.examples_per_class = 12
    config.model.widths = (16, 8)
    config.loss.name = loss
    config.optimizer.name = optimizer
    if optimizer != "sgd":
        config.optimizer.learning_rate = 0.01
        # A bias before BatchNorm has no gradient but rounding, which Adam would divide
        # by its own size: noise of the size of the learning rate.
        config.model.batch_norm = False
    return config


def trained(config, members=None, epochs=2, measure=True):
    """The state after some epochs, the losses of their steps, and what is measured."""
    experiment = Experiment(config, load_data(config), ONE, members=members)
    state, losses = experiment.init(), []
    for number in range(1, epochs + 1):
        state, steps = experiment.epoch(state, number)
        losses.append(steps["loss"])
    found = experiment.evaluate(state) if measure else {}
    return jax.device_get((state, losses, found))


def last_layer():
    """With the defaults a single run has one optimizer, the program always two."""
    config = small()
    config.optimizer.weight_decay = 0.03
    return config


def resnet():
    config = small()
    config.model = default().model
    config.model.name, config.model.width = "resnet18", 1 / 16
    return config


GRIDS = {
    "sgd": (
        small,
        {
            "optimizer.learning_rate": (0.05, 0.2, 0.01),
            "optimizer.weight_decay": (5e-4, 0.0, 5e-3),
            "optimizer.momentum": (0.9, 0.5, 0.0),
            "loss.label_smoothing": (0.0, 0.2, 0.05),
            "loss.temperature": (1.0, 2.0, 0.5),
            "init_scale": (1.0, 2.0, 0.5),
            "data.random_labels": (0.0, 1.0, 0.3),
        },
    ),
    "soft_labels": (
        lambda: small("soft_labels"),
        {
            "loss.beta": (4.0, 1.0, 15.0),
            "loss.temperature": (2.0, 1.0, 0.5),
            "loss.cpcc": (0.0, 0.5, 3.0),
            "loss.gc_penalty": (1e-3, 0.0, 1e-2),
        },
    ),
    "adamw": (
        lambda: small("soft_labels", "adamw"),
        {
            "optimizer.learning_rate": (0.01, 0.03, 0.001),
            "optimizer.weight_decay": (0.1, 0.0, 0.02),
        },
    ),
    "head": (
        last_layer,
        {
            "optimizer.head_learning_rate": (0.0, 0.3, 0.01),  # 0: as all others
            "optimizer.head_weight_decay": (-1.0, 0.0, 0.1),  # -1: as all others
            "optimizer.learning_rate": (0.02, 0.05, 0.1),
        },
    ),
    "resnet": (
        resnet,
        {
            "optimizer.learning_rate": (0.01, 0.05, 0.002),
            "optimizer.weight_decay": (5e-4, 0.0, 5e-3),
            "loss.label_smoothing": (0.0, 0.2, 0.05),
            "init_scale": (1.0, 1.5, 0.8),
            "data.random_labels": (0.5, 1.0, 0.0),
        },
    ),
}


@pytest.mark.parametrize(
    "name",
    [n if n == "sgd" else pytest.param(n, marks=pytest.mark.slow) for n in GRIDS],
)
def test_each_network_is_the_single_run(name):
    make, grid = GRIDS[name]
    config = make()
    config.num_seeds = 3
    members = members_of(config, grid)
    # To measure is compiled longer than to train; the slow tests do it.
    measured = name != "sgd"
    state, losses, metrics = trained(config, members, measure=measured)
    assert set(state.hyper) == set(grid)
    for place in range(3):
        single = make()
        single.seed = place
        for field, values in grid.items():
            single.update_from_flattened_dict({field: values[place]})
        # One network says enough of measurements.
        own, own_losses, own_metrics = trained(single, measure=measured and place == 1)
        assert own.hyper == {}
        np.testing.assert_allclose(
            np.stack(losses)[:, place], own_losses, rtol=1e-5, atol=1e-6
        )
        for part in ("params", "batch_stats"):
            ours, theirs = (jax.tree.leaves(getattr(s, part)) for s in (state, own))
            for a, b in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(a[place], b, rtol=1e-4, atol=1e-5)
        for key, value in own_metrics.items():
            np.testing.assert_allclose(
                metrics[key][place], value, rtol=1e-3, atol=1e-4, err_msg=key
            )


def test_one_network_may_have_traced_fields():
    config = small()
    members = members_of(config, {"optimizer.learning_rate": (0.2,)})
    _, losses, _ = trained(config, members, measure=False)
    config.optimizer.learning_rate = 0.2
    np.testing.assert_allclose(losses, trained(config, measure=False)[1], rtol=1e-5)


def test_without_hyper_parameters_the_program_is_the_same():
    """Not a number, argument or constant more than without the possibility."""
    config = small()
    experiment = Experiment(config, load_data(config), ONE)
    state = experiment.init()
    assert state.hyper == {}
    assert set(state.variables()) == {"params", "batch_stats"}
    assert jax.tree.structure(state).num_leaves == len(
        jax.tree.leaves((state.step, state.params, state.batch_stats, state.opt_state))
    )


def test_which_fields_may_differ():
    config = small()
    assert numeric_fields(config) == {
        "init_scale": 1.0,
        "data.random_labels": 0.0,
        "optimizer.learning_rate": 0.05,
        "optimizer.weight_decay": 1e-2,
        "optimizer.momentum": 0.9,
        "optimizer.decoupled": 0.0,
        "optimizer.head_learning_rate": 0.0,
        "optimizer.head_weight_decay": -1.0,
        "loss.label_smoothing": 0.0,
        "loss.temperature": 1.0,
        "loss.cpcc": 0.0,
        "loss.gc_penalty": 0.0,
    }


BAD = [
    ({"model.width": (1.0, 2.0)}, r"cannot differ in config\.model\.width\. They can"),
    ({"optimizer.nesterov": (0.0, 1.0)}, r"cannot differ in config\.optimizer\.nest"),
    ({"loss.beta": (1.0, 2.0)}, r"cannot differ in config\.loss\.beta"),
    ({"optimizer.momentum": (0.9,)}, "momentum has 1 values for 2 networks"),
    ({"optimizer.momentum": (0.9, 1.0)}, r"momentum must be in \[0, 1\), got 1"),
    ({"optimizer.weight_decay": (-1.0, 0.0)}, "weight_decay must be at least 0"),
    ({"optimizer.learning_rate": (0.1, 0.0)}, "must be positive and finite, got 0"),
    ({"optimizer.learning_rate": (float("nan"), 0.1)}, "positive and finite, got nan"),
    ({"loss.label_smoothing": (0.0, 1.0)}, r"label_smoothing must be in \[0, 1\)"),
    ({"data.random_labels": (0.5, 1.5)}, r"random_labels must be in 0\.\.1, got 1"),
    ({"loss.temperature": (1.0, 0.0)}, "temperature must be positive and finite"),
    ({"optimizer.head_weight_decay": (-1.0, -2.0)}, "weight_decay must be at least 0"),
    ({"optimizer.head_learning_rate": (0.1, -1.0)}, "head_learning_rate must be pos"),
]


@pytest.mark.parametrize(("grid", "message"), BAD)
def test_bad_fields_are_refused_before_anything_compiles(grid, message):
    config = small()
    config.num_seeds = 2
    with pytest.raises(ConfigError, match=message):
        Experiment(config, load_data(config), ONE, members=members_of(config, grid))
