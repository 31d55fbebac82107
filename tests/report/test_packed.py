"""plotly.js in a page: the packed text is that of the package."""

import base64
import gzip
from pathlib import Path

import plotly as package

from ncjax.report.packed import plotly, unpack


def test_what_is_packed_is_plotly():
    path = Path(package.__file__).parent / "package_data" / "plotly.min.js"
    packed = plotly()
    assert gzip.decompress(base64.b64decode(packed)) == path.read_bytes()
    assert len(packed) < path.stat().st_size / 2
    assert "unpackPlotly" in unpack()
