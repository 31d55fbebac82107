"""What made a run stands in its config.json, beside the configuration."""

import datetime
import json
import shutil
import subprocess

import jax
import pytest

import ncjax
from ncjax.config import default, resolved
from ncjax.config.stored import complete
from ncjax.runs.about import about, commit
from ncjax.runs.workdir import Workdir


def test_what_made_a_run(tmp_path):
    config = resolved(default())
    Workdir(tmp_path / "run", config)
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    made = stored["about"]
    assert made == about()
    assert made["ncjax"] == ncjax.__version__
    assert made["jax"] == jax.__version__
    assert datetime.datetime.fromisoformat(made["date"]).tzinfo is not None
    assert {"command", "commit", "python", "numpy", "flax"} < made.keys()
    # It is no part of the configuration: the run goes on whatever makes it go on.
    assert complete(stored) == complete(json.loads(json.dumps(config)))
    stored["about"] = {"ncjax": "0.0.1"}
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    Workdir(tmp_path / "run", config)


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
