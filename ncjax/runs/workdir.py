"""The folder of a run: config.json, metrics.jsonl, TensorBoard events, checkpoints.

config.json      the configuration, and as "about" what made it and went on with it
run.lock         names the program that writes here, while it does
metrics.jsonl    a line for each epoch; measured epochs have all metrics
movie.jsonl      a line for each measured epoch, with --config.eval.movie=True
classes.json     names, tree and predicted geometry of the classes
frames/          class vectors that were searched, of `ncjax.training.kept`
checkpoints/     Orbax, numbered by epoch
events.out.*     TensorBoard
collapse.png     the curves; layers.png, outliers.png and confusion.png if asked for
report.html      all of it as a page, of `ncjax.report`
seeds/SEED       with many seeds the run of each seed, without checkpoints
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import tempfile
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ncjax import cluster
from ncjax.config.stored import ABOUT, RECORDER, complete
from ncjax.data.fingerprint import differing
from ncjax.io import make_folder, plain, write_json
from ncjax.options import InputError, flat
from ncjax.runs.about import about, recipe_of
from ncjax.runs.columns import Row, is_measured
from ncjax.runs.events import Events, renew
from ncjax.runs.frames import NAME as FRAMES
from ncjax.runs.journal import Journal

CONFIG, RUN = "config.json", "run of ncjax"  # the mark of a folder, what it holds
FIGURES = ("collapse.png", "layers.png", "outliers.png", "confusion.png")
DATA = "data"  # in config.json, below "about": what tells the data of the run
REPORT = "report.html"  # see `ncjax.report`
LOCK = "run.lock"  # see `ncjax.runs.lock`

# Fields that may differ when a run goes on: where the data lie changes no result, nor
# does what ends a run.
_MAY_DIFFER = {
    *("data.dir", "data.download", "data.placement", "data.device_mb"),
    "max_skipped",
}
_CHECKPOINT = "checkpoint"  # a section, all of whose fields may differ too


class WorkdirError(InputError):
    """A folder that cannot hold this run; the message says why and what to do."""


class Workdir:
    """Opens the folder of a new run, or of the same run started before.

    Of several processes, the first alone reads and writes, but all must see the folder.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        config: dict[str, Any],
        data: dict[str, Any] | None = None,
    ):
        """Claims the folder for a run.

        Args:
            path: the folder.
            config: configuration of the run, a nested dict of plain values.
            data: what tells its data, of `ncjax.data.fingerprint`; None if not known.

        Raises:
            WorkdirError: if the folder cannot be written, holds something else, or
                holds a run of another configuration or other data.
        """
        self.path = Path(path).expanduser().absolute()
        self._journal = Journal(self.path)
        self._movie = Journal(self.path, FRAMES)
        self._events: Events | None = None
        self._goes_on = False  # whether config.json is still to name this process
        self._stored: dict[str, Any] = {}  # content of config.json; of process 0
        self._said = False
        cluster.from_first(lambda: self._claim(config, data))
        cluster.agree(self._look)

    @property
    def latest(self) -> int:
        """The last epoch of which there is a row; 0 without any."""
        return cluster.from_first(lambda: self._journal.latest)

    @property
    def text(self) -> str:
        """The rows up to now, as lines of JSON; known to the first process alone."""
        return self._journal.text

    def resume(self, epoch: int, sealed: str | None = None) -> list[Row]:
        """Drops what was written after `epoch`; returns the rows up to it.

        Only then can `write` be called.  With the lines that are `sealed` in the
        checkpoint metrics.jsonl is mended; see `Journal.resume`.
        """

        def go_on() -> list[Row]:
            rows = self.trim(epoch, sealed)
            self._events = Events(self.path, rows, self._stored)
            return rows

        return cluster.from_first(go_on)

    def trim(self, epoch: int, sealed: str | None = None) -> list[Row]:
        """The rows up to `epoch`; those after it are dropped from metrics.jsonl."""
        rows, damage = self._journal.resume(epoch, sealed)
        frames, lost = self._movie.resume(epoch)
        if not lost and (self._stored.get("eval") or {}).get("movie"):
            lost = _without_frame(self._movie.path, rows, frames)
        for said in filter(None, (damage, lost)):
            cluster.say(said)
        return rows

    def write(self, row: Row) -> None:
        """Appends a row to metrics.jsonl and to TensorBoard."""
        if cluster.is_first():
            assert self._events is not None, "call resume first"
            self.append([row])
            self._events.add(row)

    def append(self, rows: Sequence[Row]) -> None:
        """Appends rows to metrics.jsonl alone; numbers not finite become null."""
        if cluster.is_first():
            if self._goes_on and rows:
                self._sign(int(rows[0]["epoch"]))
            said = self._journal.append(rows)
            if said and not self._said:
                cluster.say(said)
                self._said = True

    def append_frames(self, frames: Sequence[Row]) -> None:
        """Appends frames of a movie to movie.jsonl; see `ncjax.runs.frames`."""
        if cluster.is_first() and frames and (said := self._movie.append(frames)):
            cluster.say(said)

    def keep_config(self) -> None:
        """Writes config.json again if it was deleted, or the run could not go on.

        Raises:
            OSError: if the folder is no longer there.
        """
        path = self.path / CONFIG
        if cluster.is_first() and not path.exists():
            write_json(path, self._stored)
            cluster.say(
                f"{path} was deleted while the run went on: it is written anew."
            )

    def show_figures(self) -> None:
        """Adds the figures of the folder to TensorBoard, if this run writes there."""
        if self._events is not None:
            found = (self.path / name for name in FIGURES)
            there = [path for path in found if path.exists()]
            self._events.show(there, self._journal.latest)  # of this process alone

    def renew_events(self) -> None:
        """Makes TensorBoard events of metrics.jsonl, unless they are of its rows."""
        if cluster.is_first() and self._journal.path.exists():
            renew(self.path, self._journal.path, self._stored)

    def _claim(self, config: dict[str, Any], data: dict[str, Any] | None) -> None:
        made = {DATA: data} if data else {}
        self._stored = config | {ABOUT: about() | recipe_of(config) | made}
        if claim(self.path, CONFIG, holds=RUN, content=self._stored):
            self._stored = _check_same(self.path, config)
            known = self._stored.get(ABOUT) or {}
            _check_data(self.path, known.get(DATA), data)
            # A run of an older version gets it with the next row.
            self._stored[ABOUT] = made | known
            self._goes_on = True

    def _sign(self, epoch: int) -> None:
        """Adds to config.json what goes on with the run, and with which epoch."""
        self._goes_on = False
        later = self._stored.setdefault(ABOUT, {}).setdefault("continued", [])
        later.append({"from_epoch": epoch} | about())
        write_json(self.path / CONFIG, self._stored)

    def _look(self) -> None:
        """Raises `WorkdirError` in a process that does not see the folder."""
        if not (self.path / CONFIG).exists():
            raise WorkdirError(
                f"The workdir {self.path} is not there on {socket.gethostname()}, one "
                "of the hosts of this run. Choose one with --workdir that lies on a "
                "file system that all hosts share."
            )


