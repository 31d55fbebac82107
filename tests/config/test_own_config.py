"""A config file of one's own, outside a clone, with functions of its own.

It is the example of configs/README.md, as it stands there.
"""

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import ncjax
from ncjax.collapse import METRICS
from ncjax.config.stored import complete, to_config
from ncjax.data import DATASETS
from ncjax.losses import LOSSES
from ncjax.models import MODELS
from ncjax.options import ConfigError
from ncjax.training.stored import open_run
from tests.cluster.programs import environ

REGISTRIES = LOSSES, MODELS, DATASETS, METRICS
README = Path(__file__).parents[2] / "configs" / "README.md"
FAST = ["--config.num_epochs=2", "--config.batch_size=50", "--workdir=run"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder outside the clone with mine.py, which imports a module beside it."""
    folder = tmp_path_factory.mktemp("mine")
    (text,) = re.findall(r"```python\n(\"\"\"mine\.py.*?)```", README.read_text(), re.S)
    (folder / "helper.py").write_text("RATE = 0.01\n")
    (folder / "mine.py").write_text(f"import helper\n\n{text}")
    return folder


def run(folder, *command):
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environ(PYTHONPATH=str(README.parents[1])),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def trained(folder):
    result = run(folder, "-m", "ncjax.main", "--config=mine.py", *FAST)
    assert result.returncode == 0, result.stderr
    return result


def test_what_it_registers_is_used_by_name(folder, trained):
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["loss"] == {"name": "focal", "focus": 1.0, "cpcc": 0.0}
    assert config["model"] == {"name": "shallow", "units": 32}
    assert config["data"]["name"] == "blobs"
    rows = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["epoch"] for row in rows] == [1, 2]
    assert json.loads(rows[-1])["nc/widest"] > 0


@pytest.fixture
def registered(folder, monkeypatch):
    """As after `import mine`; undone at the end."""
    monkeypatch.syspath_prepend(folder)
    registries = [(registry, dict(registry)) for registry in REGISTRIES]
    yield runpy.run_path(str(folder / "mine.py"))["get_config"]
    for registry, before in registries:
        registry.clear()
        registry.update(before)


def test_the_run_goes_on_and_is_read_in_python(folder, trained, registered):
    config = registered()
    config.num_epochs, config.batch_size = 2, 50
    one = jax.devices()[:1]
    again = ncjax.train(config, folder / "run", devices=one, progress=False)
    assert again["epoch"].tolist() == [1, 2]
    epoch, state, experiment = open_run(folder / "run", devices=one)
    found = experiment.evaluate(state)
    assert epoch == 2
    assert float(found["nc/widest"]) == pytest.approx(again["nc/widest"][-1], rel=1e-4)


def test_a_command_that_reads_its_networks_takes_the_file(folder, trained):
    """With it, it fails only at the networks, which are not there."""
    config = json.loads((folder / "run" / "config.json").read_text())
    (folder / "ce").mkdir()
    config |= {"loss": {"name": "cross_entropy"}}
    (folder / "ce" / "config.json").write_text(json.dumps(config))
    shutil.copy(folder / "run" / "metrics.jsonl", folder / "ce")
    theory = "-m", "ncjax", "compare", "ce", "--theory"
    for flag, message in (
        ([], r"Unknown config\.data\.name 'blobs'\. .*--register=FILE"),
        (["--register", "mine.py"], "has no whole checkpoint"),
    ):
        result = run(folder, *theory, *flag)
        assert result.returncode == 2
        assert re.search(f"^error: .*{message}.*\n$", result.stderr, re.MULTILINE), (
            result.stderr
        )


def test_its_numbers_are_compared_without_the_file(folder, trained, tmp_path):
    other = shutil.copytree(folder / "run", tmp_path / "run1")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"seed": 1}))
    comparison = ncjax.compare([folder / "run", other], metrics=["nc/widest"])
    assert "nc/widest" in comparison.to_dict()["metrics"]


def test_a_stored_run_names_what_is_not_registered():
    fields = complete({"loss": {"name": "focal", "focus": 1.0}})
    with pytest.raises(ConfigError, match=r"loss.name 'focal'. Av.*--register=FILE"):
        to_config(fields)


@pytest.mark.parametrize(
    ("file", "message"),
    [("gone.py", "there is no file gone.py"), ("bad.py", "ZeroDivisionError.*line 1")],
)
def test_a_file_that_cannot_be_run(file, message, folder):
    (folder / "bad.py").write_text("1 / 0\n")
    result = run(folder, "-m", "ncjax", "compare", "run", f"--register={file}")
    assert result.returncode == 2
    assert re.fullmatch(
        f"error: The file given by --register.*{message}.*\n", result.stderr
    )
