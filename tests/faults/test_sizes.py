"""Sizes that no machine has are refused before anything is allocated or written."""

import re

import jax
import pytest

from ncjax.main import main
from tests.faults.limits import assert_refused, cheap

MORE = {
    "a width": (["--config.model.widths=(100000000000000,)"], "at most 10000000, got"),
    "a width beyond 64 bits": (["--config.model.widths=(8, 10**30)"], ""),
    "a long width": ([f"--config.model.widths=({'9' * 4000},)"], "at most 10000000"),
    "widths": (
        ["--config.model.widths=(10000000,10000000)"],
        "Memory does not suffice",
    ),
    "many widths": (
        [f"--config.model.widths=({'100000,' * 30})"],
        "Memory does not suffice: .* Lower the widths in config.model",
    ),
    "channels": (
        ["--config.model.name=resnet18", "--config.model.width=1e12"],
        "must leave 1 to 10000000, got 1000000000000.0",
    ),
    "no number of channels": (
        ["--config.model.name=resnet18", "--config.model.width=1e400"],
        "must leave 1 to 10000000, got inf",
    ),
    "features": (
        ["--config.model.name=vgg13", "--config.model.feature_dim=100000000000000"],
        "at most 10000000, or 0",
    ),
    "seeds": (
        ["--config.num_seeds=10000", "--config.model.widths=(4096, 4096, 4096)"],
        "parameters of 10000 network",
    ),
    "too many seeds": (["--config.num_seeds=100000000000000"], "between 1 and 10000"),
    "a batch": (["--config.batch_size=100000000000000"], "between 1 and 10000000"),
    "epochs": (["--config.num_epochs=100000000000000"], "between 1 and 10000000"),
    "images": (
        ["--config.data.name=synthetic", "--config.data.dim=100000000000000"],
        "of memory, and there are",
    ),
    "examples": (
        [
            "--config.data.name=synthetic",
            "--config.data.train_size_per_class=100000000000000",
        ],
        "of memory, and there are",
    ),
    "classes": (
        ["--config.data.name=synthetic", "--config.data.num_classes=100000000000000"],
        "of memory, and there are|No memory",
    ),
    "images to keep": (
        ["--config.data.examples_per_class=100000000000000"],
        "examples_per_class",
    ),
}


@pytest.mark.parametrize("case", MORE)
def test_refused_before_anything_is_written(case, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments, message = MORE[case]
    with cheap(seconds=20):
        status = main(["", *arguments])
    said = capsys.readouterr()
    assert_refused(status, said)
    assert re.search(message, said.err), said.err
    assert list(tmp_path.iterdir()) == []


def test_memory_of_the_devices_decides(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("ncjax.training.plan.device_memory", lambda device: 1e5)
    assert_refused(main(["", "--config=digits:smoke"]), capsys.readouterr())
    assert list(tmp_path.iterdir()) == []
    assert len(jax.devices()) > 1  # of a CPU they have one memory, that of the host
