"""Configurations of stored runs, today's and those of older versions."""

import json

import pytest

from ncjax.config import ConfigError, default, resolved
from ncjax.config.check import ValidConfig
from ncjax.config.stored import complete, to_config


def stored(config):
    """As config.json gives it back."""
    return json.loads(json.dumps(resolved(config)))


def test_a_stored_configuration_comes_back():
    config = default()
    config.loss.name = "soft_labels"
    config.loss.beta = 7.0
    config.model.widths = (32, 16)
    fields = complete(stored(config))
    assert fields["loss.beta"] == 7.0
    back = to_config(fields)
    assert isinstance(back, ValidConfig)
    assert back.to_dict() == config.to_dict()


def test_moved_fields_of_an_old_run():
    """The frame of `haframe` was an option of the loss before it was a classifier."""
    config = default()
    config.loss.name = "haframe"
    config.classifier.frame_gamma = 5.0
    old = stored(config)
    del old["classifier"]
    old["loss"]["frame_gamma"] = 5.0
    fields = complete(old)
    assert "loss.frame_gamma" not in fields
    assert fields == complete(stored(config))
    assert to_config(fields).to_dict() == config.to_dict()


def test_names_that_this_version_does_not_have():
    old = stored(default())
    old["loss"] = {"name": "theirs", "sharpness": 2.0}
    fields = complete(old)
    assert {k: v for k, v in fields.items() if k.startswith("loss.")} == {
        "loss.name": "theirs",
        "loss.sharpness": 2.0,
    }
    with pytest.raises(
        ConfigError, match=r"config\.loss\.name 'theirs'.*--register=FILE"
    ):
        to_config(fields)
