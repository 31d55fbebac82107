"""Which code made a file, on what, when, and by which command."""

from __future__ import annotations

import datetime
import functools
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from typing import Any

from ncjax.io import plain
from ncjax.options import flat

_PACKAGES = ("ncjax", "jax", "jaxlib", "flax", "optax", "numpy")
# The config file of the command under way and its fields; None without a command.
_RECIPE: ContextVar[tuple[str, Mapping[str, Any]] | None] = ContextVar(
    "recipe", default=None
)


def about(computed: bool = True) -> dict[str, Any]:
    """Versions, the commit of ncjax, hardware, date and command; None if not known.

    Args:
        computed: whether JAX computed what the file holds; else its devices, of which
            another program may have taken hold, are not asked for.
    """
    now = datetime.datetime.now().astimezone()
    return _program() | {
        "devices": _devices() if computed else None,
        "date": now.isoformat(timespec="seconds"),
    }


@contextmanager
def following(file: str, fields: Mapping[str, Any]) -> Generator[None]:
    """Runs that begin within the block are known to come from a config file.

    Args:
        file: the config file, as in `--config=FILE:PRESET`.
        fields: its fields before any flag has changed one, flat.
    """
    token = _RECIPE.set((file, plain(dict(fields))))
    try:
        yield
    finally:
        _RECIPE.reset(token)


def recipe_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config file that a run comes from, and its values of fields that differ.

    Args:
        config: configuration of the run, nested.

    Returns:
        {"recipe": {"file": FILE, "changed": {field: value in the file}}}; {} of a run
        that comes from no file, but was begun in Python.
    """
    if (recipe := _RECIPE.get()) is None:
        return {}
    file, fields = recipe
    own = plain(flat(config))
    changed = {k: fields[k] for k in own if k in fields and fields[k] != own[k]}
    return {"recipe": {"file": file, "changed": changed}}


@functools.cache
def _program() -> dict[str, Any]:
    """What is the same whenever this process is asked."""
    found: dict[str, Any] = {name: version_of(name) for name in _PACKAGES}
    return found | {
        "python": platform.python_version(),
        "commit": commit(Path(__file__).parents[2]) or _installed_commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
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


def _installed_commit() -> str | None:
    """The commit that pip installed ncjax from, if it was a repository."""
    try:
        written = distribution("ncjax").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    return json.loads(written or "{}").get("vcs_info", {}).get("commit_id")


def _devices() -> dict[str, Any]:
    """Kind and number of JAX's devices, over all processes."""
    import jax  # late: a comparison does without

    devices = jax.devices()
    kinds = sorted({device.device_kind for device in devices})
    return {
        "kind": ", ".join(kinds),
        "count": len(devices),
        "processes": jax.process_count(),
    }


def version_of(package: str) -> str | None:
    """The version of an installed package; None if it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
