"""Signals that end a program: SIGINT (Ctrl-C), SIGTERM (SLURM, clouds), SIGHUP.

Only the command line handles them; the library leaves them to whoever imports it.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

# Windows has no SIGHUP.
NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
NUMBERS = tuple(getattr(signal, name) for name in NAMES if hasattr(signal, name))


class Interrupted(KeyboardInterrupt):
    """A signal that ends a program, as Ctrl-C does."""

    def __init__(self, number: int):
        """Takes the number of the signal."""
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def interrupts() -> Generator[None]:
    """Within it SIGTERM and SIGHUP do what Ctrl-C does: they raise `Interrupted`."""

    def interrupt(number: int, frame: Any) -> None:
        raise Interrupted(number)

    with _handled(interrupt):
        yield


@contextmanager
def _handled(handler: Callable[[int, Any], None]) -> Generator[None]:
    """Handles the signals, but those that are ignored, as SIGHUP is under nohup."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        found = {number: signal.getsignal(number) for number in NUMBERS}
        # None: somebody has handled it outside Python, who cannot be restored.
        before = {
            n: old for n, old in found.items() if old not in (signal.SIG_IGN, None)
        }
    try:
        for number in before:
            signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


class StopAfterEpoch:
    """Within it a signal stops a training after an epoch; `stop()` says which.

    The first signal is said at once, and the training stops when it next asks.  Before
    it has asked for the first time there is nothing to save, and the process ends at
    once; so it does at a second signal.  At once means that it does not wait for the
    main thread, which compiles and trains for minutes without a look at signals: a
    thread reads them from a socket, and ends the process.
    """

    def __init__(self) -> None:
        """Nothing has come yet; of several processes all say what comes.

        `speaks` may be set to a function that tells whether this one speaks for all.
        """
        self.speaks: Callable[[], bool] = lambda: True
        self._asked = False  # whether the training has begun
        self._number = 0  # of the first signal
        self._entered = ExitStack()

    def __call__(self) -> int:
        """The number of the signal that came; 0 if none did."""
        self._asked = True
        return self._number

    def __enter__(self) -> StopAfterEpoch:
        """Handles the signals; does nothing in a thread, which cannot."""
        if threading.current_thread() is not threading.main_thread():
            return self
        read, write = socket.socketpair()
        write.setblocking(False)
        listener = threading.Thread(target=self._listen, args=(read,), daemon=True)
        listener.start()
        self._entered.callback(listener.join)
        self._entered.callback(write.close)  # ends the listener
        former = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        self._entered.callback(signal.set_wakeup_fd, former)
        self._entered.enter_context(_handled(_nothing))
        if hasattr(os, "register_at_fork"):  # a worker ends at its signals, as usual
            os.register_at_fork(after_in_child=self._entered.close)
        return self

    def __exit__(self, *error: object) -> None:
        """Leaves the signals to those who had them before."""
        self._entered.close()

    def _listen(self, read: socket.socket) -> None:
        """Takes what the interpreter writes for a signal: a byte, its number."""
        with read:
            while byte := read.recv(1):
                if (number := byte[0]) in NUMBERS:
                    self._take(number)

    def _take(self, number: int) -> None:
        name, former = signal.Signals(number).name, self._number
        self._number = former or number
        if not self._asked:
            _say(f"\n{name}: stopped before the training began; nothing is lost.")
            os._exit(128 + number)
        if not former:
            if self.speaks():
                _say(
                    f"\n{name}: the training stops after the epoch that is under way, "
                    "and saves it. A second signal ends it at once, with nothing saved "
                    "since the last checkpoint."
                )
        elif name != "SIGHUP":  # which a terminal that closes sends, and then its shell
            _say(f"\n{name}: ended at once; the newest checkpoint is whole.")
            os._exit(128 + number)


def _nothing(number: int, frame: Any) -> None:
    """Leaves a signal to the listener; without a handler there would be no byte."""


def _say(message: str) -> None:
    """Prints on standard error, whatever the main thread holds.

    After a hangup the terminal takes nothing any more: what the training goes on to
    print must not end it.
    """
    for number in (1, 2):
        try:
            os.write(number, b"")
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    with suppress(OSError):
        os.write(2, f"{message}\n".encode())
