"""A look-out for processes that are gone, so that the others do not wait in vain.

JAX notices it too, but says so in twenty lines that name no process, or after a minute.
The connections of the roll call stay open: a process that ends as it should says
goodbye on them, and those of a process that was killed break off.
"""

from __future__ import annotations

import atexit
import os
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import Any

from ncjax.cluster.rollcall import Peers

_BYE, _GONE = b".", b"!"  # the sender ends; another process is gone
_over = threading.Event()  # this process gives up for a reason of its own


def watch(peers: Peers) -> None:
    """Ends this process with one paragraph and status 1 when one of the others is gone.

    A thread of its own does that, whatever the main thread waits for.

    Args:
        peers: connections of the roll call.
    """
    for _, peer in peers:
        peer.settimeout(None)
        # What lies between hosts may forget a connection on which nothing is sent.
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)  # seconds
    threading.Thread(target=_watch, args=(peers,), daemon=True).start()
    atexit.register(_say_goodbye, peers)


def give_up(patience: float) -> None:
    """This process is about to end by itself: what others do is not said any more.

    Args:
        patience: seconds to wait before, in which it may turn out that another process
            is gone, and that this is why.
    """
    _over.wait(patience)
    _over.set()


def _watch(peers: Peers) -> None:
    """Waits until a process is gone, or all have said goodbye."""
    with selectors.DefaultSelector() as waiting:
        for who, peer in peers:
            waiting.register(peer, selectors.EVENT_READ, who)
        while waiting.get_map():
            for key, _ in waiting.select():
                waiting.unregister(key.fileobj)
                heard = _hear(key.fileobj)
                if heard != _BYE and not _over.is_set():
                    _end(peers, "" if heard == _GONE else key.data)


def _end(peers: Peers, who: str) -> None:
    """Ends this process; `who` is gone, or "" if process 0 has said so already."""
    if who:
        text = (
            f"\nerror: {who} is gone: it was killed, its host failed, or it says "
            "itself why. The others cannot go on without it. The same command on all "
            "of them goes on from the last checkpoint.\n"
        )
        with suppress(OSError):
            os.write(2, text.encode())  # the main thread may hold `sys.stderr`
    if len(peers) > 1:  # process 0, without which JAX in the others would speak up
        _tell(peers, _GONE)
        time.sleep(0.3)
    os._exit(1)


def _say_goodbye(peers: Peers) -> None:
    give_up(0.0)
    _tell(peers, _BYE)


def _hear(peer: Any) -> bytes:
    try:
        return peer.recv(1)
    except OSError:
        return b""


def _tell(peers: Peers, what: bytes) -> None:
    for _, peer in peers:
        with suppress(OSError):
            peer.sendall(what)
