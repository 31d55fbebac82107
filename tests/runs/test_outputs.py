"""What a run writes."""

import numpy as np

from ncjax.runs.workdir import Workdir


def test_metrics_are_strict_json(tmp_path):
    run = Workdir(tmp_path / "run", {"seed": 0})
    run.resume(0)
    run.write({"epoch": 1, "nc/nc1": float("nan"), "train/loss": 0.5})
    run.close()
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert text == '{"epoch": 1, "nc/nc1": null, "train/loss": 0.5}\n'
    rows = Workdir(tmp_path / "run", {"seed": 0}).resume(1)
    assert rows[0]["epoch"] == 1
    assert np.isnan(rows[0]["nc/nc1"])
