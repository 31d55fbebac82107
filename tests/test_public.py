"""What a user meets first: the names of the package, those in README, the examples."""

import ast
import doctest
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ncjax

ROOT = Path(__file__).parents[1]
READMES = sorted(
    path
    for folder in ("", "ncjax", "configs", "launch", "tests")
    for path in (ROOT / folder).glob("**/README.md" if folder else "README.md")
)
# Functions whose docstrings hold an example.
FACE = [
    *("ncjax.train", "ncjax.sweep", "ncjax.load", "ncjax.measure", "ncjax.compare"),
    *("ncjax.class_moments", "ncjax.default", "ncjax.Recorder"),
    *("ncjax.hierarchy.balanced", "ncjax.plots.collapse", "ncjax.losses.hxe"),
    *("ncjax.ufm.Problem.create", "ncjax.ufm.solve", "ncjax.ufm.certify"),
    "ncjax.codes.solve",
]


def find(name: str):
    """The object of a dotted name, with the modules imported that it needs."""
    first, *rest = name.split(".")
    found, path = importlib.import_module(first), first
    for part in rest:
        path += f".{part}"
        if not hasattr(found, part):
            importlib.import_module(path)
        found = getattr(found, part)
    return found


def dotted_names(text: str) -> set[str]:
    """Names that begin with "ncjax." in prose, commands and imports of a README."""
    found = re.findall(r"\bncjax(?:\.\w+)+", text)
    names = {name.removesuffix(".py") for name in found}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            if module.startswith("ncjax"):
                names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def test_dir_shows_what_is_meant():
    assert dir(ncjax) == sorted(ncjax.__all__)
    assert {"train", "measure", "compare", "ufm", "__version__"} < set(dir(ncjax))


@pytest.mark.parametrize("name", ncjax.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ncjax, name) is not None


def test_an_unknown_name_is_refused():
    with pytest.raises(AttributeError, match=r"Did you mean 'measure'\?"):
        ncjax.mesure  # noqa: B018


def test_the_version_is_that_of_the_project():
    text = (ROOT / "pyproject.toml").read_text()
    assert f'version = "{ncjax.__version__}"' in text


@pytest.mark.parametrize("path", READMES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_name_in_a_readme_exists(path):
    for name in dotted_names(path.read_text()):
        assert find(name) is not None, name


def test_readme_itself_names_the_library():
    assert len(dotted_names((ROOT / "README.md").read_text())) >= 4


def test_modules_are_not_hidden_by_functions_of_their_name():
    """`import ncjax.measurement.core` works after `ncjax.measure`, and before."""
    names = {module.name for module in pkgutil.iter_modules(ncjax.__path__)}
    functions = {name for name in ncjax.__all__ if callable(getattr(ncjax, name))}
    assert not names & functions


@pytest.mark.parametrize(
    "code",
    [
        "import ncjax; ncjax.measure; import ncjax.measurement.core",
        "import ncjax.measurement.core; import ncjax; assert callable(ncjax.measure)",
        pytest.param(
            "import ncjax; assert issubclass(ncjax.TrainingError, Exception)",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "import ncjax; assert callable(ncjax.ufm.solve)", marks=pytest.mark.slow
        ),
        pytest.param(
            "import ncjax; assert callable(ncjax.plots.collapse)",
            marks=pytest.mark.slow,
        ),
        "from ncjax import *; assert callable(train) and callable(measure)",
    ],
)
def test_in_a_new_process(code):
    subprocess.run([sys.executable, "-c", code], check=True)


# These compile long for what their own tests run too.
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow)
        if n in ("ncjax.train", "ncjax.sweep", "ncjax.compare", "ncjax.load")
        else n
        for n in FACE
    ],
)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = find(name).__doc__ or ""
    examples = doctest.DocTestParser().get_doctest(text, {}, name, None, None)
    assert examples.examples, f"{name} has no example"
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    said: list[str] = []
    doctest.DocTestRunner(optionflags=flags).run(examples, out=said.append)
    assert not said, "".join(said)
