"""Which code made a run, when, and by which command."""

from __future__ import annotations

import datetime
import functools
import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = ("ncjax", "jax", "jaxlib", "flax", "optax", "numpy")


@functools.cache
def about() -> dict[str, str | None]:
    """Versions, the commit of ncjax, date and command; None for what is not known.

    They are those of this process, which may make many runs: `date` is when it was
    first asked.
    """
    found = {name: _version(name) for name in _PACKAGES}
    return found | {
        "python": platform.python_version(),
        "commit": commit(Path(__file__).parents[2]),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "command": shlex.join([Path(sys.executable).name, *sys.orig_argv[1:]]),
    }


def commit(clone: Path) -> str | None:
    """The commit of a clone, with "-dirty" if files of it were changed.

    None where the folder is no clone, or git is not there.
    """
    if not (clone / ".git").exists():  # an installed copy may lie in a clone of others
        return None
    ask = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        said = subprocess.run(ask, cwd=clone, capture_output=True, text=True, timeout=9)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.stdout.strip() or None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
