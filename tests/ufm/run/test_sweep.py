"""`ncjax ufm --sweep`: phase diagrams against theory."""

import json

import numpy as np

from ncjax.cli import ufm
from ncjax.ufm.run import default
from ncjax.ufm.run.sweep import parse_sweep


def run(*args):
    return ufm.main(args)


def test_sweep_against_the_theorem(tmp_path, capsys):
    """Ranks 0, 1, 3, 7 of the eight-leaf tree, where K c passes the eigenvalues."""
    arguments = [
        "--config=ufm_soft_cifar10:smoke",
        "--config.model.tree=2x2x2",
        "--sweep.model.c=1e-3..2e-1:7",
        "--sweep.model.beta=lin:1..9:2",
        f"--workdir={tmp_path}",
    ]
    assert run(*arguments) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "ranks        0, 1, 3, 7" in out
    assert "PASS  wrong ranks of 14: 0" in out
    rows = [
        json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().split("\n") if x
    ]
    assert len(rows) == 14
    assert {row["rank"] for row in rows} == {0, 1, 3, 7}
    assert all(row["nc2"] is None for row in rows if row["rank"] == 0)
    assert (tmp_path / "ufm.png").exists()


def test_sweep_axes():
    config = default()
    texts = {"model.c": "1e-4..1e-1:4", "model.label_smoothing": "lin:0..0.5:3"}
    first, second = parse_sweep(texts, (), config)
    np.testing.assert_allclose(first.values, [1e-4, 1e-3, 1e-2, 1e-1])
    np.testing.assert_allclose(second.values, [0, 0.25, 0.5])
    assert (first.log, second.log) == (True, False)
