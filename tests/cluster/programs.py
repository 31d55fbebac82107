"""Programs of several processes on this machine, and what they leave."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
# A ResNet that compiles in seconds, and an MLP that takes less; both with BatchNorm.
CONFIG = """\
import jax.numpy as jnp

from ncjax.config import default
from ncjax.models import MODELS
from ncjax.models.resnet import ResNet


def resnet_tiny(outputs, *, dtype=jnp.float32):
    return ResNet(outputs, blocks=(1, 1), width=8, dtype=dtype)


MODELS["resnet_tiny"] = resnet_tiny


def get_config(preset="mlp"):
    config = default()
    config.data.name = "synthetic"
    config.data.dim = 64
    config.data.num_classes = 4
    config.data.train_size_per_class = 24
    config.data.test_size_per_class = 8
    config.model.name = preset
    if preset == "mlp":
        config.model.widths = (32, 32)
        config.hierarchy.name = "none"
    config.num_epochs = 3
    config.batch_size = 32
    config.eval.epochs = (1, 2, 3)
    config.checkpoint.every_epochs = 1
    config.checkpoint.keep = 3
    config.checkpoint.max_share = 1.0
    return config
"""


def environ(**variables):
    """Of a program on CPUs, by this interpreter."""
    return os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"} | variables


def run(*command, **variables):
    """A program started in the repository, and what it left."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environ(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def program(path, text):
    """An executable file, found first by what is run with the PATH returned."""
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)
    return f"{path.parent}:{os.environ['PATH']}"


def rows_of(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_curves(a, b):
    """All that was measured, to 1e-5.

    Of two superclasses NC2 is 0 but for rounding, and entries of the Gram matrix are so
    beside those on its diagonal.
    """
    assert [row["epoch"] for row in a] == [row["epoch"] for row in b] == [1, 2, 3]
    for one, other in zip(a, b):
        assert one.keys() == other.keys()
        for name, value in one.items():
            rounding = 1e-6 if name in ("tree/level1/nc2", "nc/gram") else 0
            about = {"rtol": 1e-5, "atol": rounding}
            place = f"{name}, epoch {one['epoch']}"
            np.testing.assert_allclose(other[name], value, **about, err_msg=place)


def keep_checkpoints(folder, last):
    """As if the run had been killed after this one."""
    for path in (folder / "checkpoints").iterdir():
        if int(path.name) > last:
            shutil.rmtree(path)


def start(count, address, *command):
    """The processes of a run on CPUs, started by hand."""
    variables = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=environ(JAX_PROCESS_ID=str(i), **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]
