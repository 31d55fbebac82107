"""Checkpoints that are written while training goes on, in a share of its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from ncjax import cluster
from ncjax.runs.checkpoints import Checkpoints


class Saver:
    """Writes the checkpoints of a run, one after the other, in a thread of its own.

    Several processes write theirs together, and training waits for them.

    Attributes:
        latest: epoch of the newest checkpoint, which may still be being written; 0
            without one.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        max_share: float = 1.0,
        then: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes the folder of the checkpoints.

        Args:
            checkpoints: the folder.
            max_share: largest share of the time that is spent on writing; 1 writes all.
            then: called after each, in the thread that has written it.
            clock: seconds since any moment.
        """
        self._checkpoints, self._share, self._clock = checkpoints, max_share, clock
        self._then = then
        self.latest = checkpoints.latest or 0
        self._thread = ThreadPoolExecutor(1, "checkpoints")
        self._writing: Future[None] | None = None
        self._rests_until = -np.inf

    def due(self) -> bool:
        """Whether the share of the time allows another checkpoint; the same for all."""
        if self._share >= 1:
            return True
        return cluster.from_first(self._has_rested)

    def save(
        self, epoch: int, state: Any, *, run: str, rows: Mapping[str, str]
    ) -> None:
        """Begins to write a checkpoint, as `Checkpoints.save`; waits for one before it.

        The state may be changed or donated at once.

        Raises:
            Exception: if that one could not be written.
        """
        self.wait()
        if jax.process_count() > 1:
            self._write(epoch, state, run, rows)
        else:
            state = jax.tree.map(np.array, state)  # which copies it
            self._writing = self._thread.submit(self._write, epoch, state, run, rows)
        self.latest = epoch

    def check(self) -> None:
        """Raises the error of a checkpoint that could not be written, if any."""
        if self._writing is not None and self._writing.done():
            self.wait()

    def wait(self) -> None:
        """Returns when what was begun is on the disk.

        Raises:
            Exception: if it could not be written.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """Waits, and ends the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()

    def _has_rested(self) -> bool:
        busy = self._writing is not None and not self._writing.done()
        return not busy and self._clock() >= self._rests_until

    def _write(self, epoch: int, state: Any, run: str, rows: Mapping[str, str]) -> None:
        began = self._clock()
        self._checkpoints.save(epoch, state, run=run, rows=rows)
        self._then()
        ended = self._clock()
        self._rests_until = ended + (ended - began) * (1 / self._share - 1)
