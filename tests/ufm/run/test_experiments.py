"""`ncjax ufm`: every config, its statements, its files."""

import json

import pytest

import ncjax
from ncjax.cli import ufm
from ncjax.cli.configs import shipped_configs
from ncjax.ufm.run import EXPERIMENTS, validate
from tests.config.test_config import load

CONFIGS = shipped_configs("ufm_")
FAST = ("fixed_etf", "minority_collapse", "nc0_map", "signed_descent")


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
    assert len(CONFIGS) == 18


@pytest.mark.slow
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
    config = json.loads((folder / "config.json").read_text())
    assert config["experiment"]
    assert config["about"]["ncjax"] == ncjax.__version__


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


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("c=2e-2", marks=pytest.mark.slow),
        pytest.param("num_classes=2", marks=pytest.mark.slow),
        pytest.param("c=10.0", marks=pytest.mark.slow),
    ],
)
def test_published_numbers_are_those_of_the_file_s_own_model(
    change, tmp_path, capfd, recwarn
):
    """The example of --help, two classes, and a c at which everything is 0."""
    arguments = [
        "--config=ufm_ce:smoke",
        f"--config.model.{change}",
        "--config.model.per_class=1",
        "--config.flow.t_max=1e2",
        f"--workdir={tmp_path}",
        f"--figure={tmp_path / 'drawn.svg'}",
    ]
    ufm.main(arguments)
    out, err = capfd.readouterr()
    assert "  published" not in out
    name = change.partition("=")[0]
    assert f"numbers are left out, for config.model.{name}" in err
    assert "Warning" not in err
    assert [str(warning.message) for warning in recwarn] == []
    failed = [line for line in out.splitlines() if line.startswith("FAIL  ")]
    assert all("flow" in line for line in failed), out  # it has no time here
    assert b"<svg" in (tmp_path / "drawn.svg").read_bytes()


def test_a_figure_of_another_format_is_refused(tmp_path, capsys):
    drawn = tmp_path / "drawn.gif"
    assert run("--config=ufm_ce:smoke", f"--figure={drawn}") == 2
    assert "has the ending '.gif'. Available: .png" in capsys.readouterr().err
