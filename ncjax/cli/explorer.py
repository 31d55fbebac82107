"""`ncjax explorer [--out=FILE]`: a page with sliders for what theory says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ncjax.cli.usage import Parser, UsageError, check_output, command

_ABOUT = """\
Write the explorer: one page of HTML with sliders for what theory gives in closed form.

Soft labels and HXE on a class tree, cross-entropy, MSE with decay of the bias, the
decay time of the row sum (NC0), minority collapse.  The page needs no network; open it
in any browser, or send it on.
"""

_MORE = """\
examples:
  ncjax explorer --out=explorer.html
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Writes the explorer."""
    parser = Parser("ncjax explorer", _ABOUT, _MORE)
    out = "file of the page; by default explorer.html"
    parser.add_argument(
        "--out", metavar="FILE", type=Path, default=Path("explorer.html"), help=out
    )
    path = parser.read(argv).out
    check_output("--out", path, (".html", ".htm"))
    from ncjax.explorer import write_explorer

    try:
        write_explorer(path)
    except ImportError as error:
        raise UsageError(str(error)) from error
    except OSError as error:
        raise UsageError(
            f"--out={path} cannot be written: {error.strerror}."
        ) from error
    print(f"Written to {path}: open it in a browser.")
    return 0
