"""What an import loads: JAX, and no library that is needed only later."""

import os
import subprocess
import sys

import pytest

from tests.thin import thin

HEAVY = [
    *("absl", "diffrax", "flax", "matplotlib", "ml_collections", "optax", "orbax"),
    *("scipy", "sklearn", "tensorboardX"),
]
# Statement -> the heavy libraries that it may load.
ALLOWED = {
    "import ncjax": (),
    "import ncjax; dir(ncjax)": (),
    "import ncjax; ncjax.class_moments; ncjax.measure; ncjax.collapse": (),
    "import ncjax; ncjax.codes": (),
    "import ncjax; ncjax.Hierarchy; ncjax.hierarchy; ncjax.losses": (),
    "import ncjax; ncjax.compare": ("absl", "flax", "ml_collections"),
    "import ncjax; ncjax.plots": ("matplotlib",),
    "import ncjax; ncjax.ufm": (),
    "import ncjax.ufm.run": ("absl", "ml_collections"),
    "import ncjax; ncjax.default": ("absl", "flax", "ml_collections"),
    "import ncjax; ncjax.train": ("absl", "flax", "ml_collections", "optax"),
}


def loaded(statement: str) -> set[str]:
    """The heavy libraries that a statement loads in a new process."""
    code = f"{statement}\nimport sys; print(*(set(sys.modules) & {set(HEAVY)!r}))"
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    program = [sys.executable, "-c", code]
    result = subprocess.run(program, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


@pytest.mark.parametrize("statement", thin(list(ALLOWED), keep={0, 1, 3}))
def test_only_what_is_needed_is_loaded(statement):
    assert loaded(statement) <= set(ALLOWED[statement])


@pytest.mark.parametrize("statement", ["import ncjax", "import ncjax; dir(ncjax)"])
def test_the_package_itself_does_without_jax(statement):
    code = f"{statement}; import sys; assert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("backend", "installed"),
    [
        ("module://matplotlib_inline.backend_inline", False),
        ("module://matplotlib_inline.backend_inline", True),
        ("inline", False),
        ("module://ipympl.backend_nbagg", False),
        ("svg", True),
    ],
)
def test_figures_do_without_the_backend_of_a_notebook(backend, installed):
    """Programs that a notebook starts inherit the name of its backend."""
    code = (
        "import importlib.metadata, os, sys\n"
        f"if not {installed}:\n"
        "    sys.modules['matplotlib_inline'] = sys.modules['ipympl'] = None\n"
        "    importlib.metadata.entry_points = lambda **_: []\n"
        "import ncjax\n"
        "import ncjax.runs.plots\n"
        f"assert ('MPLBACKEND' in os.environ) == {installed}\n"
    )
    env = os.environ | {"JAX_PLATFORMS": "cpu", "MPLBACKEND": backend}
    program = [sys.executable, "-c", code]
    result = subprocess.run(program, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
