"""The record of a run: rows of metrics become its history, its files and its figures.

A `Record` trains nothing.  Whoever trains gives it a row of metrics for each epoch and,
if the run shall be able to go on after a crash, the state of the networks.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import jax

from ncjax import cluster
from ncjax.hierarchy import Hierarchy
from ncjax.options import TrainingError, flat
from ncjax.runs.checkpoints import CheckpointError, Checkpoints, check_folder
from ncjax.runs.classes import Classes
from ncjax.runs.columns import Row, is_measured, what
from ncjax.runs.failure import writing
from ncjax.runs.figures import draw
from ncjax.runs.history import History
from ncjax.runs.lock import locked
from ncjax.runs.saver import Saver
from ncjax.runs.seeds import mean_row
from ncjax.runs.workdir import CONFIG, RUN, Workdir, digest

State = TypeVar("State")


class Record:
    """What a run has measured so far: `history`, and with a workdir its folders.

    All methods raise `TrainingError` where a folder cannot be written any more.
    """

    def __init__(
        self,
        workdir: str | os.PathLike | None,
        config: dict[str, Any] | None,
        alone: Mapping[str, dict[str, Any]] | None = None,
        keep: int = 2,
        limit: Mapping[str, float] | None = None,
        checkpoints: str = "checkpoints",
        restart_damaged: bool = False,
        max_share: float = 1.0,
        held: Callable[[], None] | None = None,
        data: dict[str, Any] | None = None,
    ):
        """Claims the folders of the run.

        Args:
            workdir: folder of the run; None writes nothing.
            config: configuration of the run, a nested dict of plain values; None if the
                networks have nothing in common, and no folder but their own.
            alone: with many networks, the folder of each below the workdir, such as
                "seeds/0" -> the configuration of its run alone.
            keep: number of checkpoints that are kept; with 0 none is written.
            limit: what metrics are in theory as regularisation vanishes, by key.
            checkpoints: folder of the checkpoints below the workdir.
            restart_damaged: begin anew where there are checkpoints, but none that can
                be used; by default that is an error.
            max_share: largest share of the time that checkpoints may take; see `due`.
            held: makes sure that whoever has locked the folder still holds it; None if
                nobody has.
            data: what tells the data of the run, of `ncjax.data.fingerprint`; a run
                that began with others is refused.

        Raises:
            WorkdirError: if one of the folders cannot be had, or not hold checkpoints.
        """
        alone = alone or {}
        self.history = History(
            rows=[],
            seeds=[History([]) for _ in alone],
            about=what(flat(config or {})),
            limit=dict(limit or {}),
        )
        self._lock = ExitStack()
        self._still_held = held or (lambda: None)
        self._folder: Path | None = None
        self._epoch, self._failed = 0, False  # the last epoch of which there is a row
        self._whole: Workdir | None = None
        self._each: list[Workdir] = []
        self._checkpoints: Checkpoints | None = None
        self._saver: Saver | None = None
        # Rows, and frames of a movie, of each network.
        self._waiting: list[tuple[Sequence[Row | None], Sequence[Row | None]]] = []
        self._anew, self._run = restart_damaged, ""
        self._names_of_each = list(alone)
        if workdir is None:
            return
        self._folder = folder = Path(workdir).expanduser().absolute()
        if keep:
            check_folder(folder)
        try:
            self._open(folder, config, alone, data)
            if keep:
                runs = [self._whole] if self._whole is not None else self._each
                paths = [one.path for one in runs]
                self._run = cluster.from_first(lambda: digest(paths))
                self._checkpoints = Checkpoints(folder / checkpoints, keep)
                self._saver = Saver(self._checkpoints, max_share, self._saved)
        except BaseException:
            self._lock.close()
            raise

    def _open(
        self,
        folder: Path,
        config: dict[str, Any] | None,
        alone: Mapping[str, dict[str, Any]],
        data: dict[str, Any] | None,
    ) -> None:
        """Locks the folder of the run, and claims it and those of its networks."""
        if config is not None:  # else whoever has the folder has locked it
            self._still_held = self._lock.enter_context(locked(folder, CONFIG, RUN))
            self._whole = Workdir(folder, config, data)
        self._each = [Workdir(folder / n, own, data) for n, own in alone.items()]

    @property
    def latest(self) -> int:
        """Epoch of the newest checkpoint, be it still being written; 0 without one."""
        return 0 if self._saver is None else self._saver.latest

    @property
    def written(self) -> int:
        """The last epoch of which the workdir has a row; 0 without any."""
        return 0 if self._whole is None else self._whole.latest

    def restore(self, state: State) -> tuple[int, State]:
        """Goes on from the newest checkpoint that can be read: its epoch and its state.

        Those that cannot are set aside: a fault of the disk may pass, and another
        version may read them.  Without a checkpoint these are 0 and `state`, that of a
        new run.

        Raises:
            CheckpointError: if there are checkpoints, but none can be read.
        """
        with self._writing():
            return self._restore(state)

    def _restore(self, state: State) -> tuple[int, State]:
        # All processes look, the first decides: files may appear late on the others.
        found = self._checkpoints.kept if self._checkpoints is not None else []
        kept = cluster.from_first(lambda: found)
        damaged: dict[int, CheckpointError] = {}
        for epoch in reversed(kept):
            assert self._checkpoints is not None
            load = partial(self._checkpoints.load, epoch, state, run=self._run)
            try:
                restored = cluster.agree(load)
            except CheckpointError as error:
                damaged[epoch] = error
                continue
            self._set_aside(damaged, f"goes on from epoch {epoch}")
            assert self._saver is not None
            self._saver.latest = epoch
            self._resume(epoch)
            return epoch, restored
        if damaged and not self._anew:
            raise CheckpointError(
                f"{damaged[kept[-1]]} No older one can be read either. To train from "
                "the start in the same folder, give --restart-damaged (in Python "
                "restart_damaged=True), or choose another folder with --workdir."
            )
        self._set_aside(damaged, "begins anew")
        if self._saver is not None:
            self._saver.latest = 0
        self._resume(0)
        return 0, state

    def _set_aside(self, damaged: Mapping[int, CheckpointError], then: str) -> None:
        """Moves damaged checkpoints away, and says what the run does then."""
        if self._checkpoints is None or not damaged:
            return
        for number, error in damaged.items():
            where = cluster.from_first(partial(self._checkpoints.set_aside, number))
            cluster.say(f"{error} It is now {where}: the run {then}.")
        self._checkpoints.reload()

    def finish(self, epoch: int) -> bool:
        """Reads a run that has come to its last epoch; trains and compiles nothing.

        Returns:
            Whether it has; not if its checkpoint is damaged, or of several processes.
        """
        if self._checkpoints is None or jax.process_count() > 1:
            return False
        whole = self.latest == epoch and self._checkpoints.is_whole(
            epoch, run=self._run
        )
        if whole:
            self.resume(epoch)
        return whole

    def resume(self, epoch: int) -> None:
        """Drops what was written after an epoch, and reads what was measured before.

        What metrics.jsonl has lost is restored from the checkpoint of that epoch.
        """
        with self._writing():
            self._resume(epoch)

    def _resume(self, epoch: int) -> None:
        self._epoch = epoch
        if self._whole is None and not self._each:
            return
        sealed = cluster.from_first(lambda: self._sealed(epoch))
        rows = []
        if self._whole is not None:
            rows = self._whole.resume(epoch, sealed.get(""))
        names = self._names_of_each
        of_seeds = cluster.from_first(
            lambda: [
                one.trim(epoch, sealed.get(name))
                for name, one in zip(names, self._each, strict=True)
            ]
        )
        if epoch and self._checkpoints is not None and not sealed:
            _say_missing(self._whole, rows, epoch)
            for one, own in zip(self._each, of_seeds, strict=True):
                _say_missing(one, own, int(own[-1]["epoch"]) if own else 0)
        each = zip(self._each, of_seeds, strict=True)
        self.history = dataclasses.replace(
            self.history,
            rows=list(filter(is_measured, rows)),
            workdir=None if self._whole is None else self._whole.path,
            seeds=[
                History(list(filter(is_measured, own)), one.path) for one, own in each
            ],
        )

    def _sealed(self, epoch: int) -> dict[str, str]:
        """The metrics in the checkpoint of an epoch; {} if there are none in it."""
        if self._checkpoints is None or not epoch:
            return {}
        rows = self._checkpoints.rows(epoch, run=self._run)
        if rows is None:
            cluster.say(
                f"The checkpoint of epoch {epoch} is of an older version, without "
                "checksums: damage to it would not be noticed. Those that follow have "
                "them."
            )
        return rows or {}

    def add(self, rows: Sequence[Row | None], frames: Sequence[Row | None] = ()) -> Row:
        """Takes in an epoch, with a row for each network; returns the row of the run.

        metrics.jsonl and TensorBoard get it at once, those of the seeds with `flush`.
        A network that has stopped has None in the place of its row; one must go on.
        With a movie there are `frames` too, a line of movie.jsonl for each network.
        """
        going = [own for own in rows if own is not None]
        row = mean_row(going) if self.history.seeds else going[0]
        if is_measured(row):
            self.history.rows.append(row)
            for one, own in zip(self.history.seeds, rows, strict=False):
                if own is not None:
                    one.rows.append(own)
        self._epoch = int(row["epoch"])
        if self._whole is not None:
            with self._writing():
                self._whole.write(row)
                if not self._each:
                    self._whole.append_frames([x for x in frames if x is not None])
        if self._each:
            self._waiting.append((rows, frames or [None] * len(rows)))
        if self._saver is not None:
            with self._writing():
                self._saver.check()
        return row

    def flush(self) -> None:
        """Brings metrics.jsonl of every seed up to date.

        One seed after the other: thousands of files cannot be open at once.
        """
        with self._writing():
            for i, one in enumerate(self._each):
                for kind, append in enumerate((one.append, one.append_frames)):
                    own = (both[kind][i] for both in self._waiting)
                    append([row for row in own if row is not None])
        self._waiting.clear()

    def due(self) -> bool:
        """Whether checkpoints have taken so little time that there may be another."""
        return self._saver is not None and self._saver.due()

    def save(self, epoch: int, state: Any) -> None:
        """Begins to write a checkpoint; with a workdir the run can go on from here."""
        if self._saver is None:
            return
        self.flush()
        rows = {} if self._whole is None else {"": self._whole.text}
        names = self._names_of_each
        rows |= {n: one.text for n, one in zip(names, self._each, strict=True)}
        with self._writing():
            self._still_held()
            # Before: Orbax would make a folder anew that was deleted, and a part of it.
            self._keep_configs()
            self._saver.save(epoch, state, run=self._run, rows=rows)

    def _saved(self) -> None:
        """What follows when a checkpoint is written, in the thread that did it."""
        self._keep_configs()
        if self._folder is not None and cluster.is_first():
            assert self._checkpoints is not None
            self._checkpoints.sync_names(self._folder)

    def _keep_configs(self) -> None:
        """Makes sure that the run can go on from its folders, if they are there."""
        for one in (self._whole, *self._each):
            if one is not None:
                one.keep_config()

    def close(self) -> None:
        """Writes what is left, and the TensorBoard events of the seeds."""
        try:
            if self._failed:  # there is nothing to be written any more
                with suppress(Exception):  # the same again, of Orbax
                    self._close_checkpoints()
                return
            with self._writing():
                self._close_checkpoints()
            self.flush()
            with self._writing():
                self._keep_configs()
                for one in self._each:
                    one.renew_events()
        finally:
            self._lock.close()

    def _close_checkpoints(self) -> None:
        try:
            if self._saver is not None:
                self._saver.close()
        finally:
            if self._checkpoints is not None:
                self._checkpoints.close()

    @contextmanager
    def _writing(self) -> Generator[None]:
        """Raises `TrainingError` where the folder cannot be written any more."""
        if self._folder is None:
            yield
            return
        try:
            with writing(self._folder, self._stand):
                yield
        except TrainingError:
            self._failed = True
            raise

    def _stand(self) -> str:
        """How far the run has come, and which checkpoint of it is whole."""
        known = self._checkpoints
        there = [n for n in known.kept if known.is_there(n)] if known else []
        whole = "No checkpoint is whole"
        if there:
            whole = f"The checkpoint of epoch {there[-1]} is whole"
        return f"The run stopped after epoch {self._epoch}. {whole}."

    def keep_classes(self, classes: Classes) -> None:
        """Writes classes.json, from which reports are made later."""
        if self._whole is not None and cluster.is_first():
            with self._writing():
                classes.write(self._whole.path)

    def draw(
        self,
        class_names: Sequence[str] = (),
        hierarchy: Hierarchy | None = None,
        *,
        again: bool = True,
    ) -> None:
        """Draws the figures of the run; see `ncjax.runs.figures.draw`."""
        if self.history.workdir is not None and cluster.is_first():
            with self._writing():
                draw(self.history, class_names, hierarchy, again=again)
                if again and self._whole is not None:
                    self._whole.show_figures()


def _say_missing(workdir: Workdir | None, rows: Sequence[Row], last: int) -> None:
    """Says which epochs have no row; training writes one for each."""
    missing = sorted(set(range(1, last + 1)) - {int(row["epoch"]) for row in rows})
    if workdir is not None and missing:
        listed = ", ".join(map(str, missing[:9])) + (", ..." if missing[9:] else "")
        cluster.say(
            f"The metrics in {workdir.path} have no row of {len(missing)} epochs "
            f"({listed}): they were lost, and no checkpoint has them."
        )
