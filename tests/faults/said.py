"""What a run printed, and whether that is what was promised."""

import re
from typing import NamedTuple


class Ran(NamedTuple):
    """How a process ended: its exit status (-9 if signal 9 ended it), its stderr."""

    status: int
    err: str


# Lines of every run, also of one that takes over the lock of one that was killed.
_USUAL = re.compile(
    r"Loading JAX|Compil(ing:|ed in) |Going on after epoch |Finished |epoch +\d+%|"
    r"This run is finished|The lock of .* is taken over from "
)
# What no sentence of the program's looks like: lines of libraries, logs, code.
_STRAY = re.compile(r"\s|.*\.(cc|py):\d+|.*Warning:|[EWIF]\d{4} |\*\*\*")
_HUNG = "has not ended"


def hung(err: str) -> Ran:
    """What stands for a process that was killed since it did not end."""
    return Ran(-9, f"{err}\n{_HUNG}")


def remarks(ran: Ran) -> list[str]:
    """The lines that not every run prints."""
    lines = (line.rstrip() for line in ran.err.splitlines())
    return [line for line in lines if line and not _USUAL.match(line)]


def fault(ran: Ran, *allowed: int) -> str:
    """What is not as promised: exit status, a traceback, no single paragraph; or ""."""
    lines = remarks(ran)
    if "Traceback (most recent call last)" in ran.err:
        last = [line for line in lines if not line.startswith(" ")][-1]
        return f"exit status {ran.status}, a traceback: {last[:200]}"
    if ran.err.endswith(_HUNG):
        return f"{_HUNG}; it said {' / '.join(lines)[:200]!r}"
    if stray := [line for line in lines if _STRAY.match(line)]:
        return f"exit status {ran.status}, stray lines: {stray[0][:200]}"
    if ran.status not in allowed:
        return f"exit status {ran.status}; it said {' / '.join(lines)[:200]!r}"
    errors = sum(line.startswith("error: ") for line in lines)
    if ran.status in (1, 2) and errors != 1:
        return f"exit status {ran.status} with {errors} paragraphs: {lines}"
    return ""
