"""`ncjax compare RUN... [--out=DIR] ...`: runs side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncjax import style
from ncjax.cli.usage import Parser, UsageError, announce, check_output, command
from ncjax.io import write_json, write_whole
from ncjax.runs.about import about
from ncjax.statistics import TESTS

if TYPE_CHECKING:
    from ncjax.comparison import Comparison

_MOST = 40  # tests printed; more are in the file

_ABOUT = """\
Put runs side by side: final values over seeds, paired tests, curves.

RUN is the workdir of a run, a folder of workdirs, or a glob pattern.  Runs that differ
in nothing but the seed form a group, named by what sets it apart from the others.
"""

_MORE = """\
examples:
  ncjax compare runs
  ncjax compare 'runs/fashion_*' --baseline=cross_entropy --out=fashion
  ncjax compare runs/a runs/b --metrics=nc/nc1,test/error --test=wilcoxon
  ncjax compare 'runs/fashion_*' --theory --figure=fashion.pdf
"""


@command("Stopped.")
def main(argv: Sequence[str]) -> int:
    """Compares runs, prints the tables and writes them with a figure."""
    options = _parser().read(argv)
    if options.figure is not None:
        check_output("--figure", options.figure, style.FORMATS)

    if options.theory:
        announce("read the networks and solve what theory says of them")
    # JAX and what is built on it take seconds to import.
    from ncjax.comparison import compare

    metrics = options.metrics
    comparison = compare(
        options.runs,
        metrics=None if metrics is None else [m for m in metrics.split(",") if m],
        baseline=options.baseline,
        level=options.level,
        test=options.test,
        theory=options.theory,
    )
    try:
        write(comparison, Path(options.out))
        if options.figure is not None:
            style.save(comparison.plot(), options.figure)
    except OSError as error:
        raise UsageError(
            f"--out={options.out} cannot be written: {error.strerror}."
        ) from error
    print(comparison.report(most=_MOST))
    files = "comparison.md, comparison.json, comparison.png, report.html"
    if comparison.theory:
        files += ", theory.png"
    print(f"\nWritten to {options.out}: {files}")
    for warning in comparison.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def write(comparison: Comparison, folder: Path) -> None:
    """Writes comparison.md, .json and .png, theory.png and report.html, each whole."""
    from ncjax.report.live import live_report  # late: it loads JAX

    made = {"about": about(computed=bool(comparison.theory))}
    content, drawn = comparison.to_dict() | made, comparison.plot()
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", content)
    write_whole(folder / "comparison.md", f"{comparison}\n")
    style.save(drawn, folder / "comparison.png")
    if comparison.theory:
        style.save(comparison.theory_figure(), folder / "theory.png")
    live_report(folder).write()


def _parser() -> Parser:
    parser = Parser("ncjax compare", _ABOUT, _MORE, registers=True)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="workdir, folder of them, or pattern")
    out = "folder of report.html, comparison.md, .json, .png; by default comparison"
    add("--out", metavar="DIR", default="comparison", help=out)
    also = f"draw the curves also as FILE: {', '.join(style.FORMATS)}"
    add("--figure", metavar="FILE", type=Path, help=also)
    add("--metrics", metavar="A,B", help="names as in metrics.jsonl")
    add("--baseline", metavar="NAME", help="group to test the others against")
    level = "level of confidence of the intervals; by default 0.95"
    add("--level", metavar="P", type=float, default=0.95, help=level)
    test = "paired test of runs of the same seed; by default t"
    add("--test", choices=TESTS, default="t", help=test)
    theory = "also the geometry that theory predicts for each network"
    add("--theory", action="store_true", help=theory)
    return parser
