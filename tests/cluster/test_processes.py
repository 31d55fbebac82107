"""Several processes: who belongs to the run, and the same curves on any devices."""

import json
import os
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import pytest

import ncjax
from ncjax import cluster, models
from ncjax.cluster import find
from ncjax.cluster.rollcall import ClusterError, Place, roll_call

ROOT = Path(__file__).parent.parent
LAUNCH = ROOT / "launch"
# A ResNet that compiles in seconds, and an MLP that takes less; both with BatchNorm.
CONFIG = """\
import jax.numpy as jnp

from ncjax.config import default
from ncjax.models import MODELS
from ncjax.models.resnet import ResNet


def resnet_tiny(outputs, *, dtype=jnp.float32):
    return ResNet(outputs, blocks=(1, 1), width=8, dtype=dtype)


MODELS["resnet_tiny"] = resnet_tiny


def get_config(preset="mlp"):
    config = default()
    config.data.name = "synthetic"
    config.data.dim = 64
    config.data.num_classes = 4
    config.data.train_size_per_class = 24
    config.data.test_size_per_class = 8
    config.model.name = preset
    if preset == "mlp":
        config.model.widths = (32, 32)
        config.hierarchy.name = "none"
    config.num_epochs = 3
    config.batch_size = 32
    config.eval.epochs = (1, 2, 3)
    config.checkpoint.every_epochs = 1
    config.checkpoint.keep = 3
    return config
"""
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


