"""What a run writes."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ncjax.config import resolved
from ncjax.runs.workdir import Workdir, WorkdirError
from tests.config.test_config import load

ROOT = Path(__file__).parents[2]


def test_metrics_are_strict_json(tmp_path):
    run = Workdir(tmp_path / "run", {"seed": 0})
    run.resume(0)
    run.write({"epoch": 1, "nc/nc1": float("nan"), "train/loss": 0.5})
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert text == '{"epoch": 1, "nc/nc1": null, "train/loss": 0.5}\n'
    rows = Workdir(tmp_path / "run", {"seed": 0}).resume(1)
    assert rows[0]["epoch"] == 1
    assert np.isnan(rows[0]["nc/nc1"])


def test_a_folder_of_an_older_version_goes_on(tmp_path):
    """Its config.json lacks the fields that came later, which had their defaults."""
    old = (ROOT / "tests/benchmarks/results/cifar10_narrow_ce/config.json").read_text()
    assert "classifier" not in json.loads(old)
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text(old)
    config = load(ROOT / "configs" / "cifar10_narrow_ce.py")
    Workdir(run, resolved(config))
    config.optimizer.learning_rate = 0.2
    differs = "they differ in optimizer.learning_rate (0.05 there, 0.2 now)."
    with pytest.raises(WorkdirError, match=re.escape(differs)):
        Workdir(run, resolved(config))
