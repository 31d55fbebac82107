"""Where this process stands among all processes of a run, read from the environment.

JAX runs one process on each host, or one for each GPU.  SLURM and Open MPI tell a
process where it stands.  By hand these variables do:

    JAX_COORDINATOR_ADDRESS  HOST:PORT of process 0, which all processes can reach
    JAX_NUM_PROCESSES        number of processes; "auto" asks JAX (TPU pods)
    JAX_PROCESS_ID           number of this process: 0, 1, ...
    NCJAX_JOIN_TIMEOUT       seconds to wait for the other processes, by default 300
"""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ncjax.cluster.rollcall import ADDRESS, COUNT, INDEX, TIMEOUT, ClusterError, Place


class Launcher(NamedTuple):
    """Names of the variables that a launcher sets for the processes it starts."""

    count: str  # number of all processes
    index: str  # number of this process
    local: str  # number of this process among those of its host
    sign: str  # set only in processes that the launcher itself has started


LAUNCHERS = (
    Launcher(
        count="OMPI_COMM_WORLD_SIZE",
        index="OMPI_COMM_WORLD_RANK",
        local="OMPI_COMM_WORLD_LOCAL_RANK",
        sign="OMPI_COMM_WORLD_RANK",
    ),
    Launcher(
        count="SLURM_NTASKS",
        index="SLURM_PROCID",
        local="SLURM_LOCALID",
        sign="SLURM_STEP_NODELIST",
    ),
)


def find() -> Place | None:
    """The place of this process; None if it runs alone.

    Raises:
        ClusterError: if the variables are incomplete or contradict each other.
    """
    env = os.environ
    if env.get(COUNT) == "1":
        return None
    if env.get(COUNT) == "auto":
        return _ask_jax()
    by_hand = [name for name in (ADDRESS, COUNT, INDEX) if name in env]
    for launcher in LAUNCHERS:
        started = launcher.sign in env and env.get(launcher.count, "1") != "1"
        if started and COUNT not in env:
            if ADDRESS not in env:
                return _ask_jax()
            return _checked(
                env[ADDRESS], launcher.count, launcher.index, launcher.local
            )
    if not by_hand:
        return None
    if missing := [n for n in (ADDRESS, COUNT, INDEX) if n not in env]:
        raise ClusterError(
            f"{' and '.join(by_hand)} set, {' and '.join(missing)} not set. Set all "
            f"three for one of several processes, {COUNT}=1 for a single one."
        )
    return _checked(env[ADDRESS], COUNT, INDEX)


def join_timeout() -> int:
    """Seconds to wait for the other processes."""
    return _number(TIMEOUT, "300")


def _ask_jax() -> Place | None:
    """The place that JAX finds in the environment, from all launchers that it knows.

    `jax.distributed.initialize()` looks there too, but it connects at once: without the
    address of process 0 there could be no roll call before.  The list of launchers is
    private in JAX.  If a later version moves it, JAX finds the place while it connects,
    and only the roll call is lost.
    """
    try:
        from jax._src.clusters import ClusterEnv

        look = ClusterEnv.auto_detect_unset_distributed_params
    except (ImportError, AttributeError):
        return Place("", 0, 0, _local_devices())
    known: tuple = (None, None, None, None)
    reason: Exception | None = None
    try:
        known = look(None, None, None, _local_devices(), None, join_timeout())
    except Exception as error:  # whatever the metadata server of a cloud answers
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
    """The place that some variables give.

    Args:
        address: HOST:PORT of process 0.
        count: name of the variable with the number of processes.
        index: name of the variable with the number of this process.
        local: name of the variable with the number of this process on its host; where a
            launcher sets it, each process takes one GPU, as in JAX.

    Raises:
        ClusterError: if a value is not what it should be.
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
    """The whole number in the variable `name`."""
    value = os.environ.get(name, default)
    if not value.isdecimal():
        raise ClusterError(f"{name} must be a whole number, got {value!r}.")
    return int(value)


def _local_devices() -> list[int] | None:
    """The devices of this host that this process may use; None: all of them."""
    listed = os.environ.get("JAX_LOCAL_DEVICE_IDS")
    return [int(i) for i in listed.split(",")] if listed else None
