"""A double of a disk: what would be there if the power failed.

It is none, and knows nothing of the order in which a disk writes by itself.  It keeps
what was brought there on demand: the content of a file as of its last `os.fsync`, and
the names in a folder as of that of the folder.  With `names_at_once` names are there as
soon as they are made, changed or removed, as on disks that write them first.
"""

import os
import stat
import threading


class Disk:
    """Everything below a folder, as the disk has it."""

    def __init__(self, root, *, names_at_once=False):
        """Takes a folder that is on the disk, and is empty."""
        self._root, self._names_at_once = root, names_at_once
        self._files: dict[int, bytes] = {}  # number of a file -> content
        self._names: dict[
            int, dict
        ] = {}  # that of a folder -> name -> (number, folder)
        self._held: list[int] = []  # open, so that no number is given twice
        self._lock, self._fsync = threading.Lock(), os.fsync
        self.syncs = 0
        self.before = lambda number: None  # called before each sync, with its number
        self._opened(root, self._take)

    def fsync(self, opened):
        """Stands for `os.fsync`."""
        with self._lock:
            self.before(self.syncs)
            self.syncs += 1
            self._take(opened)
        self._fsync(opened)

    def copy(self, to):
        """Writes what the disk has into a new folder."""
        number = self._root.stat().st_ino
        self._copy(number, self._root, to)

    def close(self):
        for opened in self._held:
            os.close(opened)

    def _take(self, opened):
        about = os.fstat(opened)
        # No copy of the descriptor, which would hold the lock of its file too.
        self._held.append(os.open(f"/proc/self/fd/{opened}", os.O_RDONLY))
        if stat.S_ISDIR(about.st_mode):
            self._names[about.st_ino] = self._list(opened)
        else:
            with open(f"/proc/self/fd/{opened}", "rb") as file:
                self._files[about.st_ino] = file.read()

    def _list(self, opened):
        found = {}
        for name in os.listdir(opened):
            held = os.open(name, os.O_RDONLY, dir_fd=opened)
            self._held.append(held)
            about = os.fstat(held)
            found[name] = about.st_ino, stat.S_ISDIR(about.st_mode)
        return found

    def _opened(self, path, action):
        opened = os.open(path, os.O_RDONLY)
        try:
            return action(opened)
        finally:
            os.close(opened)

    def _copy(self, number, now, to):
        names = self._names.get(number, {})
        if self._names_at_once:
            names = self._opened(now, self._list)
        to.mkdir()
        for name, (child, is_folder) in names.items():
            if is_folder:
                self._copy(child, now / name, to / name)
            else:
                (to / name).write_bytes(self._files.get(child, b""))
