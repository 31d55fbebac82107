"""What regularisers add to a step: nothing at weight 0, else value and gradient."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, losses
from ncjax.complexity import batch_complexity
from ncjax.config import resolved, validate
from ncjax.config.binding import numeric_fields
from ncjax.config.fields import choice, describe
from ncjax.config.regularisers import bind_regularisers
from ncjax.losses import REGULARISERS, cross_entropy
from ncjax.losses.regularisers import Regulariser
from ncjax.models.mlp import mlp
from ncjax.optimizers import sgd
from ncjax.training.network import Network
from ncjax.training.step import init_state, make_train_step
from tests.training.test_train import small

MODEL = mlp(4, widths=(8, 5))
TX = sgd(1.0, momentum=0.0)
IMAGES = jax.random.normal(jax.random.key(1), (16, 2, 2, 1))
LABELS = jnp.arange(16) % 4


def config_of(**loss):
    config = ncjax.default()
    config.loss.update(loss)
    return config


def bound(**loss):
    config = config_of(**loss)
    return bind_regularisers(choice(config, "loss"), None)


def start():
    return init_state(MODEL, TX, jax.random.key(0), (2, 2, 1))


def features(params, images, stats):
    """In training mode, where BatchNorm makes each depend on all images."""
    variables = {"params": params, "batch_stats": stats}
    found, _ = MODEL.apply(variables, images, train=True, mutable=["batch_stats"])
    return found


def test_a_step_descends_the_loss_and_the_complexity():
    state = dataclasses.replace(start(), step=jnp.int32(3))

    def whole(params):
        stats = state.batch_stats
        outputs, _ = features(params, IMAGES, stats)
        key = jax.random.fold_in(jax.random.key(0), 3)
        more = batch_complexity(lambda x: features(params, x, stats)[1], IMAGES, key)
        return cross_entropy(outputs, LABELS).mean() + 0.1 * more

    value, grads = jax.jit(jax.value_and_grad(whole))(state.params)
    step = make_train_step(
        MODEL, cross_entropy, TX, regulariser=bound(gc_penalty=0.1)({})
    )
    after, metrics = jax.jit(step)(state, IMAGES, LABELS)
    np.testing.assert_allclose(metrics["loss"], value, rtol=1e-5)
    plain = cross_entropy(features(state.params, IMAGES, state.batch_stats)[0], LABELS)
    assert metrics["loss"] > plain.mean() + 0.1
    jax.tree.map(
        lambda new, old, g: np.testing.assert_allclose(new, old - g, atol=1e-4),
        after.params,
        state.params,
        grads,
    )


def test_at_zero_the_program_is_that_of_the_loss_alone():
    assert bound()({}) is None
    assert bound(gc_penalty=0.1)({"loss.gc_penalty": 0.0}) is None
    assert "gc_penalty" not in resolved(config_of())["loss"]  # as in older runs
    assert resolved(config_of(gc_penalty=0.1))["loss"]["gc_penalty"] == 0.1


def test_weights_out_of_range():
    for weight in (-1.0, float("inf")):
        with pytest.raises(ConfigError, match=r"loss\.gc_penalty must be at least 0"):
            validate(config_of(gc_penalty=weight))


def test_theory_says_nothing_of_penalised_networks():
    data = ncjax.data.load("digits")
    for weight in (0.0, 1e-3):
        config = config_of(gc_penalty=weight)
        network = Network(validate(config), data)
        assert (network.objective.geometry is None) == (weight > 0)


def test_a_new_regulariser_takes_one_line(monkeypatch):
    """Its weight is a field, with help, and may differ between networks."""

    def size(batch):
        return jnp.mean(batch.features**2)

    line = Regulariser(size, "mean square of the features")
    monkeypatch.setitem(REGULARISERS, "size", line)
    config = validate(config_of(size=0.5))
    assert "weight of mean square of the features" in describe()
    assert numeric_fields(config)["loss.size"] == 0.5
    assert losses.REGULARISERS is REGULARISERS


@pytest.mark.slow
def test_the_penalty_lowers_what_the_probe_measures():
    found = []
    for weight in (0.0, 0.1):
        config = small(30)
        config.eval.movie = False
        config.loss.gc_penalty = weight
        config.eval.probes = ("geometric_complexity",)
        history = ncjax.train(config, None)
        found.append(history["probe/geometric_complexity/features/gc"][-1])
    assert found[1] < 0.5 * found[0]
