"""What is read as data is never run: nothing is unpickled, evaluated or imported by it.

The package's source is read for calls that could; what a user names to be run, a config
file or that of --register, is run in one place.
"""

import ast
from pathlib import Path

import numpy as np
import pytest

import ncjax
from ncjax.measurement.readers import open_arrays
from ncjax.measurement.sources import MeasureError

PACKAGE = Path(ncjax.__file__).parent
UNPICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve"}
UNPICKLERS |= {"marshal", "copyreg"}
RUNNERS = {"eval", "exec", "compile", "__import__", "execfile"}
# A file of a user's is run as the user asks; and the processes of one run, which do not
# read them from files, send each other values.
ALLOWED = {
    ("cli/usage.py", "import runpy"),
    ("cluster/processes.py", "import pickle"),
}


def trees():
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def dangers(tree):
    """What in a module could run data: line and what it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [x.name for x in node.names]
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found = {name.partition(".")[0] for name in modules}
            yield from ((node.lineno, f"import {x}") for x in found & UNPICKLERS)
            if found & {"runpy", "code", "codeop"}:
                yield node.lineno, "import runpy"
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in RUNNERS or name == "builtins.eval":
                yield node.lineno, name
            # `np.load` unpickles nothing unless it is told to.
            if name == "torch.load" and not is_safe(node, "weights_only", True):
                yield node.lineno, name
            if any(keyword.arg == "allow_pickle" for keyword in node.keywords):
                yield from unsafe(node, "allow_pickle", False)
            if any(keyword.arg == "weights_only" for keyword in node.keywords):
                yield from unsafe(node, "weights_only", True)
        if isinstance(node, ast.Dict):
            keys = [getattr(key, "value", None) for key in node.keys]
            for key, value in zip(keys, node.values, strict=True):
                if key == "weights_only" and getattr(value, "value", None) is not True:
                    yield node.lineno, "weights_only"


def is_safe(call, keyword, value):
    """Whether a call gives the safe value, or unpacks a dictionary that may have it."""
    given = {k.arg: getattr(k.value, "value", None) for k in call.keywords}
    return given.get(keyword) is value or None in given


def unsafe(call, keyword, value):
    if not is_safe(call, keyword, value):
        yield call.lineno, keyword


def test_no_module_unpickles_or_evaluates():
    found = {
        f"{path}:{line}: {what}"
        for path, tree in trees()
        for line, what in dangers(tree)
        if (path, what) not in ALLOWED
    }
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "exec(text, {})",
        "import runpy",
        "torch.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=False)",
        "options = {'weights_only': False}",
        "read_array(file, allow_pickle=flag)",
    ],
)
def test_what_could_run_data_is_found(text):
    assert list(dangers(ast.parse(text)))


def test_torch_files_are_read_as_weights_only():
    """Each call of `torch.load` unpacks the one dictionary that says so."""
    tree = dict(trees())["measurement/readers.py"]
    calls = [
        ast.unparse(node)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
    ]
    assert calls
    assert all("**options" in call for call in calls)
    assert "'weights_only': True" in ast.unparse(tree)


class Trap:
    """Something whose unpickling is noticed."""

    def __reduce__(self):
        return print, ("unpickled",)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_objects_in_files_are_not_unpickled(ending, tmp_path, capsys):
    path = tmp_path / f"x{ending}"
    save = np.save if ending == ".npy" else np.savez
    save(path, np.array([Trap(), Trap()]), allow_pickle=True)
    with pytest.raises(MeasureError, match="holds Python objects"):
        open_arrays(path)
    assert "unpickled" not in capsys.readouterr().out


def test_torch_objects_are_not_unpickled(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    torch.save({"features": Trap()}, tmp_path / "x.pt")
    with pytest.raises(MeasureError, match="Cannot read"):
        open_arrays(tmp_path / "x.pt")
    assert "unpickled" not in capsys.readouterr().out
