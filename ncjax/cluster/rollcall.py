"""A roll call before `jax.distributed.initialize`, whose errors name no process.

Process 0 listens at the address where JAX will listen afterwards.  The other processes
connect, say their numbers, and hear whether any process is missing.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

ADDRESS = "JAX_COORDINATOR_ADDRESS"
COUNT, INDEX = "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"
TIMEOUT = "NCJAX_JOIN_TIMEOUT"


class ClusterError(RuntimeError):
    """Processes or devices that do not come together; the message says what to do."""


class Place(NamedTuple):
    """The place of this process among all processes of the run."""

    address: str  # HOST:PORT of process 0; "" where only JAX finds it
    count: int  # number of all processes
    index: int  # number of this process
    devices: Sequence[int] | None  # devices of this host to use; None: all of them


# Who is at the other end, such as "Process 1 on node7", and the open connection.
Peers = list[tuple[str, socket.socket]]


def roll_call(place: Place, timeout: float) -> Peers:
    """Returns in all processes once all are there.

    Args:
        place: place of this process.
        timeout: seconds to wait for the others.

    Returns:
        In process 0 connections to all others, in these that to process 0.

    Raises:
        ClusterError: in all processes that came, naming those that did not.
    """
    host, _, port = place.address.rpartition(":")
    if place.index == 0:
        return _call_roll(place, int(port), timeout)
    hello = (place.index, place.count, socket.gethostname())
    deadline = time.monotonic() + timeout
    while True:
        try:
            with ExitStack() as stack:
                where = (host.strip("[]"), int(port))
                peer = stack.enter_context(socket.create_connection(where, 5))
                peer.sendall(json.dumps(hello).encode() + b"\n")
                peer.settimeout(timeout + 10)  # process 0 may have come later
                answer = peer.makefile().readline()
                if answer and not (problem := json.loads(answer)):
                    stack.pop_all()
                    return [(f"Process 0 at {place.address}", peer)]
        except OSError as error:
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"Process {place.index} of {place.count} found nobody at "
                    f"{place.address} within {timeout:g} s ({error}). Does process 0 "
                    "run there, with the same address, and is the port open to "
                    f"{hello[2]}? {TIMEOUT} (seconds) waits longer."
                ) from error
            time.sleep(0.2)
            continue
        if not answer:
            raise ClusterError(f"Process 0 at {place.address} ended; see its message.")
        raise ClusterError(problem)


def _call_roll(place: Place, port: int, timeout: float) -> Peers:
    """Process 0 waits for the others and answers them."""
    deadline = time.monotonic() + timeout
    came = {0: socket.gethostname()}
    with ExitStack() as stack:
        try:
            server = socket.create_server(("", port), backlog=place.count)
            stack.enter_context(server)
        except OSError as error:
            raise ClusterError(
                f"Process 0 cannot listen on port {port}: {error.strerror}. Choose "
                f"another port in {ADDRESS}."
            ) from error
        peers: Peers = []
        problem = ""
        while len(came) < place.count and not problem:
            server.settimeout(max(deadline - time.monotonic(), 1e-3))
            try:
                peer = stack.enter_context(server.accept()[0])
                peer.settimeout(5)
                index, count, host = json.loads(peer.makefile().readline())
            except TimeoutError:
                if time.monotonic() > deadline:
                    problem = _missing(place, came, timeout)
                continue
            except (OSError, ValueError, TypeError):
                continue  # a stranger at the port
            if count != place.count:
                problem = (
                    f"Process {index} on {host} was told of {count} processes, "
                    f"process 0 of {place.count}. Start all with the same number."
                )
            elif index in came:
                problem = (
                    f"Two processes have the number {index}, on {came[index]} and on "
                    f"{host}. Give each its own {INDEX}."
                )
            came[index] = host
            peers.append((f"Process {index} on {host}", peer))
        for _, peer in peers:
            peer.sendall(json.dumps(problem).encode() + b"\n")
        if problem:
            raise ClusterError(problem)
        server.close()
        stack.pop_all()
        return peers


def _missing(place: Place, came: dict[int, str], timeout: float) -> str:
    """The message that names the missing; `came` has the host of each that came."""
    absent = ", ".join(str(i) for i in range(place.count) if i not in came)
    hosts = ", ".join(f"{i} on {host}" for i, host in sorted(came.items()))
    return (
        f"{len(came)} of {place.count} processes came to {place.address} within "
        f"{timeout:g} s ({hosts}); missing: {absent}. Were they started, with the same "
        f"address, and is the port open to them? {TIMEOUT} (seconds) waits longer."
    )
