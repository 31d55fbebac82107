"""Files: written whole or not at all, and JSON that every reader understands."""

from __future__ import annotations

import codecs
import errno
import itertools
import json
import math
import os
import stat
import uuid
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ncjax.options import InputError

_MOST_TEXT = 2**28  # bytes of a text that is read whole


@contextmanager
def open_whole(path: str | os.PathLike) -> Generator[BinaryIO]:
    """Opens a file that is written whole or not at all, even if the power fails.

    What is written goes to a temporary file beside it, which takes its name at the end.
    The file may be read by whom the umask of the user allows.

    Raises:
        OSError: if its folder does not exist or cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync(path.parent)
    except OSError as error:
        # The system names the temporary file, or none where a disk is full.
        unnamed = error.filename in (None, str(temporary))
        if error.errno and unnamed:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def sync(path: str | os.PathLike) -> None:
    """Brings a file, or the names in a folder, to the disk: a power cut spares it."""
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems cannot
            raise
    finally:
        os.close(opened)


def make_folder(folder: Path) -> None:
    """Makes a folder and those above it; brings the names of new ones to the disk."""
    above = [place for place in folder.parents if not place.exists()]
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    for place in (folder, *above) if new else ():
        sync(place.parent)


def cache_folder(name: str) -> Path:
    """The user's folder for what can be made anew: $XDG_CACHE_HOME/ncjax/NAME.

    By default it is in ~/.cache.  It need not exist.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification ignores a relative path.
    base = Path(root) if os.path.isabs(root) else Path.home() / ".cache"
    return base / "ncjax" / name


def sync_tree(folder: Path) -> None:
    """Brings all files of a folder to the disk, its own name last."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            sync(os.path.join(place, name))
        sync(place)
    sync(folder.parent)


def free_name(path: Path) -> Path:
    """The path, or the first of `path-2`, `path-3`, ... that does not exist."""
    others = (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    return next(x for x in itertools.chain([path], others) if not x.exists())


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """Writes bytes, or text as UTF-8, whole or not at all; see `open_whole`."""
    with open_whole(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def no_file(path: str | os.PathLike) -> str:
    """What a path is that is no file, such as "a pipe"; "" for a file.

    To read a pipe may take for ever, and a device may have no end.

    Raises:
        OSError: if nothing is there.
    """
    return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode), "")


def text_encoding(path: str | os.PathLike) -> str:
    """UTF-16 if a file begins with its mark, as some programs write text, else UTF-8.

    A mark at the beginning of UTF-8 is no part of the text.
    """
    with open(path, "rb") as file:
        begins = file.read(2)
    marks = codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE
    return "utf-16" if begins in marks else "utf-8-sig"


def read_text(path: str | os.PathLike) -> str:
    """A text file, in UTF-8 or in UTF-16 with its mark.

    Raises:
        InputError: for a file that is no such text, too large, or no file.
        OSError: if it cannot be read.
    """
    if kind := no_file(path):
        raise InputError(f"{path} is {kind}; a file is needed.")
    if (size := os.path.getsize(path)) > _MOST_TEXT:
        raise InputError(
            f"{path} has {size:,} bytes; text of {_MOST_TEXT:,} is read at most."
        )
    try:
        text = Path(path).read_text(encoding=text_encoding(path))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path} is no text in UTF-8: line {line} is not. Save it as UTF-8."
        ) from error
    if "\0" in text:
        raise InputError(
            f"{path} is no text in UTF-8, it holds zeros. Save it as UTF-8."
        )
    return text


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes a value as indented strict JSON, whole or not at all; see `plain`."""
    write_whole(path, to_json(value, indent=2) + "\n")


def write_lines(path: str | os.PathLike, rows: Iterable[Any]) -> None:
    """Writes each row as one line of strict JSON, whole or not at all."""
    write_whole(path, "".join(to_json(row) + "\n" for row in rows))


def to_json(value: Any, *, indent: int | None = None) -> str:
    """A value as strict JSON; see `plain`."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def plain(value: Any) -> Any:
    """A nested structure of what strict JSON has.

    Arrays and tuples become lists, NumPy scalars Python's.  Numbers that are not finite
    become None: JSON has neither NaN nor infinity.
    """
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
