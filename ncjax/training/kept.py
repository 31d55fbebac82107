"""Arrays that take long to find and that a run must find again: codes, assignments.

A search ends in other bits on another machine, and a run that goes on must find its
own.  So they are kept in the folder of the run, below `frames/`, and go where it goes.
A cache of the user's spares other runs the search; no run depends on it.
"""

from __future__ import annotations

import math
import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ncjax import cluster
from ncjax.codes.code import Progress
from ncjax.io import cache_folder, make_folder, open_whole
from ncjax.runs.failure import writing
from ncjax.runs.place import place_of
from ncjax.runs.workdir import CONFIG, WorkdirError

FOLDER = "frames"  # of a run, and of the user's cache
_WHAT = re.compile(r"code-(\d+)x(\d+)")
_BRING_BACK = (
    "Bring it back from a copy of the run; another search may end in other vectors."
)
_PARTS = {"starts": "start", "polish": "polished start"}


class Kept:
    """Finds arrays by name: in the run, in the cache, or by making them.

    Attributes:
        found: all arrays that were asked for, by name.
    """

    def __init__(self, folder: str | os.PathLike | None = None):
        """Takes the folder of a run, or of one of its seeds or members; None: none."""
        self.found: dict[str, np.ndarray] = {}
        self._folder = None
        if folder is not None:
            self._folder = place_of(Path(folder).expanduser().absolute()).whole

    def __call__(
        self, name: str, make: Callable[[Progress | None], np.ndarray]
    ) -> np.ndarray:
        """The array of a name, the same in all processes; `make` is the last resort.

        Raises:
            WorkdirError: if the run has a file of this name that cannot be read.
        """
        if name not in self.found:
            # The others wait for as long as a search takes; they may see no disk of it.
            first, empty = cluster.is_first(), np.zeros(0)
            found = cluster.in_turn(lambda: self._find(name, make) if first else empty)
            self.found[name] = cluster.from_first(lambda: found)
        return self.found[name]

    def write(self) -> None:
        """Writes what was asked for into the folder of the run, unless it is there.

        Raises:
            TrainingError: if it cannot be written.
        """
        if self._folder is None or not cluster.is_first():
            return
        for name, array in self.found.items():
            path = self._folder / FOLDER / f"{name}.npy"
            with writing(self._folder, lambda: "Nothing has been trained by now."):
                if not path.exists():
                    _save(path, array)

    def _find(self, name: str, make: Callable) -> np.ndarray:
        if self._folder is not None:
            path = self._folder / FOLDER / f"{name}.npy"
            if path.exists():
                return _load(path)
            if _has_lost(self._folder, name):
                raise WorkdirError(
                    f"{path} is missing: the class vectors that the run "
                    f"{self._folder} has been trained with, unless it is one of "
                    f"another configuration. {_BRING_BACK}"
                )
        cached = cache_folder(FOLDER) / f"{name}.npy"
        try:
            return _load(cached)
        except WorkdirError:  # damaged, or not there: found anew
            pass
        with Lines(_about(name)) as lines:
            array = make(lines.update)
        try:
            _save(cached, array)
        except OSError as error:
            cluster.say(f"{cached} cannot be written, so it is not kept: {error}.")
        return array


def _has_lost(folder: Path, name: str) -> bool:
    """Whether a run has been trained without a file of this kind.

    A sweep has none at its beginning, as its programs differ; and a run that has others
    is one of another configuration, which is refused later.
    """
    trained = any((folder / "checkpoints").glob("*/")) and (folder / CONFIG).exists()
    kind = name.partition("-")[0]
    return trained and not any((folder / FOLDER).glob(f"{kind}-*.npy"))


def _about(name: str) -> str:
    """What is being found, for people."""
    if sizes := _WHAT.fullmatch(name):
        number, dim = sizes.groups()
        return f"Solving the code of {number} vectors in {dim} dimensions"
    return ""


def _save(path: Path, array: np.ndarray) -> None:
    make_folder(path.parent)
    with open_whole(path) as file:
        np.save(file, array)


def _load(path: Path) -> np.ndarray:
    """The array of a file.

    Raises:
        WorkdirError: if it cannot be read, or holds no finite numbers.
    """
    try:
        array = np.load(path, allow_pickle=False)
        if array.dtype.kind not in "if" or not np.isfinite(array).all():
            raise ValueError("it holds no finite numbers")
    except (OSError, ValueError, EOFError) as error:
        raise WorkdirError(
            f"{path} holds the class vectors that the run has been trained with, and "
            f"cannot be read: {error}. {_BRING_BACK}"
        ) from error
    return array


class Lines:
    """Lines of progress on a search; on a log few of them.  A context manager."""

    def __init__(self, about: str = ""):
        """Takes what is searched, to be said before the first line; "" says nothing."""
        self._about, self._stage = about, ""
        self._line: tqdm | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Lines:
        """Says what is searched."""
        if self._about:
            cluster.say(f"{self._about}: seconds for few, minutes for a hundred.")
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the last line, and says how long it took."""
        self.close()
        if self._about and error[0] is None:
            cluster.say(f"Solved in {time.monotonic() - self._began:.1f} s.")

    def update(self, stage: str, done: int, total: int, best: float) -> None:
        """`done` of `total` starts are searched or polished; see `codes.solve`."""
        if stage != self._stage:
            self.close()
            # In a log, which keeps all lines, there are few.
            pause = 0.1 if sys.stderr.isatty() else 10.0
            unit = _PARTS.get(stage, stage)
            self._line = tqdm(total=total, unit=unit, mininterval=pause)
            self._stage = stage
        assert self._line is not None
        if done:
            if math.isfinite(best):
                self._line.set_postfix_str(f"best {best:.6f}", refresh=False)
            self._line.update(done - self._line.n)

    def close(self) -> None:
        """Leaves the last line as it is."""
        if self._line is not None:
            self._line.close()
