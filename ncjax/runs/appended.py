"""A file to which a run appends, and which stays whole whatever others do to it."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path

from ncjax.io import write_whole


class Appended:
    """A file that nobody but this process changes; else it is restored.

    Attributes:
        path: the file.
        content: what the file holds, as this process knows it.
    """

    def __init__(self, path: Path, content: bytes = b""):
        """Takes what the file holds; nothing is read or written yet."""
        self.path, self.content = path, bytearray(content)

    def append(self, data: bytes) -> bool:
        """Appends bytes, all of them or none.

        Returns:
            Whether the file had another size than it should, because it was deleted,
            cut or written by others; then it was restored first.

        Raises:
            OSError: if it cannot be written; what it held before is still there.
        """
        known = len(self.content)
        # Opened each time: what is written to a deleted file would be lost silently.
        with self.path.open("ab", buffering=0) as file:
            same = os.fstat(file.fileno()).st_size == known
            if same:
                try:
                    _write(file, data)
                except OSError as error:
                    error.filename = str(self.path)
                    with suppress(OSError):
                        file.truncate(known)
                    raise
        if not same:
            write_whole(self.path, bytes(self.content) + data)
        self.content += data
        return not same


def _write(file: io.FileIO, data: bytes) -> None:
    """Writes all bytes; a disk that is nearly full takes a part of them at first."""
    while data:
        data = data[file.write(data) :]
