"""`ncjax report RUN`: a page that shows a run; or one with sliders for theory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ncjax.cli.usage import (
    Parser,
    UsageError,
    add_columns,
    announce,
    check_output,
    command,
)
from ncjax.style import FORMATS

_ABOUT = """\
Write report.html: what a run did, as one page to look at and to pass on.

RUN is the workdir of a training, of a Recorder, of a sweep or of `ncjax ufm`, or the
folder of a comparison.  It may be unfinished or damaged: the page says what is missing.
The page is one file and needs no network: a verdict in one sentence, curves to zoom
into, the class means beside what theory predicts, mistakes, and what was run.  Training
writes it by itself, at the end and every minute or so.

--figures draws the figures of the run anew, for a paper, beside those that are there.

--explorer takes no RUN: a page with sliders for what theory gives in closed form, soft
labels and HXE on a class tree, cross-entropy, MSE with decay of the bias, the decay
time of the row sum (NC0), minority collapse.
"""

_MORE = """\
examples:
  ncjax report runs/mine
  ncjax report runs/mine --out=mine.html    links to the files of the run stay relative
  ncjax report runs/many/seeds/3            one of many seeds
  ncjax report runs/mine --figures=pdf --columns=1    runs/mine/collapse.pdf, ...
  ncjax report --explorer explorer.html
"""

_HTML = (".html", ".htm")


@command("Stopped; nothing was written.")
def main(argv: Sequence[str]) -> int:
    """Writes the page or the figures of a folder, or the explorer; says where."""
    options = _parser().read(argv)
    _check(options)
    if options.explorer is None:
        announce("read the run")
    try:
        written = _write(options)
    except OSError as error:
        raise UsageError(
            f"{error.filename} cannot be written: {error.strerror}. Choose another "
            "file with --out."
        ) from error
    print(f"Written to {', '.join(map(str, written))}")
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuses flags that do not go together, and files that cannot be written."""
    if (options.run is None) == (options.explorer is None):
        raise UsageError(
            "Give the folder of a run, as in `ncjax report runs/mine`, or "
            "--explorer=FILE.html for the page on theory, which takes no run."
        )
    page = options.figures is None and options.explorer is None
    if options.out is not None and not page:
        raise UsageError("--out is for the page of a run, without another flag.")
    if options.columns is not None and options.figures is None:
        raise UsageError(
            "--columns is the width of figures: it needs --figures, as in "
            "--figures=pdf --columns=1."
        )
    for flag, path in (("--out", options.out), ("--explorer", options.explorer)):
        if path is not None:
            check_output(flag, path, _HTML)


def _write(options: argparse.Namespace) -> list[Path]:
    """The files that are written."""
    # Late: JAX takes seconds to import.
    if options.explorer is not None:
        from ncjax.explorer import write_explorer

        write_explorer(options.explorer)
        return [options.explorer]
    folder = options.run.expanduser()
    if options.figures is None:
        from ncjax.report.write import write_report

        return [write_report(folder, options.out)]
    return _draw(folder, f".{options.figures}", options.columns)


def _draw(folder: Path, suffix: str, columns: int | None) -> list[Path]:
    """The figures of a run or of a sweep, drawn anew in its folder."""
    from ncjax.report.comparison import COMPARISON
    from ncjax.report.read import read
    from ncjax.report.ufm import VERDICT
    from ncjax.report.write import kind_of
    from ncjax.runs.figures import draw
    from ncjax.runs.place import SWEEP
    from ncjax.sweeps.table import read_sweep

    kind = kind_of(folder)
    for mark, way in (
        (COMPARISON, f"`ncjax compare RUN ... --format={suffix[1:]} --columns=N`"),
        (VERDICT, f"`ncjax ufm --config=FILE --figure=NAME{suffix} --columns=N`"),
    ):
        if kind == mark:
            raise UsageError(f"The figures of {folder} are drawn by {way}.")
    if kind == SWEEP:
        paths = read_sweep(folder).draw(suffix, columns)
    else:
        found = read(folder)
        names, tree = found.classes.names, found.classes.tree
        paths = draw(found.history, names, tree, suffix=suffix, columns=columns)
    if not paths:
        raise UsageError(f"There is nothing to draw: {folder} has no measured epoch.")
    return paths


def _parser() -> Parser:
    parser = Parser("ncjax report", _ABOUT, _MORE, registers=True)
    add = parser.add_argument
    add("run", metavar="RUN", nargs="?", type=Path, help="folder of the run")
    out = "file to write; by default report.html in that folder"
    add("--out", metavar="FILE", type=Path, help=out)
    formats = [suffix.removeprefix(".") for suffix in FORMATS]
    figures = "draw the figures of the run anew, in this format"
    add("--figures", choices=formats, help=figures)
    add_columns(parser)
    explorer = "write a page with sliders for theory instead, of no run"
    add("--explorer", metavar="FILE", type=Path, help=explorer)
    return parser
