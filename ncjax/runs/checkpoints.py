"""Checkpoints with Orbax; the only file that imports it."""

from __future__ import annotations

import dataclasses
import itertools
import logging
from pathlib import Path
from typing import Any

import jax

from ncjax.runs.workdir import WorkdirError


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
    """Numbered checkpoints in a folder; each is there whole or not at all."""

    def __init__(self, folder: Path, keep: int, *, read_only: bool = False):
        """Opens `folder`, made with the first checkpoint; the last `keep` stay.

        With `read_only` nothing there is touched, not even what a run that is still
        going on has half written.
        """
        # Late: Orbax takes a second to import, and logs every file that it writes, and
        # whatever is wrong with one before it raises an error.
        from orbax.checkpoint import v1 as ocp

        logging.getLogger("absl").setLevel(logging.CRITICAL)
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

    def save(self, number: int, state: Any) -> None:
        """Writes a `TrainState`; returns when it is on disk."""
        self._checkpointer.save(number, _stored(state))

    def load(self, number: int, like: Any) -> Any:
        """Reads a `TrainState` with the structure, types and shardings of `like`.

        Raises:
            CheckpointError: if it is damaged, or of another structure.
        """
        abstract = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            _stored(like),
        )
        try:
            return like.replace(**self._checkpointer.load(number, abstract))
        except (jax.errors.JaxRuntimeError, MemoryError):  # of the devices, the host
            raise
        except Exception as error:  # whatever Orbax makes of foreign bytes
            text = " ".join(str(error).split())[:100] or type(error).__name__
            raise CheckpointError(
                f"The checkpoint of the run {self._folder.parent}, of epoch {number}, "
                f"cannot be read; it is damaged, or of another version ({text} ...)."
            ) from error

    def set_aside(self, number: int) -> Path:
        """Moves a checkpoint to a folder beside the others; returns that folder."""
        away = self._folder.with_name(f"checkpoint-{number}-unreadable")
        for more in itertools.count(2):
            if not away.exists():
                break
            away = away.with_name(f"checkpoint-{number}-unreadable-{more}")
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
