"""Checkpoints with Orbax; the only file that imports it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax

from ncjax import cluster
from ncjax.io import free_name, sync_tree
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
        self._folder = folder
        # Orbax's own policies do not satisfy its declared protocol.
        keep_last: Any = ocp.training.preservation_policies.LatestN(keep)
        self._checkpointer = ocp.training.Checkpointer(
            str(folder.absolute()),
            preservation_policy=keep_last,
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

    def save(
        self,
        number: int,
        state: Any,
        *,
        run: str = "",
        rows: Mapping[str, str] | None = None,
    ) -> None:
        """Writes a `TrainState`; returns when it is on disk.

        Args:
            number: the epoch after which it is written.
            state: the state.
            run: digest of the configuration of the run.
            rows: its metrics up to the epoch; see `make_seal`.

        Raises:
            CheckpointError: if there is one of a later epoch.
        """
        stored = _stored(state)
        seal = make_seal(stored, epoch=number, run=run, rows=rows)
        custom: Any = {_SEAL: seal}
        if not self._checkpointer.save(number, stored, custom_metadata=custom):
            # Orbax keeps no checkpoint that is older than one it knows of.
            raise CheckpointError(f"{self._named(number)} was not written.")
        sync_tree(self._folder / str(number))

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
