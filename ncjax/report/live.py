"""The report of a run that goes on, and the last one at its end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ncjax import cluster
from ncjax.runs.workdir import REPORT

_EVERY = 60.0  # seconds between reports of a run that goes on, at least
_SHARE = 50.0  # and so many times as long as one takes


class Live:
    """The report of a run that goes on, written again now and then.

    What goes wrong with a page must not end a run: it is said once.
    """

    def __init__(
        self, folder: Path | None, say: Callable[[str], None], *, alone: bool = True
    ):
        """Writes nothing yet.

        Args:
            folder: folder of the run; None writes nothing at all.
            say: called with a sentence if there can be no report.
            alone: whether this process is the one that writes.
        """
        self._folder = folder if alone else None
        self._say = say
        self._next = time.monotonic() + _EVERY

    def refresh(self) -> None:
        """Writes the report if the last one is old enough."""
        if self._folder is None or time.monotonic() < self._next:
            return
        began = time.monotonic()
        self.write()
        now = time.monotonic()
        self._next = now + max(_EVERY, _SHARE * (now - began))

    def write(self, *, again: bool = True) -> None:
        """Writes the report; without `again` only if there is none."""
        if self._folder is None or (not again and (self._folder / REPORT).exists()):
            return
        from ncjax.report.write import write_report  # late: few runs come to this

        try:
            write_report(self._folder)
        except Exception as error:
            folder, self._folder = self._folder, None
            self._say(
                f"{REPORT} could not be written: {type(error).__name__}: {error}. "
                f"`ncjax report {folder}` tries again."
            )


def live_report(folder: Path | None) -> Live:
    """The report of a folder, which the first of several processes writes."""
    return Live(folder, cluster.say, alone=cluster.is_first())
