"""Finding and reading the folders of runs."""

from __future__ import annotations

import dataclasses
import glob
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ncjax.config.stored import complete
from ncjax.options import InputError
from ncjax.runs.columns import Row, is_measured
from ncjax.runs.journal import NAME, read_rows
from ncjax.runs.place import SWEEP


class CompareError(InputError):
    """Runs that cannot be compared; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run, as its folder holds it.

    Attributes:
        path: the folder.
        config: {"loss.name": "mse", ...}.
        rows: the measured epochs, in order.
    """

    path: Path
    config: dict[str, Any]
    rows: list[Row]

    @property
    def seed(self) -> int:
        """Seed of initialisation and shuffling; 0 if a recorder was not told."""
        return self.config.get("seed", 0)

    @property
    def planned(self) -> int:
        """The last epoch of the run, as planned; a recorder knows of no plan."""
        return self.config.get("num_epochs", self.last)

    @property
    def last(self) -> int:
        """The last measured epoch."""
        return int(self.rows[-1]["epoch"])


def find(arguments: Sequence[str | os.PathLike]) -> list[Path]:
    """Folders of runs: each argument is one, a folder of them, or a glob pattern.

    A run of many seeds stands for the runs of its seeds, a sweep for its runs, but
    for those that stopped because they were no longer finite.

    Raises:
        CompareError: naming the argument that is none of these.
    """
    found: dict[Path, Path] = {}  # a folder that is named twice counts once
    for argument in arguments:
        path = Path(argument).expanduser()
        try:
            folders = _folders(path)
        except OSError as error:
            raise CompareError(f"{path} cannot be read: {error.strerror}.") from error
        if not folders:
            raise CompareError(f"{_why_not(path)} Give the --workdir of runs.")
        for folder in folders:
            found.setdefault(folder.resolve(), folder)
    return list(found.values())


def read(path: Path) -> Run:
    """A run from its folder.

    Raises:
        CompareError: if it is not readable, or no epoch was measured yet.
    """
    try:
        config = json.loads((path / "config.json").read_text())
        rows = list(filter(is_measured, read_rows(path / NAME)))
        config = complete(config)
    except OSError as error:
        raise CompareError(
            f"The run {path} cannot be read: {error.filename}: {error.strerror}."
        ) from error
    except (ValueError, AttributeError, TypeError) as error:
        raise CompareError(
            f"The run {path} is not one of ncjax, or is damaged: {error}."
        ) from error
    if not rows:
        raise CompareError(
            f"The run {path} is unfinished: no epoch has been measured yet. Let it run "
            "on, or leave it out."
        )
    return Run(path, config, rows)


def _folders(path: Path) -> list[Path]:
    if _is_run(path):
        seeds = path / "seeds"
        return _folders(seeds) if seeds.is_dir() else [path]
    if (path / SWEEP).is_file():
        return list(filter(_is_whole, _folders(path / "members")))
    matches = path.iterdir() if path.is_dir() else map(Path, glob.glob(str(path)))
    runs = sorted(filter(_is_run, matches), key=_natural)
    return [folder for run in runs for folder in _folders(run)]


def _is_run(path: Path) -> bool:
    return (path / "config.json").is_file()


def _is_whole(path: Path) -> bool:
    """Whether a run of a sweep went to its end: networks that diverge stop early."""
    rows = read_rows(path / NAME)
    config = json.loads((path / "config.json").read_text())
    return bool(rows) and rows[-1]["epoch"] == config["num_epochs"]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Sorts `beta4` before `beta10`."""
    parts = re.findall(r"\d+|\D+", str(path))
    return [(int(p), "") if p.isdecimal() else (0, p) for p in parts]


def _why_not(path: Path) -> str:
    if path.is_dir():
        return f"{path} is not the folder of a run, and holds none: no config.json."
    if path.exists():
        return f"{path} is a file, not the folder of a run."
    if glob.has_magic(str(path)):
        return f"No folder of a run matches {path}."
    return f"There is no folder {path}."
