"""Fifty command lines that cannot be used, each a process: status 2 and one paragraph.

In process, thousands of others are tried by `test_fuzz_commands.py`.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

LINES = """
train --config=nothing
train --config=digits:nothing
train --config=broken.py
train --config=ufm_ce
train --config=digits:smoke --config.nothing=1
train --config=digits:smoke --config.loss.name=mean_square
train --config=digits:smoke --config.optimizer.learning_rate=-1
train --config=digits:smoke --config.optimizer.learning_rate=nan
train --config=digits:smoke --config.num_epochs=0
train --config=digits:smoke --config.num_epochs=many
train --config=digits:smoke --config.batch_size=100000
train --config=digits:smoke --config.model.widths=(100000000,100000000)
train --config=digits:smoke --config.model.widths=()
train --config=digits:smoke --config.hierarchy.file=nowhere.json
train --config=digits:smoke --config.hierarchy.file=broken.json
train --config=digits:smoke --config.hierarchy.file=folder
train --config=digits:smoke --config.data.path=nowhere.npz
train --config=own_arrays --config.data.path=nowhere.npz
train --config=own_arrays --config.data.path=broken.npz
train --config=own_image_folder --config.data.path=nowhere
train --config=digits:smoke --config.checkpoint.max_share=2
train --config=digits:smoke --config.checkpoint.keep=0
train --config=digits:smoke --config.on_nonfinite=hope
train --config=digits:smoke --config.eval.probes=('nothing',)
train --config=digits:smoke --config.loss.temperature=0
train --config=digits:smoke --workdir=folder
train --config=digits:smoke --workdir=broken.json
train --config=digits:smoke --nothing
train --config=digits:smoke --sweep.nothing=1,2
train --config=digits:smoke --sweep.optimizer.weight_decay=
train --config=digits:smoke --sweep.optimizer.weight_decay=0..1:3
train --config=digits:smoke --sweep.optimizer.momentum=0,1.5
measure
measure nowhere.npy
measure x.npy
measure x.npy --labels=nowhere.npy
measure x.npy --labels=x.npy
measure x.npy --labels=short.npy
measure broken.npz --labels=y.npy
measure x.npy --labels=y.npy --classifier=y.npy
measure x.npy --labels=y.npy --preset=nobody
measure x.npy --labels=y.npy --json=nowhere/out.json
measure x.npy --labels=y.npy --num-classes=1
compare
compare nowhere
compare folder
compare nowhere --test=guess
ufm --config=digits
ufm --config=ufm_ce:smoke --config.model.c=-1
nothing
""".strip().splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where they run, with the files that they name."""
    folder = tmp_path_factory.mktemp("processes")
    rng = np.random.default_rng(0)
    np.save(folder / "x.npy", rng.normal(size=(20, 3)))
    np.save(folder / "y.npy", np.arange(20) % 2)
    np.save(folder / "short.npy", np.arange(7) % 2)
    (folder / "broken.npz").write_bytes(b"PK\x03\x04 and no more")
    (folder / "broken.json").write_text('{"root": [')
    (folder / "broken.py").write_text("def get_config(:\n")
    (folder / "folder").mkdir()
    (folder / "folder" / "of_mine.txt").write_text("kept")
    return folder


def files(folder):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def run(folder, line):
    return subprocess.run(
        [sys.executable, "-m", "ncjax", *line.split()],
        cwd=folder,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_lines_that_cannot_be_used(folder):
    assert len(set(LINES)) == 50
    before = files(folder)
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda line: run(folder, line), LINES))
    for line, process in zip(LINES, done, strict=True):
        said = f"{line}\n{process.stdout}{process.stderr}"
        assert process.returncode == 2, said
        assert process.stdout == "", said
        told = [x for x in process.stderr.splitlines() if not x.startswith("Loading")]
        assert len(told) == 1, said
        assert re.match("error: .{20}", told[0]), said
    assert files(folder) == before
