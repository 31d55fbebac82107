"""The optimizers of a configuration: of all layers, and of the last one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.config import ConfigError, default, resolved, validate
from ncjax.config.binding import numeric_fields
from ncjax.config.fields import choice
from ncjax.config.optimizer import (
    bind_decay,
    bind_optimizer,
    bind_weight_decay,
    numeric_options,
)


def test_the_optimizer_takes_learning_rate_and_options_from_them():
    config = default()
    config.optimizer.schedule = "constant"
    config.optimizer.momentum, config.optimizer.weight_decay = 0.0, 0.0
    bound = bind_optimizer(choice(config, "optimizer"), num_epochs=350, steps=3)
    for hyper, update in (
        ({}, -0.05),
        ({"optimizer.learning_rate": 0.2}, -0.2),
        ({"optimizer.weight_decay": 3.0}, -0.05 * (1 + 3 * 2)),
    ):
        optimizer, params = bound(hyper), jnp.array(2.0)
        found, _ = optimizer.update(jnp.array(1.0), optimizer.init(params), params)
        assert found == pytest.approx(update, rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "share", "penalty"),
    [
        ("sgd", 0.0, 1e-2),
        ("sgd", 0.25, 7.5e-3),
        ("sgdw", 0.0, 0.0),
        ("sam", 0.0, 1e-2),
        ("adam", 1.0, 0.0),
        ("adamw", 0.0, 0.0),
        ("signum", 0.5, 5e-3),
        ("signumw", 0.0, 0.0),
        ("lion", 0.0, 0.0),
        ("muon", 0.0, 0.0),
    ],
)
def test_only_coupled_decay_is_a_penalty(optimizer, share, penalty):
    config = default()
    config.optimizer.name = optimizer
    config.optimizer.decoupled = share
    assert bind_weight_decay(choice(validate(config), "optimizer"))({}) == penalty
    assert "optimizer.weight_decay" in numeric_fields(config)


def with_last_layer(**values):
    config = default()
    config.optimizer.schedule = "constant"
    config.optimizer.update(values)
    return config


def stepped(config, hyper=None):
    """Both layers, 1 at the start, after a step on gradients of 1."""
    bound = bind_optimizer(choice(validate(config), "optimizer"), 2, 3)(hyper or {})
    params = {"Dense_0": jnp.ones(1), "classifier": jnp.ones(1)}
    updates, _ = bound.update(params, bound.init(params), params)
    moved = jax.tree.map(jnp.add, params, updates)
    return moved["Dense_0"].item(), moved["classifier"].item()


def test_the_last_layer_has_an_optimizer_of_its_own():
    common = {"momentum": 0.0, "weight_decay": 0.5}
    for values, want in (
        ({"head": "signumw"}, (1 - 0.05 * 1.5, 1 - 0.05 * 1.5)),
        ({"head": "sgdw", "head_learning_rate": 0.1}, (0.925, 1 - 0.1 * 1.5)),
        ({"head_learning_rate": 0.1}, (0.925, 1 - 0.1 * 1.5)),
        ({"head_weight_decay": 0.0}, (0.925, 0.95)),
        ({"head": "adamw", "head_weight_decay": 4.0}, (0.925, 1 - 0.05 * 5)),
    ):
        config = with_last_layer(**common, **values)
        np.testing.assert_allclose(stepped(config), want, rtol=1e-5)
    config = with_last_layer(**common, head="sgdw", head_weight_decay=1.0)
    moved = stepped(config, {"optimizer.learning_rate": 0.01})
    np.testing.assert_allclose(moved, (1 - 0.01 * 1.5, 1 - 0.01 * 2), rtol=1e-5)


def test_values_of_the_last_layer_may_be_traced():
    """0 and -1 leave the values of all layers, as in a configuration."""
    config = with_last_layer(momentum=0.0, weight_decay=0.5)

    def moved(rate, decay):
        fields = ("optimizer.head_learning_rate", "optimizer.head_weight_decay")
        bound = bind_optimizer(choice(config, "optimizer"), 2, 3)
        optimizer = bound(dict(zip(fields, (rate, decay), strict=True)))
        params = {"Dense_0": jnp.ones(1), "classifier": jnp.ones(1)}
        updates, _ = optimizer.update(params, optimizer.init(params), params)
        return updates["Dense_0"][0], updates["classifier"][0]

    rates, decays = jnp.array([0.0, 0.1, 0.0, 0.1]), jnp.array([-1.0, -1.0, 0.0, 2.0])
    body, head = jax.jit(jax.vmap(moved))(rates, decays)
    np.testing.assert_allclose(body, [-0.05 * 1.5] * 4, rtol=1e-6)
    want = [-0.05 * 1.5, -0.1 * 1.5, -0.05, -0.1 * 3]
    np.testing.assert_allclose(head, want, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "own"),
    [
        ({}, ("momentum", "decoupled", "head_learning_rate", "head_weight_decay")),
        ({"name": "sam"}, ("momentum", "rho")),
        (
            {"name": "adamw", "head": "sgd"},
            ("momentum", "decoupled", "head_learning_rate", "head_weight_decay"),
        ),
    ],
)
def test_options_that_may_be_traced(values, own):
    found = numeric_options(choice(with_last_layer(**values), "optimizer"))
    assert found == {"learning_rate", "weight_decay", *own}


def test_the_penalty_and_the_law_are_those_of_the_last_layer():
    config = with_last_layer(name="muon", head="sgd", head_weight_decay=3e-3)
    optimizer = choice(validate(config), "optimizer")
    assert bind_weight_decay(optimizer)({}) == 3e-3
    decay = bind_decay(optimizer)({"optimizer.weight_decay": 7.0})
    assert (decay.weight_decay, decay.momentum, decay.linear) == (3e-3, 0.9, True)
    config.optimizer.head = "adamw"
    decay = bind_decay(choice(validate(config), "optimizer"))({})
    assert (decay.decoupled, decay.momentum, decay.linear) == (1.0, 0.0, False)


def test_options_of_both_optimizers_are_in_use():
    config = with_last_layer(name="adamw", head="sgd", momentum=0.5)
    assert resolved(validate(config))["optimizer"]["momentum"] == 0.5
    config.optimizer.head = ""
    with pytest.raises(ConfigError, match=r"momentum = 0\.5 has no effect: 'adamw'"):
        validate(config)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"head": "adamv"}, r"Unknown config\.optimizer\.head 'adamv'.*mean 'adam"),
        ({"name": "sam", "head": "adam"}, r"'sam' is one of all layers together"),
        ({"name": "sam", "head_learning_rate": 0.1}, "'sam' is one of all layers"),
        ({"head": "sam"}, "'sam' is one of all layers together"),
        ({"head_learning_rate": -1.0}, r"head_learning_rate must be positive and fin"),
        ({"head_weight_decay": -2.0}, "weight_decay must be at least 0, got -2"),
        ({"name": "adamw", "decoupled": 0.5}, "'adamw' takes weight_decay"),
        ({"decoupled": 1.2}, r"decoupled must be in \[0, 1\], got 1.2"),
    ],
)
def test_bad_values_are_refused(values, message):
    with pytest.raises(ConfigError, match=message):
        validate(with_last_layer(**values))
