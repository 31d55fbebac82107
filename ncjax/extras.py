"""The packages that ncjax can do without, and the command that installs them."""

from __future__ import annotations

from pathlib import Path


def install(extra: str) -> str:
    """The command that installs the packages of an extra, such as "tfds".

    No index of packages need have ncjax: in a clone the clone itself is named, and of
    an installed ncjax pip knows the extras.
    """
    clone = Path(__file__).parents[1]
    if not (clone / "pyproject.toml").is_file():
        return f"pip install 'ncjax[{extra}]'"
    here = clone == Path.cwd()
    return f"pip install '{'.' if here else clone}[{extra}]'"
