"""What the fields name: losses on any classifier, optimizers, hyper-parameters."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.config import ConfigError, binding, default, validate
from ncjax.config.binding import (
    bind_optimizer,
    bind_weight_decay,
    needs_hierarchy,
    numeric_fields,
)
from ncjax.config.fields import choice
from ncjax.hierarchy import BUILTIN
from ncjax.losses import cross_entropy

OUTPUTS = jnp.asarray(np.random.default_rng(0).normal(size=(5, 10)), jnp.float32)
LABELS = jnp.arange(5)


def parts(config):
    return choice(config, "loss"), choice(config, "classifier")


def bind_objective(config, tree):
    return binding.bind_objective(*parts(config), tree, 10)


def test_hyper_parameters_take_the_place_of_fields():
    config = default()
    config.loss.label_smoothing = 0.1
    loss = bind_objective(config, None).loss
    for hyper, smoothing in (({}, 0.1), ({"loss.label_smoothing": 0.4}, 0.4)):
        expected = cross_entropy(OUTPUTS, LABELS, label_smoothing=smoothing)
        np.testing.assert_array_equal(loss(hyper)(OUTPUTS, LABELS), expected)


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


def test_a_loss_on_class_logits_takes_the_scores_of_any_classifier():
    tree = BUILTIN["digits"]()
    config = default()
    config.classifier.name = "haframe"
    assert needs_hierarchy(*parts(config))
    objective = bind_objective(validate(config), tree)
    scores = objective.classifier.scores(OUTPUTS)
    assert objective.classifier.vectors is not None
    np.testing.assert_allclose(
        objective.loss({})(OUTPUTS, LABELS), cross_entropy(scores, LABELS), rtol=1e-6
    )
    with pytest.raises(ConfigError, match=r"classifier\.name = 'haframe' needs a cla"):
        bind_objective(config, None)


def test_losses_and_classifiers_that_do_not_fit():
    tree = BUILTIN["digits"]()
    config = default()
    config.loss.name, config.classifier.name = "haframe", "linear"
    with pytest.raises(ConfigError, match=r"needs fixed class vectors.*'linear' has n"):
        bind_objective(config, tree)
    config.loss.name, config.classifier.name = "cascade", "haframe"
    with pytest.raises(ConfigError, match=r"takes other outputs.*Choose 'linear'"):
        bind_objective(config, tree)


@pytest.mark.parametrize(
    ("optimizer", "decay", "penalty"),
    [("sgd", 5e-3, 5e-3), ("adam", 1e-4, 1e-4), ("adamw", 1e-2, 0.0)],
)
def test_only_coupled_decay_is_a_penalty(optimizer, decay, penalty):
    config = default()
    config.optimizer.name = optimizer
    config.optimizer.weight_decay = decay
    assert bind_weight_decay(choice(config, "optimizer"))({}) == penalty
    assert "optimizer.weight_decay" in numeric_fields(config)
