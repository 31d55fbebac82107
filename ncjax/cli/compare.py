"""`ncjax compare RUN... [--out=DIR] ...`: runs side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ncjax import style
from ncjax.cli.usage import (
    Parser,
    UsageError,
    add_columns,
    announce,
    check_output,
    command,
)
from ncjax.io import write_json, write_whole
from ncjax.runs.about import about
from ncjax.statistics import TESTS

if TYPE_CHECKING:
    from ncjax.comparison import Comparison

_MOST = 40  # tests printed; more are in the file
_TOGETHER = 4  # groups whose curves are still read one over the other

_ABOUT = """\
Put runs side by side: final values over seeds, paired tests, curves.

RUN is the workdir of a run, a folder of workdirs, or a glob pattern.  Runs that differ
in nothing but the seed form a group, named by what sets it apart from the others.

The folder gets comparison.md, .json, .csv and .tex (the best of each column bold, with
what a paired test does not tell from it), tests.csv, the curves (comparison.png), of
more than four groups a panel for each (groups.png), of runs with a class tree error
against severity (pareto.png), and with --theory theory.png.
"""

_MORE = """\
examples:
  ncjax compare runs
  ncjax compare 'runs/fashion_*' --baseline=cross_entropy --out=fashion
  ncjax compare runs/a runs/b --metrics=nc/nc1,test/error --test=wilcoxon
  ncjax compare 'runs/fashion_*' --theory --format=pdf --columns=2
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
        written = write(
            comparison, Path(options.out), f".{options.format}", options.columns
        )
        if options.figure is not None:
            style.save(comparison.plot(options.columns), options.figure)
    except OSError as error:
        raise UsageError(
            f"--out={options.out} cannot be written: {error.strerror}."
        ) from error
    print(comparison.report(most=_MOST))
    print(f"\nWritten to {options.out}: {', '.join(written)}")
    for warning in comparison.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def write(
    comparison: Comparison,
    folder: Path,
    suffix: str = ".png",
    columns: int | None = None,
) -> list[str]:
    """Writes the tables and figures of a comparison, each file whole.

    Args:
        comparison: the comparison.
        folder: where they are written.
        suffix: ending of the figures, one of `ncjax.style.FORMATS`.
        columns: their width in columns of a page, 1 or 2; None for a screen.

    Returns:
        Names of the files.
    """
    texts = {
        "comparison.md": f"{comparison}\n",
        "comparison.csv": comparison.to_csv(),
        "comparison.tex": comparison.latex(),
        "tests.csv": comparison.tests_csv(),
    }
    figures = {"comparison": comparison.plot(columns)}
    if len(comparison.groups) > _TOGETHER:
        figures["groups"] = comparison.multiples(columns)
    if comparison.has_severity:
        figures["pareto"] = comparison.pareto(columns)
    if comparison.theory:
        figures["theory"] = comparison.theory_figure(columns)
    if comparison.overlays:
        figures["overlays"] = comparison.overlay_figure(columns)
    from ncjax.report.live import live_report  # late: it loads JAX
    from ncjax.runs.workdir import REPORT

    made = {"about": about(computed=bool(comparison.theory or comparison.overlays))}
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "comparison.json", comparison.to_dict() | made)
    for name, text in texts.items():
        write_whole(folder / name, text)
    for name, figure in figures.items():
        style.save(figure, folder / f"{name}{suffix}")
    live_report(folder).write()
    drawn = [f"{name}{suffix}" for name in figures]
    page = [REPORT] if (folder / REPORT).is_file() else []
    return ["comparison.json", *texts, *drawn, *page]


def _parser() -> Parser:
    parser = Parser("ncjax compare", _ABOUT, _MORE, registers=True)
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="workdir, folder of them, or pattern")
    out = "folder of report.html, tables and figures; by default comparison"
    add("--out", metavar="DIR", default="comparison", help=out)
    also = f"draw the curves also as FILE: {', '.join(style.FORMATS)}"
    add("--figure", metavar="FILE", type=Path, help=also)
    formats = [suffix.removeprefix(".") for suffix in style.FORMATS]
    ending = "ending of the figures in the folder; by default png"
    add("--format", choices=formats, default="png", help=ending)
    add_columns(parser)
    add("--metrics", metavar="A,B", help="names as in metrics.jsonl")
    add("--baseline", metavar="NAME", help="group to test the others against")
    level = "level of confidence of the intervals; by default 0.95"
    add("--level", metavar="P", type=float, default=0.95, help=level)
    test = "paired test of runs of the same seed; by default t"
    add("--test", choices=TESTS, default="t", help=test)
    theory = "also the geometry that theory predicts for each network"
    add("--theory", action="store_true", help=theory)
    return parser
