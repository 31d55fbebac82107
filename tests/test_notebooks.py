"""Every notebook has its text twin, with the same cells and no stored output; runs."""

import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "colab").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_and_script_are_the_same(path):
    notebook = jupytext.read(path)
    script = jupytext.read(path.with_suffix(".py"))
    cells = [[(c.cell_type, c.source) for c in nb.cells] for nb in (notebook, script)]
    assert cells[0] == cells[1], f"run: jupytext --sync {path}"
    code = [c for c in notebook.cells if c.cell_type == "code"]
    assert len(code) > 0
    assert all(not c.outputs for c in code)


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path):
    command = ["-m", "nbconvert", "--to", "notebook", "--execute", path.name]
    subprocess.run(
        [sys.executable, *command, f"--output={tmp_path / 'out.ipynb'}"],
        cwd=path.parent,
        check=True,
        capture_output=True,
    )
    done = jupytext.read(tmp_path / "out.ipynb")
    outputs = [o for cell in done.cells for o in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
