"""The command that installs what is missing works the way ncjax was installed."""

import tomllib
from pathlib import Path

import pytest

from ncjax import extras

CLONE = Path(extras.__file__).parents[1]


def test_in_a_clone_the_clone_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert extras.install("tfds") == f"pip install '{CLONE}[tfds]'"
    monkeypatch.chdir(CLONE)
    assert extras.install("tfds") == "pip install '.[tfds]'"


def test_where_it_is_installed_pip_knows_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "ncjax" / "extras.py"))
    assert extras.install("trees") == "pip install 'ncjax[trees]'"


@pytest.mark.parametrize("extra", ["files", "stream", "tfds", "trees"])
def test_the_extras_exist(extra):
    known = tomllib.loads((CLONE / "pyproject.toml").read_text())
    assert extra in known["project"]["optional-dependencies"]
