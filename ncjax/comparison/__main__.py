"""Command line: `python -m ncjax.compare RUN... [--out=DIR] ...`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from ncjax.comparison.core import Comparison, compare
from ncjax.comparison.runs import CompareError
from ncjax.comparison.tables import body
from ncjax.measurement.result import write_whole
from ncjax.runs.plots import save
from ncjax.statistics import TESTS

_MOST = 40  # tests printed; more are in the file
_OUT = "folder of comparison.md, .json and .png: comparison"
_THEORY = "also the geometry that theory predicts for each network, from checkpoints"

_ABOUT = """\
Put runs side by side: final values over seeds, paired tests, curves.

RUN is the workdir of a run, a folder of workdirs, or a glob pattern.  Runs that differ
in nothing but the seed form a group, named by what sets it apart from the others.
"""

_EXAMPLES = """\
examples:
  python -m ncjax.compare runs
  python -m ncjax.compare 'runs/fashion_*' --baseline=cross_entropy --out=fashion
  python -m ncjax.compare runs/a runs/b --metrics=nc/nc1,test/error --test=wilcoxon
  python -m ncjax.compare 'runs/fashion_*' --theory
"""


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns the exit status: 0, or 2 for bad input."""
    options = _parser().parse_args(argv)
    metrics = options.metrics
    try:
        comparison = compare(
            options.runs,
            metrics=None if metrics is None else [m for m in metrics.split(",") if m],
            baseline=options.baseline,
            level=options.level,
            test=options.test,
            theory=options.theory,
        )
        write(comparison, options.out)
    except CompareError as error:
        return _refuse(error)
    except OSError as error:
        return _refuse(f"--out {options.out} cannot be written: {error.strerror}.")
    print(body(comparison, most=_MOST))
    files = "comparison.md, comparison.json, comparison.png"
    if comparison.theory:
        files += ", theory.png"
    print(f"\nWritten to {options.out}: {files}")
    for warning in comparison.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return 0


def write(comparison: Comparison, folder: Path) -> None:
    """Writes comparison.md, .json and .png, and theory.png, each whole."""
    text = json.dumps(comparison.to_dict(), indent=2, allow_nan=False)
    drawn = comparison.figure()
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "comparison.json", f"{text}\n".encode())
    write_whole(folder / "comparison.md", f"{comparison}\n".encode())
    save(drawn, folder / "comparison.png")
    if comparison.theory:
        save(comparison.theory_figure(), folder / "theory.png")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ncjax.compare",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("runs", metavar="RUN", nargs="+", help="workdir, folder of them, or pattern")
    add("--out", metavar="DIR", type=Path, default=Path("comparison"), help=_OUT)
    add("--metrics", metavar="A,B", help="names as in metrics.jsonl")
    add("--baseline", metavar="NAME", help="group to test the others against")
    add("--level", metavar="P", type=float, default=0.95, help="of confidence: 0.95")
    add("--test", choices=TESTS, default="t", help="paired test by seed: t")
    add("--theory", action="store_true", help=_THEORY)
    return parser


def _refuse(error: object) -> int:
    print(f"error: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
