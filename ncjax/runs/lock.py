"""The lock of a folder: one program at a time writes to it.

It is a file, `run.lock`, that names the program that holds it.  A program that was
killed leaves the file: the next one takes it over if that program is no longer there,
or, on another host, has given no sign for ten minutes.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ncjax import cluster
from ncjax.runs.workdir import LOCK, WorkdirError, claim

_BEAT = 30.0  # seconds between signs of life
_SILENT = 600.0  # seconds without one after which a program on another host is dead


class Lock:
    """Holds the lock of a folder until it is released, or this process ends."""

    def __init__(self, folder: Path):
        """Takes the lock; says so if that of a dead program is taken over.

        The same process may take a lock that it has, as a notebook does that runs its
        cells again.

        Raises:
            WorkdirError: if another program holds it.
            OSError: if the file cannot be written.
        """
        path, token = folder / LOCK, uuid.uuid4().hex
        with _alone_with(path) as file:
            if holder := _read(file):
                _check_dead(path, holder)
            content = {"host": socket.gethostname(), "pid": os.getpid()}
            content |= {"started": _started(os.getpid()), "token": token}
            content |= {"since": time.strftime("%Y-%m-%d %H:%M:%S")}
            file.seek(0)
            file.truncate()
            file.write(json.dumps(content) + "\n")
            file.flush()
            os.fsync(file.fileno())
        ended = threading.Event()
        beat = threading.Thread(target=_live, args=(path, ended), daemon=True)
        beat.start()
        self._release = weakref.finalize(
            self, _release, path, token, ended, os.getpid()
        )

    def close(self) -> None:
        """Releases the lock; a second time it does nothing."""
        self._release()


@contextmanager
def locked(folder: Path, mark: str, holds: str) -> Generator[None]:
    """Holds the lock of a folder of results, made if it is not there; see `claim`.

    Several processes that are one run hold it together: the first has it.

    Raises:
        WorkdirError: if another program holds it, or the folder cannot be written or
            holds something else.
    """
    held: list[Lock] = []
    try:
        cluster.from_first(lambda: held.append(_take(folder, mark, holds)))
        yield
    finally:
        for lock in held:
            lock.close()


def _take(folder: Path, mark: str, holds: str) -> Lock:
    claim(folder, mark, holds=holds)
    try:
        return Lock(folder)
    except OSError as error:
        raise WorkdirError(
            f"The workdir {folder} cannot be locked: {error.strerror}. Choose another "
            "with --workdir."
        ) from error


@contextmanager
def _alone_with(path: Path) -> Generator[Any]:
    """The open file of a lock, which no other process reads or changes meanwhile."""
    while True:
        with path.open("a+") as file:
            _wait_for(file)
            try:
                same = os.path.samestat(os.fstat(file.fileno()), path.stat())
            except FileNotFoundError:  # its holder has just released it
                same = False
            if same:
                yield file
                return


def _wait_for(file: Any) -> None:
    """Waits until no other process is at a file, where the file system can do that."""
    with suppress(ImportError, OSError):
        import fcntl  # not on Windows

        fcntl.flock(file.fileno(), fcntl.LOCK_EX)


def _read(file: Any) -> dict[str, Any]:
    """What a lock says of its holder; {} of none."""
    file.seek(0)
    try:
        found = json.loads(file.read())
    except ValueError:  # it was killed while it wrote it
        return {}
    return found if isinstance(found, dict) else {}


def _check_dead(path: Path, holder: dict[str, Any]) -> None:
    """Says that a dead holder is taken over.

    Raises:
        WorkdirError: if it is alive.
    """
    host, pid = holder.get("host"), holder.get("pid")
    who = f"process {pid} on {host}, since {holder.get('since')}"
    if host == socket.gethostname():
        if pid == os.getpid() and holder.get("started") == _started(pid):
            return
        alive = _is_alive(pid, holder.get("started"))
        why = "which no longer runs"
    else:
        silent = time.time() - path.stat().st_mtime
        alive = silent < _SILENT
        why = f"which has given no sign of life for {silent / 60:.0f} minutes"
    if alive:
        raise WorkdirError(
            f"The workdir {path.parent} is in use by another program: {who}. Wait "
            "until it ends, or choose another folder with --workdir. If it is surely "
            f"not running, delete {path}."
        )
    said = f"The lock of {path.parent} is taken over from {who}, {why}."
    print(said, file=sys.stderr, flush=True)


def _is_alive(pid: Any, started: Any) -> bool:
    """Whether a process of this host runs, and is the one that began then."""
    try:
        os.kill(int(pid), 0)
    except PermissionError:  # it is there, and of somebody else
        pass
    except (OSError, OverflowError, TypeError, ValueError):
        return False
    return started is None or _started(pid) in (None, started)


def _started(pid: int) -> str | None:
    """When a process of this host began, in ticks since the start of the host.

    It tells a process from a later one of the same number.  "ended" of one that only
    waits to be counted by its parent; None where it is not known.
    """
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return "ended" if words[0] in "ZX" else words[19]


def _live(path: Path, ended: threading.Event) -> None:
    """Gives signs of life until the lock is released."""
    while not ended.wait(_BEAT):
        with suppress(OSError):
            os.utime(path)


def _release(path: Path, token: str, ended: threading.Event, pid: int) -> None:
    """Removes the file, if it is still that of the lock with this token."""
    ended.set()
    if os.getpid() != pid:  # a copy of the process, which does not hold it
        return
    with suppress(OSError):
        if not path.exists():
            return
        with _alone_with(path) as file:
            if _read(file).get("token") == token:
                path.unlink()
