"""What all studies share: their flags, intervals, and what they write."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ncjax import style
from ncjax.io import write_whole
from ncjax.statistics import paired, t_interval
from tests.benchmarks import verdicts
from tests.benchmarks.harness import RESULTS
from tests.benchmarks.verdicts import Answer, Verdict

LEVEL = 0.95


def flags(doc: str | None, name: str) -> tuple[Path, bool]:
    """The folder of the runs, and whether only a smoke run is asked for."""
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument("--workdir", type=Path, default=Path("runs") / name)
    parser.add_argument("--smoke", action="store_true", help="tiny, writes no results")
    options = parser.parse_args()
    folder = options.workdir / "smoke" if options.smoke else options.workdir
    return folder, options.smoke


def write(name: str, found: Sequence[Verdict], figure: Figure, table: str) -> None:
    """Writes the verdicts, the figure and the table of a study, and the page of all."""
    folder = RESULTS / name
    folder.mkdir(exist_ok=True)
    rows = [dataclasses.asdict(verdict) for verdict in found]
    write_whole(folder / "verdicts.json", json.dumps(rows, indent=1) + "\n")
    write_whole(folder / "table.csv", table)
    style.save(figure, folder / f"{name}.png")
    verdicts.main()


def mean(values: np.ndarray, log: bool = False) -> tuple[str, str]:
    """The mean over seeds and its 95 % interval, as text."""
    found = t_interval(np.asarray(values), LEVEL, log)
    return f"{found.centre:.3g}", f"[{found.low:.3g}, {found.high:.3g}]"


def difference(
    a: np.ndarray, b: np.ndarray, log: bool = False
) -> tuple[float, float, float, float]:
    """Mean difference a - b by seed (with `log` the ratio a / b), interval, p-value."""
    found = paired(np.asarray(a), np.asarray(b), LEVEL, log)
    return found.difference, found.low, found.high, found.p


def answer(low: float, high: float, expected: float = 0.0) -> Answer:
    """Whether a difference is more than `expected`, by its interval."""
    if low > expected:
        return "holds"
    return "does not" if high < expected else "undecided"
