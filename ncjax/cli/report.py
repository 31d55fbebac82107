"""`ncjax report RUN [--out=FILE]`: a page that shows a run, from its files alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ncjax.cli.usage import Parser, UsageError, announce, check_output, command

_ABOUT = """\
Write report.html: what a run did, as one page to look at and to pass on.

RUN is the workdir of a training, of a Recorder, of a sweep or of `ncjax ufm`, or the
folder of a comparison.  It may be unfinished or damaged: the page says what is missing.
The page is one file and needs no network: a verdict in one sentence, curves to zoom
into, the class means beside what theory predicts, mistakes, and what was run.  Training
writes it by itself, at the end and every minute or so.
"""

_MORE = """\
examples:
  ncjax report runs/mine
  ncjax report runs/mine --out=mine.html    links to the files of the run stay relative
  ncjax report runs/many/seeds/3            one of many seeds
"""


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Writes the report of a folder, and prints where it is."""
    options = _parser().read(argv)
    folder, out = options.run.expanduser(), options.out
    if out is not None:
        check_output("--out", out, (".html", ".htm"))
    announce("read the run")
    from ncjax.report.write import write_report  # late: JAX takes seconds to import

    try:
        print(f"Written to {write_report(folder, out)}")
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be written: {error.strerror}. Choose another "
            "file with --out."
        ) from error
    return 0


def _parser() -> Parser:
    parser = Parser("ncjax report", _ABOUT, _MORE, registers=True)
    add = parser.add_argument
    add("run", metavar="RUN", type=Path, help="folder of the run")
    out = "file to write; by default report.html in that folder"
    add("--out", metavar="FILE", type=Path, help=out)
    return parser
