"""Real processes that can be killed: copies of this one, which has imported all.

Importing JAX costs seconds and a copy nothing, so this process must not start a backend
of JAX itself: its threads would not be copied.
"""

import importlib
import multiprocessing
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

from jax._src import xla_bridge

from ncjax.cli import program
from ncjax.runs.record import Record
from tests.faults.lab import Lab, command
from tests.faults.said import Ran, hung

PATIENCE = 180.0  # seconds after which a process hangs
_COPY = multiprocessing.get_context("fork")
_EARLY = (
    *("ncjax.cli.train", "ncjax.cli.cache", "ncjax.training.loop", "ncjax.runs.plots"),
    *(
        "ncjax.sweeps",
        "sklearn.datasets",
        "tensorboardX",
        "orbax.checkpoint.experimental.v1",
    ),
    *("matplotlib.backends.backend_agg", "ncjax.cluster"),
)


def prepare():
    """Imports what every run needs; call it before any process is copied."""
    from ncjax import default, sweep, train  # noqa: F401  (they are imported when asked for)

    for name in _EARLY:
        importlib.import_module(name)
    assert not xla_bridge.backends_are_initialized()


class Started:
    """A process of `ncjax train` in a folder, which may be killed at any moment."""

    def __init__(self, folder, log, *more, every=1, drawn=False, largest=0, new=False):
        """Starts it.

        Args:
            folder: its workdir.
            log: the file that its stderr goes to.
            more: further arguments.
            every: epochs between checkpoints.
            drawn: whether it draws its figure, which takes as long as the training.
            largest: the most bytes that a file may have; 0 for any.
            new: whether it is a program of its own, which imports all again.
        """
        self._log = Path(log)
        arguments = command(folder, every, *more)
        options = {"drawn": drawn, "largest": largest, "new": new}
        work = _COPY.Process(target=_run, args=(arguments, self._log), kwargs=options)
        work.start()
        self._work = work

    @property
    def ended(self):
        """Whether it has ended."""
        return self._work.exitcode is not None

    def send(self, number):
        """Sends it a signal, unless it has ended."""
        if not self.ended:
            os.kill(self._work.pid, number)

    def wait(self):
        """Waits for its end, but not for ever: how it ended."""
        self._work.join(PATIENCE)
        late = not self.ended
        if late:
            self._work.kill()
            self._work.join()
        err = self._log.read_text(errors="replace") if self._log.exists() else ""
        return hung(err) if late else Ran(self._work.exitcode, err)


def _run(arguments, log, *, drawn, largest, new):
    """The program in a copy of the process."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        signal.signal(number, handler)
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(opened, 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if new:
        os.execv(sys.executable, [sys.executable, "-m", "ncjax", *arguments])
    if not drawn:
        Record.draw = lambda *_, **__: None
    sys.exit(program.main(arguments))


class LabProcess:
    """A `Lab` in a process of its own: if damage crashes it, the driver goes on."""

    def __init__(self, root):
        """Starts it; its runs lie below the folder `root`."""
        self._root = Path(root)
        self._work = None

    def train(self, *arguments):
        """Calls `Lab.train`."""
        return self._ask("train", *arguments)

    def judge(self, *arguments):
        """Calls `Lab.judge`."""
        return self._ask("judge", *arguments)

    def copy(self, *arguments):
        """Calls `Lab.copy`."""
        return self._ask("copy", *arguments)

    def _ask(self, name, *arguments):
        """What a method of the lab returns; a `Ran` if it crashed or hung."""
        if self._work is None:
            self._ours, theirs = _COPY.Pipe()
            self._work = _COPY.Process(
                target=_serve, args=(theirs, self._root), daemon=True
            )
            self._work.start()
            theirs.close()
        try:
            self._ours.send((name, arguments))
            if self._ours.poll(PATIENCE):
                raised, found = self._ours.recv()
                if raised:
                    raise RuntimeError(found)
                return found
            self._work.kill()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            pass
        self._work.join()
        status, self._work = self._work.exitcode, None
        log = (self._root / "lab.log").read_text(errors="replace")
        if name != "train":
            raise RuntimeError(f"The lab ended with {status}: {log}")
        return hung(log) if status == -signal.SIGKILL else Ran(status, log)

    def close(self):
        """Ends it."""
        if self._work is not None:
            self._work.kill()
            self._work.join()


def _serve(pipe, root):
    """A lab that does what it is asked; what libraries print joins what is said."""
    log = root / "lab.log"
    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    lab = Lab(root)
    while True:
        name, arguments = pipe.recv()
        os.truncate(log, 0)
        os.lseek(2, 0, os.SEEK_SET)
        try:
            found = getattr(lab, name)(*arguments)
        except BaseException:
            pipe.send((True, traceback.format_exc()))
            continue
        if isinstance(found, Ran):
            found = found._replace(err=found.err + log.read_text(errors="replace"))
        pipe.send((False, found))


def until(reached, started, step=0.0005):
    """Waits until something is so; False if the process ended before."""
    end = time.monotonic() + PATIENCE
    while not reached():
        if started.ended or time.monotonic() > end:
            return False
        time.sleep(step)
    return True
