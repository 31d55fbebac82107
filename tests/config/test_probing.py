"""Probes of a configuration: their options, and choices that are refused."""

import pytest

from ncjax.config import ConfigError, default, validate
from ncjax.config.binding import numeric_fields
from ncjax.config.fields import choice
from ncjax.config.probing import bind_weight_decay, probe_options
from ncjax.probes import PROBES


def test_no_probe_has_no_options():
    assert probe_options(()) == {}
    for name in PROBES:
        for option, value in probe_options([name]).items():
            assert default().eval[option] == value


def test_an_unknown_probe_is_named():
    config = default()
    config.eval.probes = ("mse_decompositon",)
    with pytest.raises(ConfigError, match=r"mse_decompositon.*mse_decomposition"):
        validate(config)


@pytest.mark.parametrize(
    ("optimizer", "decay", "penalty"),
    [("sgd", 5e-3, 5e-3), ("adam", 1e-4, 1e-4), ("adamw", 1e-2, 0.0)],
)
def test_only_coupled_decay_is_a_penalty(optimizer, decay, penalty):
    config = default()
    config.optimizer.name = optimizer
    config.optimizer.weight_decay = decay
    assert bind_weight_decay(choice(config, "optimizer"))({}) == penalty
    assert "optimizer.weight_decay" in numeric_fields(choice(config, "optimizer"))
