"""A new optimizer and a new classifier, from one line in a registry to `compare`."""

import dataclasses
import json

import optax
import pytest

import ncjax
from ncjax.classifiers import CLASSIFIERS, linear
from ncjax.config import default
from ncjax.config.binding import numeric_fields
from ncjax.config.fields import describe
from ncjax.optimizers import OPTIMIZERS
from tests.training.test_train import rows_of, run, small


def forgetful(learning_rate, *, forgetting: float = 0.9):
    """RMSprop."""
    return optax.rmsprop(learning_rate, decay=forgetting)


def divided(num_classes, *, divisor: float = 2.0):
    """A linear classifier whose scores are divided by a number."""
    return dataclasses.replace(
        linear(num_classes), scores=lambda outputs: outputs / divisor
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "registry", "function", "option", "values"),
    [
        ("optimizer", OPTIMIZERS, forgetful, "forgetting", (0.5, 0.99)),
        ("classifier", CLASSIFIERS, divided, "divisor", (2.0, 8.0)),
    ],
)
def test_a_new_function_needs_one_line(
    section, registry, function, option, values, monkeypatch, tmp_path
):
    monkeypatch.setitem(registry, "mine", function)
    assert f"mine            {option} = " in describe()
    for value in values:
        config = small(2)
        config.eval.epochs = (2,)
        config[section].name = "mine"
        config[section][option] = value
        config.optimizer.learning_rate = 0.01
        run(config, tmp_path / str(value))
    stored = json.loads((tmp_path / str(values[0]) / "config.json").read_text())
    assert stored[section]["name"] == "mine"
    assert stored[section][option] == values[0]
    first, second = (rows_of(tmp_path / str(v))[-1]["train/loss"] for v in values)
    assert first != second
    names = [group.name for group in ncjax.compare(tmp_path).groups]
    assert names == [f"{option}={value:g}" for value in values]


def test_a_number_of_a_new_optimizer_may_differ_between_networks(monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "mine", forgetful)
    config = default()
    config.optimizer.name = "mine"
    assert numeric_fields(config) == {
        "init_scale": 1.0,
        "data.random_labels": 0.0,
        "loss.label_smoothing": 0.0,
        "loss.temperature": 1.0,
        "loss.cpcc": 0.0,
        "loss.gc_penalty": 0.0,
        "optimizer.learning_rate": 0.05,
        "optimizer.forgetting": 0.9,
        "optimizer.head_learning_rate": 0.0,
    }
