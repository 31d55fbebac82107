"""Checkpoints with Orbax; the only file that imports it."""

from __future__ import annotations

import dataclasses
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from ncjax import cluster
from ncjax.io import free_name, sync, sync_tree
from ncjax.runs.leftovers import drop_leftovers
from ncjax.runs.seal import Seal, broken, make_seal, rows_in
from ncjax.runs.workdir import WorkdirError

_SEAL = "seal"  # its name in the metadata of a checkpoint


class CheckpointError(WorkdirError):
    """A checkpoint that cannot be read or written; the message names it."""


def check_folder(folder: Path) -> None:
    """Refuses a folder whose checkpoints could not be read again.

    Orbax looks for the parts of a checkpoint with its path as the pattern, in which
    brackets, stars and question marks stand for other characters.

    Raises:
        CheckpointError: naming the characters.
    """
    if found := sorted(set("[*?") & set(str(folder))):
        raise CheckpointError(
            f"The path of the workdir {folder} has {' and '.join(map(repr, found))}, "
            "which the library of checkpoints takes for a pattern: it could not read "
            "them again. Choose another name with --workdir."
        )


class Checkpoints:
    """Numbered checkpoints in a folder; each is there whole or not at all.

    Each has a seal (`ncjax.runs.seal`) that tells damage; those of older versions have
    none, and are taken as they are.
    """

    def __init__(self, folder: Path, keep: int, *, read_only: bool = False):
        """Opens `folder`, made with the first checkpoint; the last `keep` stay.

        With `read_only` nothing there is touched, not even what a run that is still
        going on has half written.
        """
        # Late: Orbax takes a second to import, and logs every file that it writes, and
        # whatever is wrong with one before it raises an error.
        from orbax.checkpoint import v1 as ocp

        logging.getLogger("absl").setLevel(logging.CRITICAL)
        drop_leftovers()
        self._folder, self._keep = folder, keep
        # Left to Orbax, old ones go before the new one is sure to be on the disk.  Its
        # own policies do not satisfy its declared protocol.
        keep_all: Any = ocp.training.preservation_policies.PreserveAll()
        self._checkpointer = ocp.training.Checkpointer(
            str(folder.absolute()),
            preservation_policy=keep_all,
            cleanup_tmp_directories=not read_only,
        )

    @property
    def latest(self) -> int | None:
        """Number of the newest whole checkpoint."""
        return max(self.kept, default=None)

    @property
    def kept(self) -> list[int]:
        """Numbers of the whole checkpoints in the folder, in order."""
        return sorted(found.step for found in self._checkpointer.checkpoints)

    def is_there(self, number: int) -> bool:
        """Whether a checkpoint of this number is still in the folder."""
        return (self._folder / str(number)).is_dir()

    def save(
        self,
        number: int,
        state: Any,
        *,
        run: str = "",
        rows: Mapping[str, str] | None = None,
    ) -> None:
        """Writes a `TrainState`; returns when it is on the disk; removes older ones.

        Args:
            number: the epoch after which it is written.
            state: the state.
            run: digest of the configuration of the run.
            rows: its metrics up to the epoch; see `make_seal`.

        Raises:
            CheckpointError: if there is one of a later epoch, or of the same that was
                not there before.
        """
        stored = _stored(state)
        seal = make_seal(stored, epoch=number, run=run, rows=rows)
        custom: Any = {_SEAL: seal}
        try:
            written = self._checkpointer.save(number, stored, custom_metadata=custom)
        except FileExistsError as error:
            # That of an earlier session, which this host has come to see only now.
            raise CheckpointError(
                f"{self._named(number)} has appeared while the run went on. Give the "
                "same command: it goes on from there."
            ) from error
        if not written:
            # Orbax keeps no checkpoint that is older than one it knows of.
            raise CheckpointError(f"{self._named(number)} was not written.")
        sync_tree(self._folder / str(number))
        for old in self.kept[: -self._keep]:
            self._checkpointer.delete(old, missing_ok=True)

    def sync_names(self, above: Path) -> None:
        """Brings the name of the folder, which Orbax has made, to the disk.

        Args:
            above: the folder of the run, somewhere above it.
        """
        for place in self._folder.parents:
            sync(place)
            if place == above:
                break

    def load(self, number: int, like: Any, *, run: str = "") -> Any:
        """Reads a `TrainState` with the structure, types and shardings of `like`.

        All processes of a run must call it.

        Args:
            number: the epoch after which it was written.
            like: a `TrainState`, or its shapes, types and shardings.
            run: digest of the configuration of the run; "" for any run.

        Raises:
            CheckpointError: if it is damaged, of another structure or of another run.
        """
        stored, seal = cluster.agree(lambda: self._read(number, like))
        why = "" if seal is None else broken(seal, stored, epoch=number, run=run)
        if why:
            raise CheckpointError(f"{self._named(number)} cannot be used: {why}.")
        return like.replace(**stored)

    def is_whole(self, number: int, *, run: str = "") -> bool:
        """Whether a checkpoint of a run is undamaged; of one without a seal it is not.

        It takes no `like` and compiles nothing; one process alone may ask.
        """
        try:
            seal = self._seal(number)
            with warnings.catch_warnings():  # of Orbax, which would know where they lay
                warnings.simplefilter("ignore")
                stored = self._checkpointer.load(number)
        except Exception:  # whatever Orbax makes of foreign bytes
            return False
        return seal is not None and not broken(seal, stored, epoch=number, run=run)

    def rows(self, number: int, *, run: str = "") -> dict[str, str] | None:
        """The metrics in a checkpoint of a run; None if it has no seal.

        There are none in one that is not there or is damaged.
        """
        try:
            seal = self._seal(number)
            return None if seal is None else rows_in(seal, epoch=number, run=run)
        except Exception:  # whatever Orbax makes of foreign bytes
            return {}

    def _read(self, number: int, like: Any) -> tuple[Any, Seal | None]:
        """The arrays of a checkpoint and its seal, whatever they are."""
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            _stored(like),
        )
        try:
            seal = self._seal(number)
            return self._checkpointer.load(number, abstract), seal
        except (jax.errors.JaxRuntimeError, MemoryError):  # of the devices, the host
            raise
        except Exception as error:  # whatever Orbax makes of foreign bytes
            text = " ".join(str(error).split())[:100] or type(error).__name__
            raise CheckpointError(
                f"{self._named(number)} cannot be read; it is damaged, or of another "
                f"version ({text} ...)."
            ) from error

    def _seal(self, number: int) -> Seal | None:
        """The seal of a checkpoint; None in one of an older version."""
        about = self._checkpointer.metadata(number)
        if about.init_timestamp_nsecs is None:
            raise ValueError("its metadata are missing")
        custom: Any = about.custom_metadata or {}
        return custom.get(_SEAL)

    def _named(self, number: int) -> str:
        run = self._folder.parent
        return f"The checkpoint of the run {run}, of epoch {number},"

    def set_aside(self, number: int) -> Path:
        """Moves a checkpoint to a folder beside the others; returns that folder."""
        away = free_name(self._folder.with_name(f"checkpoint-{number}-unreadable"))
        (self._folder / str(number)).rename(away)
        return away

    def reload(self) -> None:
        """Looks anew which checkpoints there are."""
        self._checkpointer.reload()

    def close(self) -> None:
        """Releases the folder."""
        self._checkpointer.close()


def _stored(state: Any) -> Any:
    """The fields of a `TrainState` that are written.

    An empty `hyper` is left out: checkpoints of older versions have no such field.
    """
    fields = {f.name: getattr(state, f.name) for f in dataclasses.fields(state)}
    return {name: x for name, x in fields.items() if name != "hyper" or x}
