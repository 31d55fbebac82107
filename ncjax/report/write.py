"""Writes the report of a folder, from its files alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ncjax.io import write_whole
from ncjax.report.comparison import COMPARISON, write_comparison
from ncjax.report.page import Page
from ncjax.report.read import ReportError
from ncjax.report.run import write_run
from ncjax.report.sweep import write_sweep
from ncjax.report.ufm import VERDICT, write_ufm
from ncjax.runs.journal import NAME as METRICS
from ncjax.runs.place import SWEEP
from ncjax.runs.workdir import CONFIG, REPORT

# The first file that a folder has tells what is in it -> its page.
KINDS: dict[str, Callable[[Path, Path], Page]] = {
    SWEEP: write_sweep,
    COMPARISON: write_comparison,
    VERDICT: write_ufm,
    CONFIG: write_run,
    METRICS: write_run,
}


def write_report(
    folder: str | os.PathLike, path: str | os.PathLike | None = None
) -> Path:
    """Writes the report of a folder, whole or not at all; reads files alone.

    Args:
        folder: the workdir of a run, be it unfinished or damaged.
        path: file to write; by default report.html in the folder.

    Returns:
        The file.

    Raises:
        ReportError: if the folder holds nothing of ncjax, or cannot be read.
        OSError: if the file cannot be written.
    """
    folder = Path(folder).expanduser().absolute()
    path = folder / REPORT if path is None else Path(path).expanduser().absolute()
    try:
        page = KINDS[kind_of(folder)](folder, path)
    except OSError as error:
        raise ReportError(
            f"{folder} cannot be read: {error.filename}: {error.strerror}."
        ) from error
    write_whole(path, page.render())
    return path


def kind_of(folder: Path) -> str:
    """The file in a folder that tells what is in it, one of `KINDS`.

    Raises:
        ReportError: if the folder holds nothing of ncjax.
    """
    kind = next((name for name in KINDS if (folder / name).is_file()), None)
    if kind is None:
        raise ReportError(_why_not(folder))
    return kind


def _why_not(folder: Path) -> str:
    what = "There is no folder" if not folder.exists() else "There is no run in"
    if folder.is_file():
        return f"{folder} is a file: give the folder (--workdir) of a run."
    inside = folder.glob(f"*/{CONFIG}") if folder.is_dir() else ()
    found = sorted(path.parent.name for path in inside)
    also = ""
    if found:
        more = ", ..." if len(found) > 3 else ""
        also = f" It has runs below it: {', '.join(found[:3])}{more}."
    return f"{what} {folder}: no {', '.join(KINDS)}.{also} Give the --workdir of a run."
