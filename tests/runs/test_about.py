"""What made a run stands in its config.json, beside the configuration."""

import datetime
import json
import shutil
import subprocess
from types import SimpleNamespace

import jax
import pytest

import ncjax
from ncjax.config import default, resolved
from ncjax.config.stored import complete
from ncjax.options import flat
from ncjax.runs.about import _installed_commit, about, commit, following
from ncjax.runs.workdir import Workdir


def made_of(folder):
    return json.loads((folder / "config.json").read_text())["about"]


def test_what_made_a_run(tmp_path):
    config = resolved(default())
    Workdir(tmp_path / "run", config)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    made = stored["about"]
    assert made | {"date": None} == about() | {"date": None}
    assert made["ncjax"] == ncjax.__version__
    assert made["jax"] == jax.__version__
    devices = {"kind": "cpu", "count": jax.device_count(), "processes": 1}
    assert made["devices"] == devices
    assert datetime.datetime.fromisoformat(made["date"]).tzinfo is not None
    known = {
        "command",
        "commit",
        "python",
        "numpy",
        "flax",
        "jaxlib",
        "cpus",
        "platform",
    }
    assert known < made.keys()
    # It is no part of the configuration: the run goes on whatever makes it go on.
    assert complete(stored) == complete(json.loads(json.dumps(config)))
    stored["about"] = {"ncjax": "0.0.1"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    Workdir(tmp_path / "run", config)


def test_what_went_on_with_a_run_stands_there_too(tmp_path):
    config = resolved(default())
    folder = tmp_path / "run"
    for first, before in ((1, 0), (5, 0), (8, 1)):
        run = Workdir(folder, config)
        run.append([])  # nothing of it yet
        assert len(made_of(folder).get("continued", [])) == before
        run.append([{"epoch": first}])
        run.append([{"epoch": first + 1}])
    made = made_of(folder)
    assert [later["from_epoch"] for later in made["continued"]] == [5, 8]
    assert all(about().keys() < later.keys() for later in made["continued"])
    assert Workdir(folder, config)  # it is still the same run


def test_what_computes_nothing_asks_for_no_device():
    assert about(computed=False)["devices"] is None


def test_the_commit_that_pip_installed(monkeypatch):
    said = '{"url": "", "vcs_info": {"vcs": "git", "commit_id": "0123abcd"}}'
    monkeypatch.setattr(
        "ncjax.runs.about.distribution",
        lambda name: SimpleNamespace(read_text=lambda file: said),
    )
    assert _installed_commit() == "0123abcd"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_the_commit_of_a_clone(tmp_path):
    def git(*arguments):
        who = ["-c", "user.name=x", "-c", "user.email=x@localhost"]
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        return done.stdout.decode().strip()

    assert commit(tmp_path) is None
    git("init")
    assert commit(tmp_path) is None
    (tmp_path / "a.py").write_text("x = 1")
    git("add", "a.py")
    git("commit", "-m", "First")
    git("tag", "v1")
    first = git("rev-parse", "HEAD")
    assert commit(tmp_path) == first
    (tmp_path / "a.py").write_text("x = 2")
    assert commit(tmp_path) == f"{first}-dirty"
    (tmp_path / "site-packages").mkdir()
    assert commit(tmp_path / "site-packages") is None  # of somebody else's project


def test_the_recipe_of_a_run_and_what_differs_from_it(tmp_path):
    config = resolved(default())
    fields = flat(config) | {"seed": 7, "unknown": 1}
    with following("mine.py:smoke", fields):
        Workdir(tmp_path / "run", config)
    recipe = {"file": "mine.py:smoke", "changed": {"seed": 7}}  # lists are as tuples
    assert made_of(tmp_path / "run")["recipe"] == recipe
    Workdir(tmp_path / "other", config)
    assert "recipe" not in made_of(tmp_path / "other")
