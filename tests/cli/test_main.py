"""The command line: what works, and exit status 2 with one paragraph for the rest."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ncjax import main as cli
from ncjax.cli import train
from ncjax.training.experiment import Experiment

ROOT = Path(__file__).parents[2]
FAST = [
    "--config.num_epochs=1",
    "--config.model.widths=(16, 8)",
    "--config.data.examples_per_class=30",
    "--config.batch_size=64",
    "--config.hierarchy.name=none",
    "--config.loss.name=mse",
]


def run(*args):
    return cli.main(["ncjax.main", *args])


def test_overrides_and_workdir(tmp_path, capsys):
    folder = tmp_path / "run"
    assert run(*FAST, f"--workdir={folder}") == 0
    out = capsys.readouterr().out
    assert "NC1" in out
    assert out.rstrip().endswith(f"Written to {folder}")
    config = json.loads((folder / "config.json").read_text())
    assert config["loss"] == {"name": "mse", "cpcc": 0.0}
    assert config["num_epochs"] == 1


@pytest.mark.slow
def test_default_workdir_is_named_by_the_config(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*FAST) == 0
    assert run(*FAST, "--config.seed=1") == 0
    names = sorted(p.name for p in (tmp_path / "runs").iterdir())
    assert len(names) == 2
    assert all(name.startswith("digits-") for name in names)
    assert run(*FAST) == 0  # the same again: continues, and has nothing left to do
    assert len(list((tmp_path / "runs").iterdir())) == 2
    capsys.readouterr()


@pytest.mark.slow
def test_a_sweep(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--sweep.optimizer.weight_decay=0,1e-3", "--sweep.seed=0,1"]
    assert run(*FAST, *flags) == 0
    out = capsys.readouterr().out
    (folder,) = (tmp_path / "runs").iterdir()
    assert out.rstrip().endswith(f"Written to {folder}")
    assert out.split("\n")[1].split()[:2] == ["optimizer.weight_decay", "seed"]
    assert len((folder / "sweep.csv").read_text().splitlines()) == 5
    assert len(list((folder / "members").iterdir())) == 4


def test_a_bad_sweep_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(*FAST, "--sweep.optimizer.weight_decy=0,1e-3") == 2
    assert "Did you mean 'optimizer.weight_decay'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["digits", "digits.py", "configs/digits.py"])
def test_shipped_configs_are_found_from_anywhere(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    config, stem, options = train.parse([f"--config={name}:smoke", "--workdir=w"])
    assert config.num_epochs == 20
    assert (stem, options.workdir) == ("digits", "w")


def test_a_config_of_ones_own(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from ncjax.config import default\n\n"
        "def get_config(preset=''):\n"
        "    config = default()\n"
        "    config.seed = 5\n"
        "    return config\n"
    )
    config, stem, _ = train.parse([f"--config={path}"])
    assert (config.seed, stem) == (5, "mine")


def test_help(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for text in (
        "--workdir",
        ":smoke",
        "configs/cifar10_ce.py",
        "label_smoothing",
        "SIGTERM",
    ):
        assert text in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--config=configs/nope.py"],
            "No config file 'configs/nope.py'. Shipped: con",
        ),
        (["--config=digits:fast"], "Unknown preset 'fast'. Available: smoke"),
        (["--confg=x"], "confg"),
        (
            ["--config.loss.nam=mse"],
            "in '--config.loss.nam=mse': 'nam'. Did you mean 'name'? Available: alph",
        ),
        (
            ["--config.sees=1"],
            "'sees'. Did you mean 'seed'? Available: batch_size, checkpoint",
        ),
        (["--config.num_epochs=many"], "num_epochs"),
        (["--config.seed"], "Missing value for flag --config.seed"),
        (["--config.num_epochs=0"], "config.num_epochs must be between 1"),
        (
            ["--config.loss.name=sce"],
            "Unknown config.loss.name 'sce'. Did you mean 'mse'? Available: cross",
        ),
        (["--config.batch_size=2000"], "larger than the training set of 1437"),
        (["--config.model.widths=(-3,)"], "each at least 1"),
        (
            [
                "--config.data.name=mnist",
                "--config.data.dir=/nowhere",
                "--config.data.download=False",
            ],
            "/nowhere",
        ),
        (["digits"], "Unexpected argument 'digits'"),
    ],
)
def test_bad_input(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1  # one paragraph, no traceback
    assert list(tmp_path.iterdir()) == []


def test_a_program_that_diverges_exits_with_1(tmp_path, monkeypatch, capsys):
    # No measurement is compiled: the run does not come that far.
    monkeypatch.setattr(Experiment, "compile", lambda self, state: None)
    diverge = [
        "--config.optimizer.learning_rate=1e6",
        "--config.model.batch_norm=False",
    ]
    arguments = [
        *FAST,
        *diverge,
        f"--workdir={tmp_path / 'r'}",
    ]
    assert run(*arguments) == 1
    assert "The loss became" in capsys.readouterr().err


@pytest.mark.slow
def test_as_a_program_with_a_bad_field():
    result = subprocess.run(
        [sys.executable, "-m", "ncjax.main", "--config.loss.name=sce"],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    loads, error = result.stderr.splitlines()
    assert loads == "Loading JAX, to train a network."
    assert error.startswith("error: Unknown config.loss.name 'sce'")