def call(places, timeout=1.0):
    """`roll_call` of all at once: the message of each, "" where all came."""
    messages = [None] * len(places)

    def run(i, place):
        try:
            messages[i] = roll_call(place, timeout) or ""
        except ClusterError as error:
            messages[i] = str(error)

    threads = [threading.Thread(target=run, args=p) for p in enumerate(places)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return messages


@pytest.fixture
def address():
    with socket.create_server(("", 0)) as server:
        port = server.getsockname()[1]
    return f"localhost:{port}"


def test_roll_call_of_all(address):
    assert (
        call([Place(address, 3, i, None) for i in (2, 0, 1)], timeout=30.0) == [""] * 3
    )


def test_roll_call_names_the_missing_to_all_that_came(address):
    first, third = call([Place(address, 4, i, None) for i in (0, 2)])
    assert first == third
    assert f"2 of 4 processes came to {address} within 1 s (0 on " in first
    assert "missing: 1, 3." in first


def test_roll_call_without_process_0(address):
    (message,) = call([Place(address, 4, 3, None)])
    assert f"Process 3 of 4 found nobody at {address} within 1 s" in message


def test_roll_call_of_contradicting_processes(address):
    twice = call([Place(address, 3, i, None) for i in (0, 1, 1)], timeout=30.0)
    assert all("Two processes have the number 1" in m for m in twice)
    counts = call(
        [Place(address, n, i, None) for i, n in enumerate((2, 3))], timeout=30.0
    )
    assert counts[0] == counts[1]
    assert "was told of 3 processes, process 0 of 2" in counts[0]


def test_roll_call_on_a_port_in_use_and_among_strangers(address):
    port = int(address.split(":")[1])
    with socket.create_server(("", port)):
        (message,) = call([Place(address, 2, 0, None)])
    assert f"Process 0 cannot listen on port {port}" in message

    def stranger():
        for _ in range(100):
            try:
                with socket.create_connection(("localhost", port), 5) as peer:
                    return peer.sendall(b"GET / HTTP/1.1\n")
            except OSError:
                time.sleep(0.05)

    thread = threading.Thread(target=stranger)
    thread.start()
    places = [Place(address, 2, 0, None)]
    (message,) = call(places, timeout=2.0)
    thread.join()
    assert "missing: 1." in message


def test_a_single_process_agrees_with_itself():
    assert cluster.is_first()
    assert cluster.from_first(lambda: 3) == cluster.agree(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        cluster.agree(lambda: 1 / 0)
    assert cluster.abandon(7) is None


@pytest.fixture
def config(tmp_path, monkeypatch):
    """File of the small ResNet, which then is in the registry here too."""
    path = tmp_path / "small_resnet.py"
    path.write_text(CONFIG)
    monkeypatch.setitem(models.MODELS, "resnet_tiny", None)  # taken out at the end
    return path


def environ(**variables):
    """Of a program on CPUs, by this interpreter."""
    return os.environ | {"PYTHON": sys.executable, "JAX_PLATFORMS": "cpu"} | variables


def run(*command, **variables):
    """A program started in the repository, and what it left."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environ(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def program(path, text):
    """An executable file, found first by what is run with the PATH returned."""
    path.write_text("#!/usr/bin/env bash\n" + text)
    path.chmod(0o755)
    return f"{path.parent}:{os.environ['PATH']}"


def rows_of(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def assert_same_curves(a, b):
    """All that was measured, to 1e-5.

    Of two superclasses NC2 is 0 but for rounding.
    """
    assert [row["epoch"] for row in a] == [row["epoch"] for row in b] == [1, 2, 3]
    for one, other in zip(a, b):
        assert one.keys() == other.keys()
        for name, value in one.items():
            rounding = 1e-6 if name == "tree/level1/nc2" else 0
            same = pytest.approx(value, rel=1e-5, abs=rounding)
            assert other[name] == same, (name, one["epoch"])


def keep_checkpoints(folder, last):
    """As if the run had been killed after this one."""
    for path in (folder / "checkpoints").iterdir():
        if int(path.name) > last:
            shutil.rmtree(path)


@pytest.mark.parametrize(
    "model", ["mlp", pytest.param("resnet_tiny", marks=pytest.mark.slow)]
)
def test_one_device_eight_and_two_processes(tmp_path, config, model):
    """The same curves, and a run that goes on from each of them on another."""
    two = tmp_path / "two"
    arguments = (f"--config={config}:{model}", f"--workdir={two}")
    result = run(LAUNCH / "local_multiprocess.sh", "2", *arguments, DEVICES="2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Written to") == 1
    assert result.stderr.count("Compiled in") == 1
    assert "for 2 processes with 2 devices each" in result.stderr
    assert (two / "collapse.png").is_file()

    settings = runpy.run_path(str(config))["get_config"](model)
    kinds = {"one": jax.devices()[:1], "eight": jax.devices()}
    if model == "mlp":  # tests/test_train.py has it on eight
        del kinds["eight"]
    for name, devices in kinds.items():
        ncjax.train(settings, tmp_path / name, devices=devices, progress=False)
        assert_same_curves(rows_of(two), rows_of(tmp_path / name))

    # Epoch 1 in two processes, 2 on one device, 3 on eight.
    whole = rows_of(two)
    for last, devices in enumerate(kinds.values(), start=1):
        before = rows_of(two)[:last]
        keep_checkpoints(two, last)
        ncjax.train(settings, two, devices=devices, progress=False)
        assert rows_of(two)[:last] == before
        assert_same_curves(rows_of(two), whole)


@pytest.mark.parametrize(
    "count", [2, pytest.param(3, marks=pytest.mark.slow)], ids="{} seeds".format
)
def test_many_seeds_in_two_processes(tmp_path, config, count):
    """Two train a seed in each process; three have their batches in both.

    The same curves as on one device, where the run goes on after epoch 1.
    """
    two, one = tmp_path / "two", tmp_path / "one"
    arguments = (f"--config={config}", f"--config.num_seeds={count}")
    script = LAUNCH / "local_multiprocess.sh"
    result = run(script, "2", *arguments, f"--workdir={two}", DEVICES="2")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(f"mean of {count} seeds") == 1

    settings = runpy.run_path(str(config))["get_config"]()
    settings.num_seeds = count
    ncjax.train(settings, one, devices=jax.devices()[:1], progress=False)
    seeds = [f"seeds/{seed}" for seed in range(count)]
    for seed in seeds:
        assert_same_curves(rows_of(two / seed), rows_of(one / seed))
        assert len(list((two / seed).glob("events.*"))) == 1
    whole = rows_of(two)
    assert [row["epoch"] for row in whole] == [1, 2, 3]
    assert whole[-1]["nc/nc1"] == pytest.approx(rows_of(one)[-1]["nc/nc1"], rel=1e-5)

    keep_checkpoints(two, 1)
    ncjax.train(settings, two, devices=jax.devices()[:1], progress=False)
    assert rows_of(two)[0] == whole[0]
    for seed in seeds:
        assert_same_curves(rows_of(two / seed), rows_of(one / seed))


def test_devices_that_are_not_there():
    result = run(sys.executable, "-m", "ncjax.main", JAX_PLATFORMS="cuda")
    assert result.returncode == 2
    assert result.stderr.startswith("error: JAX cannot use the devices asked for (JAX_")
    assert result.stderr.count("\n") == 1


def test_a_batch_that_does_not_divide_over_the_processes(config, monkeypatch):
    settings = runpy.run_path(str(config))["get_config"]()
    settings.batch_size = 60
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    message = r"batch_size = 60 .* 8 devices \(2 processes with 4 each\)\. Choose a mul"
    with pytest.raises(ncjax.ConfigError, match=message):
        ncjax.train(settings, progress=False)


# What srun does for two tasks on one node, as far as JAX looks.
SRUN = """\
echo "$@" > "$ARGUMENTS"
[[ $1 == --* ]] && shift
export SLURM_JOB_ID=7 SLURM_STEP_NODELIST=localhost SLURM_NTASKS=2
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" &
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" || status=$?
wait $! || status=$?
exit ${status:-0}
"""


def test_slurm_and_an_error_that_only_process_0_can_see(tmp_path, config, address):
    """Both processes end with its message, said once."""
    (tmp_path / "thesis.tex").write_text("precious")
    path = program(tmp_path / "srun", SRUN)
    result = run(
        "bash",
        LAUNCH / "slurm.sbatch",
        f"--config={config}",
        f"--workdir={tmp_path}",
        PATH=path,
        ARGUMENTS=str(tmp_path / "arguments"),
        JAX_COORDINATOR_PORT=address.split(":")[1],
    )
    assert result.returncode == 2
    assert result.stderr.count("is not empty and holds no run of ncjax") == 1
    assert "Traceback" not in result.stderr
    given = (tmp_path / "arguments").read_text()
    assert given.startswith(
        f"--kill-on-bad-exit=1 {sys.executable} -m ncjax.main --con"
    )


# What gcloud does on the two hosts of a slice; the rest is what makes JAX believe it.
GCLOUD = """\
echo "${@:1:7}" > "$ARGUMENTS"
export TPU_WORKER_HOSTNAMES=localhost,localhost JAX_FORCE_TPU_INIT=1
export MEGASCALE_COORDINATOR_ADDRESS=localhost MEGASCALE_NUM_SLICES=1
export MEGASCALE_SLICE_ID=0
TPU_WORKER_ID=1 bash -c "${8#--command=}" &
TPU_WORKER_ID=0 bash -c "${8#--command=}" || status=$?
wait $! || status=$?
exit ${status:-0}
"""


@pytest.mark.slow
def test_tpu_slice_and_a_bad_configuration(tmp_path, address):
    result = run(
        LAUNCH / "tpu_vm.sh",
        "slice",
        "zone-b",
        "--config.model.widths=(8, -8)",
        PATH=program(tmp_path / "gcloud", GCLOUD),
        ARGUMENTS=str(tmp_path / "arguments"),
        JAX_COORDINATOR_PORT=address.split(":")[1],
        FOLDER=str(ROOT),
    )
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("error: ") == 1
    assert "each at least 1" in result.stderr
    given = (tmp_path / "arguments").read_text()
    assert given == "compute tpus tpu-vm ssh slice --zone=zone-b --worker=all\n"


def start(count, address, *command):
    """The processes of a run on CPUs, started by hand."""
    variables = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count)}
    return [
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=environ(JAX_PROCESS_ID=str(i), **variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for i in range(count)
    ]


AGREE = """\
import jax
from ncjax import ConfigError, cluster

cluster.join()


def fail_in_one():
    if jax.process_index() == 1:
        raise ConfigError("of process 1")


try:
    cluster.agree(fail_in_one)
except ConfigError as error:
    print("error", error)
print("from", cluster.from_first(jax.process_index))
print("own", cluster.agree(jax.process_index))
"""


@pytest.mark.slow
def test_an_error_in_one_process_is_raised_in_all(address):
    for i, process in enumerate(start(2, address, "-c", AGREE)):
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        for line in ("error of process 1", "from 0", f"own {i}"):
            assert line in said


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_run(tmp_path, config, address, victim):
    """What was saved is whole, and one process alone goes on from it."""
    text = config.read_text().replace("num_epochs = 3", "num_epochs = 40")
    config.write_text(text.replace("epochs = (1, 2, 3)", "epochs = (1, 40)"))
    folder = tmp_path / "run"
    arguments = (f"--config={config}", f"--workdir={folder}")
    processes = start(2, address, "-m", "ncjax.main", *arguments)
    deadline = time.monotonic() + 200
    while not (folder / "checkpoints" / "3").is_dir():
        assert time.monotonic() < deadline
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.01)
    processes[victim].kill()
    _, said = processes[1 - victim].communicate(timeout=200)
    processes[victim].communicate()
    assert processes[1 - victim].returncode in (1, -signal.SIGABRT), said
    if processes[1 - victim].returncode == 1:
        assert "continues from the last checkpoint" in said
    rows = rows_of(folder)
    assert 3 <= len(rows) < 40
    settings = runpy.run_path(str(config))["get_config"]()
    ncjax.train(settings, folder, devices=jax.devices()[:1], progress=False)
    resumed = rows_of(folder)
    assert [row["epoch"] for row in resumed] == list(range(1, 41))
    assert resumed[:3] == rows[:3]
