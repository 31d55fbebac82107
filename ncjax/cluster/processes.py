"""Several processes that are one run: joining the others and agreeing with them.

All processes run the same program.  What only one of them can know, `from_first`,
`agree` and `in_turn` tell the others, errors too: no process waits for one that has
given up.
"""

from __future__ import annotations

import itertools
import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import numpy as np

from ncjax.cluster import watch
from ncjax.cluster.launchers import find, join_timeout
from ncjax.cluster.rollcall import COUNT, ClusterError, Peers, roll_call

T = TypeVar("T")

_PATIENCE = 7 * 24 * 3600 * 1000  # milliseconds to wait for a long action
_BARRIERS = itertools.count()  # each barrier takes a name of its own, the same for all


def join() -> None:
    """Waits for the other processes of the run, if there are any.

    Call it before anything touches a device.

    Raises:
        ClusterError: if the environment is incomplete, or processes are missing.
    """
    place = find()
    if place is None:
        return
    timeout = join_timeout()
    # The preemption service of JAX would swallow SIGTERM, for a notice nobody reads.
    jax.config.update("jax_enable_preemption_service", False)
    known: dict[str, Any] = {}
    peers: Peers = []
    if place.address:  # else JAX finds the others while it connects
        # When processes are missing, JAX ends this one by SIGABRT, with a stack trace
        # that names none of them; the roll call names them.
        peers = roll_call(place, timeout)
        known = {
            "coordinator_address": place.address,
            "num_processes": place.count,
            "process_id": place.index,
            "cluster_detection_method": "deactivate",  # `find` did that
        }
    jax.distributed.initialize(
        **known, local_device_ids=place.devices, initialization_timeout=timeout
    )
    watch.watch(peers)


def check_devices() -> None:
    """Starts the devices.

    Raises:
        ClusterError: if JAX finds no device of the wanted kind.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # JAX asserts that there are some
        wanted = os.environ.get("JAX_PLATFORMS", "")
        reason = str(error).partition("\n")[0].rstrip(".") or "it finds none"
        raise ClusterError(
            f"JAX cannot use the devices asked for (JAX_PLATFORMS={wanted}): {reason}. "
            "Unset JAX_PLATFORMS, choose JAX_PLATFORMS=cpu, or install JAX for them "
            "(pip install 'jax[cuda13]' or 'jax[tpu]')."
        ) from error
    if jax.process_count() > 1 and not jax.distributed.is_initialized():
        raise ClusterError(
            f"This is one of {jax.process_count()} hosts of a TPU pod that did not "
            f"join. Set {COUNT}=auto on all of them, as launch/tpu_vm.sh does."
        )


def is_first() -> bool:
    """Whether this process speaks and writes for all: process 0, or the only one."""
    return not jax.distributed.is_initialized() or jax.process_index() == 0


def say(message: str) -> None:
    """Prints a message on standard error, once for all processes."""
    if is_first():
        print(message, file=sys.stderr, flush=True)


def from_first(action: Callable[[], T]) -> T:
    """Runs `action` in process 0 alone; returns its result in all processes.

    Raises:
        Exception: what `action` raises in process 0, in all processes.
    """
    outcome = _outcome(action) if is_first() else (None, None)
    result, error = _exchange(outcome)[0]
    if error is not None:
        raise error
    return result


def agree(action: Callable[[], T]) -> T:
    """Runs `action` in all processes; returns its result here once all have succeeded.

    Raises:
        Exception: what `action` raises in the first process where it fails, in all
            processes.
    """
    result, error = _outcome(action)
    _raise_first(error)
    return cast(T, result)


def in_turn(action: Callable[[], T]) -> T:
    """Like `agree`, but process 0 comes first, and may take as long as it needs.

    The others then find what its `action` has left on a shared disk, such as a data set
    that it has downloaded.
    """
    outcome = _outcome(action) if is_first() else (None, None)
    _wait_for_all()
    _raise_first(outcome[1])
    if not is_first():
        outcome = _outcome(action)
    _wait_for_all()  # without a shared disk they may take as long
    _raise_first(outcome[1])
    return cast(T, outcome[0])


def first_true(value: T) -> T:
    """The first true value that a process has, in all processes; else their last."""
    found = _exchange(value)
    return next(filter(None, found), found[-1])


def abandon(status: int, message: str = "", *, patience: float = 0.0) -> None:
    """Ends a process that gives up while others may go on; alone, does nothing.

    An ordinary end would wait for the others, who may wait for this one.

    Args:
        status: exit status.
        message: goes to standard error.
        patience: seconds in which it may turn out that another process has gone first;
            then that is said instead.
    """
    if jax.distributed.is_initialized():
        watch.give_up(patience)
        print(message, file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(status)


def _outcome(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    """The result of `action`, or the error that it raises."""
    try:
        return action(), None
    except Exception as error:
        return None, error


def _raise_first(error: Exception | None) -> None:
    """Raises in all processes the error of the first that has one."""
    for found in _exchange(error):
        if found is not None:
            raise found


def _wait_for_all() -> None:
    """Waits until all processes are here, for days if need be.

    `_exchange` alone gives up after half a minute where CPUs communicate.
    """
    if not jax.distributed.is_initialized():
        return
    from orbax.checkpoint import multihost  # late: a single process never needs it

    wait = multihost.get_barrier_sync_fn()
    wait(key=f"ncjax {next(_BARRIERS)}", timeout_ms=_PATIENCE)


def _exchange(value: Any) -> list[Any]:
    """The values of all processes, in the order of the processes."""
    if not jax.distributed.is_initialized():
        return [value]
    # Late: it loads much that a single process never needs.
    from jax.experimental import multihost_utils

    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.array(len(data)))
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(data)] = data
    rows = multihost_utils.process_allgather(padded)
    return [pickle.loads(row[:n].tobytes()) for row, n in zip(rows, sizes)]
