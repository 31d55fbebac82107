"""plotly.js for a page that needs no network: packed by gzip, 2 MB instead of 5."""

from __future__ import annotations

import base64
import functools
import gzip
from importlib.metadata import distribution
from pathlib import Path

_WHERE = "plotly/package_data/plotly.min.js"


@functools.cache
def plotly() -> str:
    """The text of plotly.js, packed by gzip, in base64.

    It belongs in the element "plotly" of a page.
    """
    # Not by `import plotly`, which takes longer than all else.
    path = Path(str(distribution("plotly").locate_file(_WHERE)))
    return base64.b64encode(gzip.compress(path.read_bytes(), 6, mtime=0)).decode()


@functools.cache
def unpack() -> str:
    """The script that unpacks and runs it: its function `unpackPlotly`."""
    return Path(__file__).with_name("unpack.js").read_text()
