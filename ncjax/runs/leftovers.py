"""What Orbax leaves behind where it fails, which Python would print as tracebacks.

It gives up at the first error, while its threads still read or write.  They find its
event loop closed, and tasks that nobody waits for end with errors of their own.  The
one error that says what is wrong has been raised by then.
"""

from __future__ import annotations

import logging
import re
import sys
import types
import warnings
from typing import Any


def drop_leftovers() -> None:
    """Keeps Python from printing them; all other errors are printed as before."""
    if getattr(sys.excepthook, "drops_leftovers", False):
        return
    printed, ignored = sys.excepthook, sys.unraisablehook

    def print_others(
        kind: type[BaseException],
        error: BaseException,
        trace: types.TracebackType | None,
    ) -> None:
        if not _is_leftover(error):
            printed(kind, error, trace)

    def ignore_others(unraisable: Any) -> None:
        ended = unraisable.object
        code = getattr(ended, "cr_code", None)
        of_orbax = code is not None and "orbax" in code.co_filename
        if not of_orbax and not _is_leftover(unraisable.exc_value):
            ignored(unraisable)

    print_others.drops_leftovers = True  # type: ignore[attr-defined]
    sys.excepthook, sys.unraisablehook = print_others, ignore_others
    logging.getLogger("asyncio").addFilter(_is_of_others)
    never = "coroutine '.*{}' was never awaited"
    names = never.format("(metadata|metadatas|_device_put)")
    warnings.filterwarnings("ignore", names, RuntimeWarning)
    warnings.filterwarnings("ignore", never.format(""), RuntimeWarning, r"orbax\.")


def _is_of_others(record: logging.LogRecord) -> bool:
    """Whether a message is not of a task that read or wrote a checkpoint."""
    return not re.search("orbax|tensorstore|OCDBT", record.getMessage(), re.IGNORECASE)


def _is_leftover(error: BaseException | None) -> bool:
    """Whether it is that of a thread which finds the event loop closed."""
    return isinstance(error, RuntimeError) and str(error) == "Event loop is closed"
