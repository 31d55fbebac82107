"""Makes the page of the explorer: one file with all that it needs, for any browser."""

from __future__ import annotations

import importlib.metadata
import json
import os
import string
from importlib import resources

from ncjax.io import write_whole
from ncjax.report import packed
from ncjax.style import COLORS

# Those of `ncjax.style` that can be told apart on a light and on a dark ground.
_COLORS = tuple(COLORS[i] for i in (5, 6, 2, 1))


def write_explorer(path: str | os.PathLike) -> None:
    """Writes the explorer, a page of HTML with sliders; it needs no network.

    Args:
        path: the file; one that is there is replaced, whole or not at all.

    Raises:
        OSError: if the file cannot be written.
    """
    write_whole(path, explorer())


def explorer() -> str:
    """The page as text, about 2 MB, nearly all of it plotly.js, packed."""
    return string.Template(_read("page.html")).substitute(
        plotly=packed.plotly(),
        unpack=packed.unpack(),
        theory=_read("theory.js"),
        topics=_read("topics.js"),
        page=_read("page.js"),
        colors=json.dumps(_COLORS),
        version=importlib.metadata.version("ncjax"),
    )


def _read(name: str) -> str:
    """The text of a file of this folder."""
    return resources.files("ncjax.explorer").joinpath(name).read_text("utf-8")
