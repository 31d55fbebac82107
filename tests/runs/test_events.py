"""What TensorBoard shows of a run beside its numbers."""

import json

import pytest
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from ncjax.runs.record import Record
from tests.runs.events import scalars, values
from tests.runs.rows import row

CONFIG = {"seed": 3, "loss": {"name": "mse", "classes": [1, 2], "tree": None}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of two epochs, with its figures."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    record = Record(folder, CONFIG)
    record.resume(0)
    for epoch in (1, 2):
        record.add([row(epoch, 0.0, 0.5)])
    record.close()
    record.draw()
    return folder


@pytest.fixture(scope="module")
def shown(folder):
    """Name -> (epoch, value) of what TensorBoard shows of it."""
    return {value.tag: (step, value) for step, value in values(folder)}


def test_tensorboard_has_the_configuration_and_the_figures(folder, shown):
    step, text = shown["config/text_summary"]
    assert step == 0
    stored = json.loads((folder / "config.json").read_text())
    assert json.loads(text.tensor.string_val[0]) == stored
    step, figure = shown["collapse"]
    assert step == 2
    png = (folder / "collapse.png").read_bytes()
    assert figure.image.encoded_image_string == png
    assert figure.image.width > figure.image.height > 300
    assert set(scalars(folder)) == set(row(1, 0.0, 0.5)) - {"epoch"}


def test_tensorboard_has_the_hyperparameters(shown):
    def plugin(name):
        _, value = shown[f"_hparams_/{name}"]
        return HParamsPluginData.FromString(value.metadata.plugin_data.content)

    given = plugin("session_start_info").session_start_info.hparams
    assert set(given) == {"seed", "loss.name", "loss.classes"}  # no about, no None
    assert given["seed"].number_value == 3
    assert given["loss.name"].string_value == "mse"
    assert given["loss.classes"].string_value == "[1, 2]"
    metrics = [x.name.tag for x in plugin("experiment").experiment.metric_infos]
    assert {"test/error", "nc/nc1", "nc/nc2"} <= set(metrics)
