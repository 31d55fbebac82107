"""What a run says whose folder cannot be written any more."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from ncjax.options import TrainingError

_ROOM = "Make room on that disk"
_RIGHTS = "Make it writable again"
_MEND = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: f"{_ROOM}, or raise the quota",
    errno.EFBIG: "Raise the limit on the size of a file (ulimit -f)",
    errno.EMFILE: "Raise the limit on the number of open files (ulimit -n)",
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOENT: "Bring back what was deleted or moved",
}
# What TensorStore calls them where it gives no number.
_WORDS = {
    "NOT_FOUND": errno.ENOENT,
    "PERMISSION_DENIED": errno.EACCES,
    "RESOURCE_EXHAUSTED": errno.ENOSPC,
    "UNAVAILABLE": errno.EIO,
}


@contextmanager
def writing(folder: Path, stand: Callable[[], str]) -> Generator[None]:
    """Raises `TrainingError` where a folder of results cannot be written.

    Args:
        folder: the folder.
        stand: () -> how far the run has come, and what of it is whole, in sentences.
    """
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        gone = not folder.exists()
        # Orbax has many words for a folder that has gone while it wrote there.
        found = _reason(error) or ((errno.ENOENT, "") if gone else None)
        if found is None:
            raise
        code, path = found
        reason = f"{path or folder}: {os.strerror(code)} ({errno.errorcode.get(code)})"
        if gone:
            reason = f"the folder was deleted or moved, or its disk is gone ({reason})"
        raise TrainingError(
            f"The files in {folder} cannot be written any more: {reason}. {stand()} "
            f"{_MEND.get(code, 'Mend it')}, then give the same command: it goes on "
            "from there."
        ) from error


def _reason(error: BaseException) -> tuple[int, str] | None:
    """Number of an error of the operating system, and the path; None of another error.

    TensorStore, which writes the arrays of checkpoints, raises a ValueError that has
    both in its text, or a word in the place of the number.
    """
    if isinstance(error, OSError) and error.errno:
        return error.errno, str(error.filename or "")
    said = str(error)
    path = re.search('"(/[^"]+)"', said)
    code = re.search(r"os_error_code='(\d+)'", said)
    word = re.match("([A-Z_]+): ", said)
    if code:
        return int(code[1]), path[1] if path else ""
    if path and word and word[1] in _WORDS:
        return _WORDS[word[1]], path[1]
    return None