def _without_frame(path: Path, rows: Sequence[Row], frames: Sequence[Row]) -> str:
    """A sentence on the measured epochs that a movie lacks; "" if it has all."""
    measured = {row["epoch"] for row in rows if is_measured(row)}
    if not (missing := sorted(measured - {frame["epoch"] for frame in frames})):
        return ""
    listed = ", ".join(f"{epoch:.0f}" for epoch in missing[:5])
    more = f", and {len(missing) - 5} more" if len(missing) > 5 else ""
    return (
        f"{path} has no frame of the epochs {listed}{more}: they were lost, and the "
        "movie will pass over them."
    )


def claim(path: Path, mark: str, *, holds: str = "", content: Any = None) -> bool:
    """Makes a folder of results; the file `mark` says that an older one `holds` them.

    A new folder gets the file, if there is content for it.  One that a killed program
    has made, and not come to write the file, is as good as new.

    Returns:
        Whether the file was there.

    Raises:
        WorkdirError: if the folder cannot be written, or holds something else.
    """
    try:
        known = (path / mark).exists()
        temporary = f".{mark}.*"  # a file that `write_json` has not finished
        names = [found.name for found in path.iterdir()] if path.exists() else []
        own = (LOCK, f".{LOCK}.*", temporary)  # also what a killed program has left
        foreign = [x for x in names if not any(fnmatch(x, y) for y in own)]
        if not known and foreign:
            raise WorkdirError(
                f"The workdir {path} is not empty and holds no {holds or mark}. "
                "Choose another with --workdir."
            )
        make_folder(path)
        with tempfile.TemporaryFile(dir=path, prefix=f".{mark}."):
            pass
        if not known and content is not None:
            for left in path.glob(temporary):
                left.unlink()
            write_json(path / mark, content)
    except OSError as error:
        raise WorkdirError(
            f"The workdir {path} cannot be written: {error.strerror}. "
            "Choose another with --workdir."
        ) from error
    return known


def digest(folders: Sequence[Path]) -> str:
    """What tells the configurations of the runs in some folders from all others.

    Fields that may differ when a run goes on are left out.

    Raises:
        WorkdirError: if one cannot be read.
    """
    configs = [flat(_read_config(folder / CONFIG)) for folder in folders]
    told = [
        {
            field: value
            for field, value in config.items()
            if field not in _MAY_DIFFER and field.partition(".")[0] != ABOUT
        }
        for config in configs
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def _read_config(path: Path) -> dict[str, Any]:
    """The content of a config.json.

    Raises:
        WorkdirError: if it cannot be read.
    """
    try:
        stored = json.loads(path.read_text())
        if not isinstance(stored, dict):
            raise ValueError("it has no fields")
    except (OSError, ValueError) as error:  # a ValueError: no JSON, or no UTF-8
        raise WorkdirError(
            f"{path} is not readable as JSON ({error}). Choose another workdir."
        ) from error
    return stored


def _check_same(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """The content of the config.json of a folder, which is that of the same run.

    Raises:
        WorkdirError: naming the fields in which it has another value.
    """
    stored = _read_config(path / CONFIG)
    kinds = ["a recorder" if RECORDER in x else "training" for x in (stored, config)]
    if kinds[0] != kinds[1]:
        raise WorkdirError(
            f"The workdir {path} holds a run of {kinds[0]}, and this is one of "
            f"{kinds[1]}. Choose another with --workdir."
        )
    old, new = plain(complete(stored)), plain(complete(config))
    differ = [
        f"{name} ({old.get(name)!r} there, {new.get(name)!r} now)"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
        and name not in _MAY_DIFFER
        and name.partition(".")[0] != _CHECKPOINT
    ]
    if differ:
        raise WorkdirError(
            f"The workdir {path} holds a run of another configuration; they differ in "
            f"{', '.join(differ)}. Choose another with --workdir."
        )
    return stored


def _check_data(
    path: Path, then: dict[str, Any] | None, now: dict[str, Any] | None
) -> None:
    """Raises `WorkdirError` if the data of a run are no longer those of its begin."""
    if not (then and now) or not (other := differing(then, now)):
        return
    raise WorkdirError(
        f"The workdir {path} holds a run of other data: {other} of the data set "
        f"{now['name']} are not those with which it began. Bring these back to go on, "
        "or choose another folder with --workdir. If they are the same, read by "
        f"another version of a decoder, remove about.data from {path / CONFIG}."
    )
