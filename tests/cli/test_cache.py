"""Compiled programs are kept where the user wants, or nowhere."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from ncjax.cli.cache import default_folder, keep_compiled_programs
from ncjax.main import main

FOLDER = "jax_compilation_cache_dir"
LIMIT = "jax_persistent_cache_min_compile_time_secs"
SWITCH = "jax_enable_compilation_cache"


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """JAX as it starts without any settings, for one test."""
    before = {name: getattr(jax.config, name) for name in (FOLDER, LIMIT, SWITCH)}
    jax.config.update(FOLDER, None)
    jax.config.update(LIMIT, 1.0)
    monkeypatch.delenv(LIMIT.upper(), raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.usefixtures("settings")
def test_by_default_in_the_users_cache(tmp_path):
    folder = tmp_path / "xdg" / "ncjax" / "programs"
    keep_compiled_programs()
    assert folder.is_dir()
    assert getattr(jax.config, FOLDER) == str(folder)
    assert getattr(jax.config, LIMIT) == 0


@pytest.mark.usefixtures("settings")
def test_a_folder_and_a_limit_of_ones_own_are_kept(tmp_path, monkeypatch):
    jax.config.update(FOLDER, str(tmp_path / "mine"))
    monkeypatch.setenv(LIMIT.upper(), "1.0")
    keep_compiled_programs()
    assert getattr(jax.config, FOLDER) == str(tmp_path / "mine")
    assert getattr(jax.config, LIMIT) == 1.0
    assert not (tmp_path / "xdg").exists()


@pytest.mark.usefixtures("settings")
def test_switched_off(tmp_path):
    jax.config.update(SWITCH, False)
    keep_compiled_programs()
    assert getattr(jax.config, FOLDER) is None
    assert not (tmp_path / "xdg").exists()


@pytest.mark.usefixtures("settings")
def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, capsys):
    (tmp_path / "xdg").write_text("a file")
    keep_compiled_programs()
    assert getattr(jax.config, FOLDER) is None
    assert "JAX_COMPILATION_CACHE_DIR" in capsys.readouterr().err


def test_where_it_lies(monkeypatch):
    for unset in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert default_folder() == Path.home() / ".cache" / "ncjax" / "programs"


@pytest.mark.slow
def test_the_command_line_keeps_an_epoch_and_a_measurement(tmp_path, capsys):
    names = {n.upper() for n in (FOLDER, LIMIT, SWITCH)}
    env = {name: value for name, value in os.environ.items() if name not in names}
    command = [
        "ncjax.main", "--config.num_epochs=1", "--config.hierarchy.name=none",
        "--config.model.widths=(8,)", "--config.data.examples_per_class=20",
        f"--workdir={tmp_path / 'run'}",
    ]  # fmt: skip
    env |= {"XDG_CACHE_HOME": str(tmp_path / "xdg"), "JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-m", *command]
    result = subprocess.run(
        program, env=env, capture_output=True, text=True, check=True
    )
    kept = [p.name for p in (tmp_path / "xdg" / "ncjax" / "programs").iterdir()]
    for name in ("jit_epoch", "jit__evaluate", "jit_compute"):
        assert any(file.startswith(name) for file in kept), kept
    first, before, after = result.stderr.splitlines()[:3]  # before the first epoch
    assert first == "Loading JAX, to train a network."
    assert before.startswith("Compiling")
    assert after.startswith("Compiled in ")
    assert main(command) == 0  # a finished run has nothing to compile
    assert "Compiled" not in capsys.readouterr().err
