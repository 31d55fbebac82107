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

from ncjax.cluster.rollcall import ADDRESS, COUNT, INDEX, TIMEOUT, ClusterError, Place

# The variables of a launcher with the number of all processes, that of this process,
# that of this process among those of its host, and one that is set only in processes
# that the launcher itself has started.
OMPI = "OMPI_COMM_WORLD"
LAUNCHERS = (
    (f"{OMPI}_SIZE", f"{OMPI}_RANK", f"{OMPI}_LOCAL_RANK", f"{OMPI}_RANK"),
    ("SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NODELIST"),
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
    for count, index, local, sign in LAUNCHERS:
        if COUNT not in env and sign in env and env.get(count, "1") != "1":
            return _read(count, index, local) if ADDRESS in env else _ask_jax()
    names = (ADDRESS, COUNT, INDEX)
    missing = [name for name in names if name not in env]
    if missing == [*names]:
        return None
    if missing:
        by_hand = [name for name in names if name in env]
        raise ClusterError(
            f"{' and '.join(by_hand)} set, {' and '.join(missing)} not set. Set all "
            f"three for one of several processes, {COUNT}=1 for a single one."
        )
    return _read(COUNT, INDEX)


def join_timeout() -> int:
    """Seconds to wait for the other processes."""
    return _number(TIMEOUT, "300")


def _ask_jax() -> Place | None:
    """The place that JAX finds in the environment, from all launchers that it knows.

    `jax.distributed.initialize()` looks there too, but connects at once, without a roll
    call.  The list is private in JAX: if it moves, only the roll call is lost.
    """
    try:
        from jax._src.clusters import ClusterEnv

        look = ClusterEnv.auto_detect_unset_distributed_params
    except (ImportError, AttributeError):
        return Place("", 0, 0, _local_devices())
    found: tuple = (None, None, None, None)
    reason: Exception | None = None
    try:
        found = look(None, None, None, _local_devices(), None, join_timeout())
    except Exception as error:  # whatever the metadata server of a cloud answers
        reason = error
    address, count, index, devices = found
    if address is None or count is None or index is None:
        raise ClusterError(
            "JAX cannot tell from the environment where process 0 of this run is"
            f"{f' ({reason})' if reason else ''}. Set {ADDRESS}=HOST:PORT on all "
            f"processes, and {COUNT} and {INDEX} if no launcher gives them; or "
            f"{COUNT}=1 if each shall run for itself."
        ) from reason
    return Place(address, count, index, devices) if count > 1 else None


def _read(count: str, index: str, local: str = "") -> Place:
    """The place that the variables of these names give.

    Where a launcher sets `local`, each process takes one GPU, as in JAX.
    """
    address = os.environ[ADDRESS]
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
