"""`ncjax ufm`: every config, sweeps, verdicts, bad input."""

import json
import math

import numpy as np
import pytest

from ncjax.cli import train, ufm
from ncjax.cli.configs import shipped_configs
from ncjax.io import plain
from ncjax.ufm.run import EXPERIMENTS, default, validate
from ncjax.ufm.run.report import Statement, at_least, at_most, equal
from ncjax.ufm.run.sweep import parse_sweep
from tests.config.test_config import load

CONFIGS = shipped_configs("ufm_")
FAST = ("fixed_etf", "minority_collapse")


def run(*args):
    return ufm.main(args)


@pytest.mark.parametrize("preset", ["", "smoke"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_configs(path, preset):
    config = load(path, preset)
    validate(config)
    assert config.is_locked
    assert f"ncjax ufm --config=configs/{path.name}" in path.read_text()


def test_every_experiment_has_a_config():
    assert {load(path).experiment for path in CONFIGS} == set(EXPERIMENTS)
    assert len(CONFIGS) == 9


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=() if p.stem[4:] in FAST else pytest.mark.slow)
        for p in CONFIGS
    ],
    ids=lambda p: p.stem,
)
def test_smoke(path, tmp_path, capsys):
    folder = tmp_path / "run"
    status = run(f"--config={path}:smoke", f"--workdir={folder}")
    out = capsys.readouterr().out
    assert status == 0, out
    assert "FAIL" not in out
    assert "PASS" in out
    verdict = json.loads((folder / "verdict.json").read_text())
    assert verdict["holds"]
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    assert len([json.loads(row) for row in rows]) >= 3
    assert (folder / "ufm.png").stat().st_size > 10_000
    assert json.loads((folder / "config.json").read_text())["experiment"]


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_in_full(path, tmp_path, capsys):
    assert run(f"--config={path}", f"--workdir={tmp_path}") == 0
    capsys.readouterr()


def test_optimum_and_a_false_statement(tmp_path, capsys):
    """Soft labels on a balanced tree, all numbers of the theorem; then a wrong one."""
    arguments = [
        "--config=ufm_soft_cifar10:smoke",
        "--config.model.tree=2x2x2",
        "--config.expect.objective=1.099480",
        "--config.expect.rank=7.0",
        "--config.expect.nc2=0.68367",
        "--config.expect.nc3=nan",
        "--config.flow.t_max=1e4",
        f"--workdir={tmp_path}",
    ]
    assert run(*arguments) == 1  # the objective is known to 1e-6 only, not to 1e-8
    out = capsys.readouterr().out
    assert out.count("FAIL") == 2
    assert "FAIL  published objective: 1.0994799" in out
    assert "PASS  Gram matrix, distance to theory" in out
    assert "PASS  published nc2" in out
    assert not json.loads((tmp_path / "verdict.json").read_text())["holds"]


def test_sweep_against_the_theorem(tmp_path, capsys):
    """Ranks 0, 1, 3, 7 of the eight-leaf tree, where K c passes the eigenvalues."""
    arguments = [
        "--config=ufm_soft_cifar10:smoke",
        "--config.model.tree=2x2x2",
        "--sweep=c:1e-3..2e-1:7,beta:1..9:3",
        f"--workdir={tmp_path}",
    ]
    assert run(*arguments) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "ranks        0, 1, 3, 7" in out
    assert "PASS  wrong ranks of 21: 0" in out
    rows = [
        json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().split("\n") if x
    ]
    assert len(rows) == 21
    assert {row["rank"] for row in rows} == {0, 1, 3, 7}
    assert all(row["nc2"] is None for row in rows if row["rank"] == 0)
    assert (tmp_path / "ufm.png").exists()


