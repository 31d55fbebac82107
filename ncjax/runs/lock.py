"""The lock of a folder: one program at a time writes to it.

It is a file, `run.lock`, that names the program that holds it.  A program that was
killed leaves the file: the next one takes it over if that program is no longer there,
or, on another host, has given no sign for ten minutes.  Their clocks may differ, and be
set: only the times that the file system gives are compared, and the file is watched
before it is taken over.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ncjax import cluster
from ncjax.options import TrainingError
from ncjax.runs.workdir import LOCK, WorkdirError, claim

_BEAT = 30.0  # seconds between signs of life
_WATCHED = 3  # signs of life for which one waits before a lock is taken over
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
            _write(file, content)
        self._path, self._token, self._content = path, token, content
        ended = threading.Event()
        beat = threading.Thread(target=_live, args=(path, ended), daemon=True)
        beat.start()
        self._release = weakref.finalize(
            self, _release, path, token, ended, os.getpid()
        )

    def check(self) -> None:
        """Makes sure that this process still holds it, after a pause of its host too.

        A file that was deleted is written anew.

        Raises:
            TrainingError: if another program has taken it over.
            OSError: if the file cannot be read or written.
        """
        with _alone_with(self._path) as file:
            if (holder := _read(file)).get("token") == self._token:
                return
            if not holder:
                _write(file, self._content)
                return
        raise TrainingError(
            f"The workdir {self._path.parent} was taken over by another program: "
            f"{_named(holder)}. This one has given no sign of life for too long, or "
            "its run.lock was deleted. It stops and leaves the folder to the other."
        )

    def close(self) -> None:
        """Releases the lock; a second time it does nothing."""
        self._release()


@contextmanager
def locked(folder: Path, mark: str, holds: str) -> Generator[Callable[[], None]]:
    """Holds the lock of a folder of results, made if it is not there; see `claim`.

    Several processes that are one run hold it together: the first has it.

    Yields:
        () -> None: makes sure that it is still held, see `Lock.check`.

    Raises:
        WorkdirError: if another program holds it, or the folder cannot be written or
            holds something else.
    """
    held: list[Lock] = []
    try:
        cluster.from_first(lambda: held.append(_take(folder, mark, holds)))
        yield lambda: held[0].check() if held else None
    finally:
        for lock in held:
            lock.close()


def is_left_behind(folder: Path) -> bool:
    """Whether a folder has the lock of a program of this host that no longer runs.

    Of a program on another host that takes longer to find out, and is not asked for.
    """
    try:
        with (folder / LOCK).open() as file:
            holder = _read(file)
    except (OSError, UnicodeDecodeError):
        return False
    here = holder.get("host") == socket.gethostname()
    return here and not _is_alive(holder.get("pid"), holder.get("started"))


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


def _write(file: Any, content: dict[str, Any]) -> None:
    """Makes the content of a lock."""
    file.seek(0)
    file.truncate()
    file.write(json.dumps(content) + "\n")
    file.flush()
    os.fsync(file.fileno())


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
    who = _named(holder)
    if host == socket.gethostname():
        if pid == os.getpid() and holder.get("started") == _started(pid):
            return
        alive = _is_alive(pid, holder.get("started"))
        why = "which no longer runs"
    else:
        silent = abs(_now(path.parent) - path.stat().st_mtime)
        alive = silent < _SILENT or _gives_signs(path)
        why = f"which has given no sign of life for {silent / 60:.0f} minutes"
    if alive:
        raise WorkdirError(
            f"The workdir {path.parent} is in use by another program: {who}. Wait "
            "until it ends, or choose another folder with --workdir. If it is surely "
            f"not running, delete {path}."
        )
    said = f"The lock of {path.parent} is taken over from {who}, {why}."
    print(said, file=sys.stderr, flush=True)


def _named(holder: dict[str, Any]) -> str:
    """The program that holds a lock, for a message."""
    process, host = holder.get("pid"), holder.get("host")
    return f"process {process} on {host}, since {holder.get('since')}"


def _now(folder: Path) -> float:
    """The time of the file system of a folder, in seconds since 1970."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=f".{LOCK}.") as file:
        return os.fstat(file.fileno()).st_mtime


def _gives_signs(path: Path) -> bool:
    """Whether the file of a lock gets new times while one looks on.

    An old time may come of a clock that was set.
    """
    print(
        f"{path} looks left behind; {_WATCHED * _BEAT:.0f} seconds will tell.",
        file=sys.stderr,
        flush=True,
    )
    before, end = path.stat().st_mtime_ns, time.monotonic() + _WATCHED * _BEAT
    while time.monotonic() < end:
        time.sleep(_BEAT / 10)
        with path.open() as file:  # to open it makes a client of NFS ask the server
            if os.fstat(file.fileno()).st_mtime_ns != before:
                return True
    return False


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
