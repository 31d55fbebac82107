"""Where a process stands, read from the variables that launchers set."""

import os
import sys

import pytest

from ncjax.cluster.launchers import find
from ncjax.cluster.rollcall import ClusterError

BY_HAND = {
    "JAX_COORDINATOR_ADDRESS": "host:1234",
    "JAX_NUM_PROCESSES": "4",
    "JAX_PROCESS_ID": "2",
}
SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NODELIST": "node[07-09],big1",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
}


@pytest.fixture
def environment(monkeypatch):
    """Sets exactly these variables of launchers."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "OMPI_", *BY_HAND, "NCJAX_", "JAX_LOCAL")):
            monkeypatch.delenv(name)

    def put(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return put


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({}, None),
        (BY_HAND, ("host:1234", 4, 2, None)),
        (BY_HAND | {"JAX_LOCAL_DEVICE_IDS": "0,3"}, ("host:1234", 4, 2, [0, 3])),
        (BY_HAND | {"JAX_NUM_PROCESSES": "1"}, None),
        # 61440 = 65535 - 2^12 + 1, and the job's number modulo 2^12.
        (SLURM, ("node07:61441", 8, 5, [1])),
        (SLURM | {"JAX_COORDINATOR_PORT": "99"}, ("node07:99", 8, 5, [1])),
        (SLURM | {"SLURM_NTASKS": "1"}, None),
        (SLURM | {"JAX_NUM_PROCESSES": "1"}, None),  # each for itself
        ({k: v for k, v in SLURM.items() if "STEP" not in k}, None),  # without srun
        (
            OPEN_MPI | {"JAX_COORDINATOR_ADDRESS": "[::1]:1234"},
            ("[::1]:1234", 4, 3, [1]),
        ),
        (
            OPEN_MPI | {"OMPI_MCA_orte_hnp_uri": "8192.0;tcp://10.1.2.3,10.4.5.6:3"},
            ("10.1.2.3:61442", 4, 3, [1]),
        ),
    ],
)
def test_a_place_is_found_in_the_environment(environment, variables, place):
    environment(variables)
    assert find() == place


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"JAX_PROCESS_ID": "0", "JAX_NUM_PROCESSES": "2"},
            "JAX_NUM_PROCESSES and JAX_PROCESS_ID set, JAX_COORDINATOR_ADDRESS not set",
        ),
        (BY_HAND | {"JAX_PROCESS_ID": "4"}, "JAX_PROCESS_ID must be between 0 and"),
        (BY_HAND | {"JAX_PROCESS_ID": "-1"}, "must be a whole number, got '-1'"),
        (BY_HAND | {"JAX_NUM_PROCESSES": "two"}, "must be a whole number, got 'two'"),
        (
            BY_HAND | {"JAX_COORDINATOR_ADDRESS": "host"},
            "must be HOST:PORT, got 'host'",
        ),
        (OPEN_MPI, "JAX cannot tell .* Set JAX_COORDINATOR_ADDRESS=HOST:PORT"),
        ({"JAX_NUM_PROCESSES": "auto"}, "JAX cannot tell"),
    ],
)
def test_an_environment_that_is_not_complete(environment, variables, message):
    environment(variables)
    with pytest.raises(ClusterError, match=message):
        find()


def test_a_jax_without_its_private_list_still_finds_the_others(
    environment, monkeypatch
):
    """Then JAX looks while it connects, and there is no roll call."""
    environment(SLURM)
    monkeypatch.setitem(sys.modules, "jax._src.clusters", None)
    assert find() == ("", 0, 0, None)
