"""Several processes that are one run: how they find each other and agree.

JAX runs one process a host, or one a GPU.  `join` makes a process one of them when the
environment says that there are more: SLURM, Open MPI, or, by hand,

    JAX_COORDINATOR_ADDRESS  HOST:PORT of process 0, which all can reach
    JAX_NUM_PROCESSES        their number; "auto" asks `jax.distributed` (TPU pods)
    JAX_PROCESS_ID           0, 1, ...
    NCJAX_JOIN_TIMEOUT       seconds to wait for the others, by default 300

All processes run the same program.  What only one of them can know, `from_first` and
`agree` tell the others, errors too: no process waits for one that has given up.
"""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any, TypeVar, cast

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Sharding

from ncjax.cluster.rollcall import (
    ADDRESS,
    COUNT,
    INDEX,
    TIMEOUT,
    ClusterError,
    Place,
    roll_call,
)

T = TypeVar("T")

# The variables of a launcher with the number of processes, that of this one, that of
# this one on its host, and one that is set only in what the launcher has started.
_OMPI = "OMPI_COMM_WORLD"
_LAUNCHERS = (
    (f"{_OMPI}_SIZE", f"{_OMPI}_RANK", f"{_OMPI}_LOCAL_RANK", f"{_OMPI}_RANK"),
    ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST"),
)


def join() -> None:
    """Waits for the other processes of the run, if there are any.

    Call it before anything touches a device.

    Raises:
        ClusterError: if the environment is incomplete, or processes are missing.
    """
    place = find()
    if place is None:
        return
    timeout = _timeout()
    # JAX itself ends a process by SIGABRT when others are missing, with a stack trace
    # that names none of them.
    roll_call(place, timeout)
    # Its preemption service would swallow SIGTERM, for a notice that nobody reads.
    jax.config.update("jax_enable_preemption_service", False)
    jax.distributed.initialize(
        place.address,
        place.count,
        place.index,
        local_device_ids=place.devices,
        cluster_detection_method="deactivate",  # `find` did that
        initialization_timeout=timeout,
    )


def check_devices() -> None:
    """Starts the devices.

    Raises:
        ClusterError: if JAX finds none of the wanted kind.
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


def find() -> Place | None:
    """Reads from the environment where this process stands; None if it is alone.

    Raises:
        ClusterError: if what is set is incomplete or contradicts itself.
    """
    env = os.environ
    if env.get(COUNT) == "1":
        return None
    if env.get(COUNT) == "auto":
        return _detect()
    by_hand = [name for name in (ADDRESS, COUNT, INDEX) if name in env]
    for count, index, local, sign in _LAUNCHERS:
        if sign in env and env.get(count, "1") != "1" and COUNT not in env:
            if ADDRESS not in env:
                return _detect()
            return _checked(env[ADDRESS], count, index, local)
    if not by_hand:
        return None
    if missing := [n for n in (ADDRESS, COUNT, INDEX) if n not in env]:
        raise ClusterError(
            f"{' and '.join(by_hand)} set, {' and '.join(missing)} not set. Set all "
            f"three for one of several processes, {COUNT}=1 for a single one."
        )
    return _checked(env[ADDRESS], COUNT, INDEX)


def _detect() -> Place | None:
    """What JAX finds out by itself, from all launchers that it knows."""
    # Private, but the only list of what JAX can find; so in jax 0.10 and in 0.12.
    from jax._src.clusters import ClusterEnv

    known: tuple = (None, None, None, None)
    reason: Exception | None = None
    try:
        known = ClusterEnv.auto_detect_unset_distributed_params(
            None, None, None, _local_devices(), None, _timeout()
        )
    except Exception as error:  # whatever a cloud's metadata server answers
        reason = error
    address, count, index, devices = known
    if address is None or count is None or index is None:
        raise ClusterError(
            "JAX cannot tell from the environment where process 0 of this run is"
            f"{f' ({reason})' if reason else ''}. Set {ADDRESS}=HOST:PORT on all "
            f"processes, and {COUNT} and {INDEX} if no launcher gives them; or "
            f"{COUNT}=1 if each shall run for itself."
        ) from reason
    return Place(address, count, index, devices) if count > 1 else None


def _checked(address: str, count: str, index: str, local: str = "") -> Place:
    """A place from the variables of these names.

    Where a launcher numbers the processes of a host each takes one GPU, as in JAX.
    """
    if not re.fullmatch(r".+:\d+", address):
        raise ClusterError(f"{ADDRESS} must be HOST:PORT, got {address!r}.")
    devices = _local_devices() or ([_number(local)] if local else None)
    place = Place(address, _number(count), _number(index), devices)
    if not 0 <= place.index < place.count:
        raise ClusterError(
            f"{index} must be between 0 and {count} - 1 = {place.count - 1}, got "
            f"{place.index}."
        )
    return place


def _number(name: str, default: str = "") -> int:
    value = os.environ.get(name, default)
    if not value.isdecimal():
        raise ClusterError(f"{name} must be a whole number, got {value!r}.")
    return int(value)


def _timeout() -> int:
    return _number(TIMEOUT, "300")


def _local_devices() -> list[int] | None:
    listed = os.environ.get("JAX_LOCAL_DEVICE_IDS")
    return [int(i) for i in listed.split(",")] if listed else None


def from_first(action: Callable[[], T]) -> T:
    """What `action` returns in process 0, the only one to run it.

    Raises:
        What it raises there, in all processes.
    """
    if not jax.distributed.is_initialized():
        return action()
    outcome = _outcome(action) if is_first() else (None, None)
    result, error = _exchange(outcome)[0]
    if error is not None:
        raise error
    return result


def agree(action: Callable[[], T]) -> T:
    """What `action` returns here, once it has succeeded in all processes.

    Raises:
        What it raises in the first process where it fails, in all processes.
    """
    if not jax.distributed.is_initialized():
        return action()
    result, error = _outcome(action)
    for other in _exchange(error):
        if other is not None:
            raise other
    return cast(T, result)


def _outcome(action: Callable[[], T]) -> tuple[T | None, Exception | None]:
    try:
        return action(), None
    except Exception as error:
        return None, error


def _exchange(value: Any) -> list[Any]:
    """The values of all processes, in their order."""
    data = np.frombuffer(pickle.dumps(value), np.uint8)
    sizes = multihost_utils.process_allgather(np.array(len(data)))
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: len(data)] = data
    rows = multihost_utils.process_allgather(padded)
    return [pickle.loads(row[:n].tobytes()) for row, n in zip(rows, sizes)]


def put(array: np.ndarray, sharding: Sharding) -> jax.Array:
    """An array that all processes have, on their devices as `sharding` says.

    Unlike `jax.device_put` it does not compare the whole array between processes.
    """
    return jax.make_array_from_callback(array.shape, sharding, lambda i: array[i])


def abandon(status: int, message: str = "") -> None:
    """Ends a process that gives up while others may go on; alone, does nothing.

    An ordinary end would wait for the others, who may wait for this one.
    """
    if jax.distributed.is_initialized():
        print(message, file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(status)