def test_sweep_axes():
    config = default()
    first, second = parse_sweep("c:1e-4..1e-1:4,label_smoothing:0..0.5:3", config)
    np.testing.assert_allclose(first.values, [1e-4, 1e-3, 1e-2, 1e-1])
    np.testing.assert_allclose(second.values, [0, 0.25, 0.5])
    assert (first.log, second.log) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--config=digits"], "Run it with `ncjax train`"),
        (["--config=ufm_nope"], "No config file 'ufm_nope'"),
        (["--config=ufm_ce:fast"], "Unknown preset 'fast'. Available: smoke"),
        (["--config.model.cc=1"], "Available: alpha, beta, c, "),
        (["--config.experiment=dream"], "'dream'. Available: optimum, flow_hadamard"),
        (["--config.model.loss=sce"], "Unknown config.model.loss 'sce'. Available"),
        (["--config.model.c=0.0"], "model.c must be finite and more than 0, got 0.0"),
        (["--config.model.ratio=-1.0"], "model.ratio must be finite and more than 0"),
        (["--config.model.lambda_b=-2.0"], "lambda_b must be at least 0, or -1"),
        (["--config.model.feature_dim=5"], "feature_dim=5 is too small: a simplex"),
        (["--config.model.num_classes=0"], "Give config.model.num_classes"),
        (
            ["--config=ufm_soft_cifar10", "--config.model.num_classes=7"],
            "num_classes = 7, but the tree 'cifar10' has 10 classes",
        ),
        (
            ["--config=ufm_soft_cifar10", "--config.model.tree="],
            "The loss 'soft_labels' needs config.model.tree",
        ),
        (["--config.model.tree=oak"], "Unknown config.model.tree 'oak'. Available: "),
        (
            ["--config=ufm_flow_hadamard", "--config.model.num_classes=6"],
            "must be a power of two, at least 2, got 6",
        ),
        (
            ["--config=ufm_mse_bias_phase", "--config.model.c=0.2"],
            "K c = 2 >= 1 has only the trivial solution",
        ),
        (["--config=ufm_fixed_etf", "--config.model.feature_dim=5"], "at least 10"),
        (["--config=ufm_deep_lowrank", "--config.deep.width=5"], "width = 5 is too"),
        (["--sweep=c:1e-4"], "--sweep: 'c:1e-4' is not NAME:LOW..HIGH:COUNT"),
        (
            ["--sweep=d:1..2:3"],
            "--sweep: unknown field 'd'. Available: c, label_smoothing, beta",
        ),
        (["--sweep=beta:1..2:3"], "'beta' has no effect on 'cross_entropy'"),
        (
            ["--config.model.beta=2.0"],
            "config.model.beta = 2.0 has no effect: 'cross_entropy' takes "
            "label_smoothing. Leave it at 4.0",
        ),
        (
            ["--config=ufm_hxe_cifar10", "--config.model.weighting=width"],
            "Unknown loss.weighting 'width'. Available: height, depth",
        ),
        (["--sweep=c:2..1:3"], "must rise, with 2 to 1000 values"),
        (["--sweep=c:1..2:3,c:1..2:3"], "takes one or two different fields"),
        (["--sweep=lambda_b:1..2:3"], "lambda_b needs a model with a bias"),
        (["--config=ufm_fixed_etf", "--sweep=c:1..2:3"], "experiment = 'optimum'"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = captured.err.split("error: ", 1)[1]
    assert message in error
    assert error.count("\n") == 1  # one paragraph
    assert "Traceback" not in captured.err


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    assert run("--config=ufm_fixed_etf:smoke", f"--workdir={tmp_path}") == 2
    assert "holds no verdict.json" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_training_refuses_these_configs(capsys):
    assert train.main(["--config=configs/ufm_ce.py"]) == 2
    err = capsys.readouterr().err
    assert "`ncjax ufm`" in err
    assert err.count("\n") == 1


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for text in (
        "--sweep",
        ":smoke",
        "configs/ufm_ce.py",
        "model.ratio",
        "Exit status",
    ):
        assert text in out


@pytest.mark.slow
def test_trivial_regime_is_stated(tmp_path, capsys):
    arguments = [
        "--config=ufm_ce:smoke",
        "--config.model.c=0.5",
        "--config.model.per_class=1",
        "--config.expect.rank=0.0",
        "--config.flow.t_max=1e3",
        f"--workdir={tmp_path}",
    ]
    assert run(*arguments) == 0
    out = capsys.readouterr().out
    assert "trivial: K c = 2 >= 1, all logits are 0" in out


def test_statements():
    assert equal("x", 1.0, 1.01, 0.1).holds
    assert str(equal("x", 1.0, 2.0, 0.1)).startswith("FAIL  x: 1, predicted 2")
    assert str(at_most("gap", 1e-3, 1e-2)) == "PASS  gap: 0.001, at most 0.01"
    assert not at_least("leak", math.nan, 0.1).holds
    assert not Statement("x", math.nan, math.nan, 1.0).holds
    assert plain({"a": [np.float64(1), math.nan]}) == {"a": [1.0, None]}
