"""Random moments in the life of a run, many of them in the writing of a checkpoint."""

import os
import time
from pathlib import Path
from typing import NamedTuple

from tests.faults.lab import EPOCHS, lines
from tests.faults.processes import until


class Moment(NamedTuple):
    """A time after something happened for the `count`-th time in a folder."""

    event: str
    count: int
    delay: float  # seconds

    def __str__(self):
        return f"{1000 * self.delay:.0f} ms after {self.event} {self.count}"


# What is waited for -> its share, the most times, and the longest time after it.
_EVENTS = {
    "start": (0.25, 1, 0.0),  # here the longest is the life of a whole run
    "unfinished checkpoint": (0.4, 3, 0.08),
    "checkpoint": (0.1, 3, 0.05),
    "row": (0.15, 4, 0.1),
    "lock": (0.05, 1, 0.02),
    "events": (0.05, 1, 0.02),
}


def choose(rng, life, without=()):
    """A random moment of a run that takes `life` seconds; `without` some events."""
    events = [name for name in _EVENTS if name not in without]
    shares = [_EVENTS[name][0] for name in events]
    event = events[rng.choice(len(events), p=[x / sum(shares) for x in shares])]
    _, most, longest = _EVENTS[event]
    longest = longest or life
    return Moment(event, int(rng.integers(1, most + 1)), float(rng.uniform(0, longest)))


def wait_for(moment, folder, started):
    """Waits until the moment has come; False if the process ended before."""
    watch = _Watch(Path(folder), moment.event)
    if not until(lambda: watch.count() >= moment.count, started):
        return False
    end = time.monotonic() + moment.delay
    return until(lambda: time.monotonic() >= end, started)


class _Watch:
    """Counts what happens in a folder from now on."""

    def __init__(self, folder, event):
        self._folder, self._event = folder, event
        self._seen = set(self._names())
        self._rows = len(lines(folder))
        self._new = set()

    def count(self):
        """How often it has happened."""
        if self._event == "start":
            return EPOCHS
        if self._event == "row":
            return len(lines(self._folder)) - self._rows
        self._new |= set(self._names()) - self._seen
        return len(self._new)

    def _names(self):
        """The names that stand for the event, those that there are now."""
        inside = "checkpoint" in self._event
        names = _listed(self._folder / "checkpoints" if inside else self._folder)
        if inside:
            whole = self._event == "checkpoint"
            return [name for name in names if name.isdigit() == whole]
        if self._event == "lock":  # of a killed run there is an old one
            return [_changed(self._folder / x) for x in names if x == "run.lock"]
        return [name for name in names if name.startswith("events.out")]


def _listed(folder):
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _changed(path):
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
