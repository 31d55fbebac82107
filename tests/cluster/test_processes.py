"""Several processes that are one run: launched, in agreement, and after a death."""

import runpy
import signal
import sys
import time

import jax
import pytest

import ncjax
from ncjax import cluster
from tests.cluster.programs import LAUNCH, ROOT, program, rows_of, run, start


def test_a_single_process_agrees_with_itself():
    assert cluster.is_first()
    for together in (cluster.from_first, cluster.agree, cluster.in_turn):
        assert together(lambda: 3) == 3
        with pytest.raises(ZeroDivisionError):
            together(lambda: 1 / 0)
    assert [cluster.first_true(value) for value in (0, 3)] == [0, 3]
    assert cluster.abandon(7) is None


def test_devices_that_are_not_there():
    result = run(sys.executable, "-m", "ncjax.main", JAX_PLATFORMS="cuda")
    assert result.returncode == 2
    assert "\nerror: JAX cannot use the devices asked for (JAX_" in result.stderr
    assert result.stderr.count("\n") == 2


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
print("true", cluster.first_true(jax.process_index()))
"""


@pytest.mark.slow
def test_an_error_in_one_process_is_raised_in_all(address):
    for i, process in enumerate(start(2, address, "-c", AGREE)):
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        for line in ("error of process 1", "from 0", f"own {i}", "true 1"):
            assert line in said


def begin(config, folder, address):
    """Two processes that have trained three epochs of a run of forty."""
    text = config.read_text().replace("num_epochs = 3", "num_epochs = 40")
    config.write_text(text.replace("epochs = (1, 2, 3)", "epochs = (1, 40)"))
    arguments = (f"--config={config}", f"--workdir={folder}")
    processes = start(2, address, "-m", "ncjax.main", *arguments)
    deadline = time.monotonic() + 200
    while not (folder / "checkpoints" / "3").is_dir():
        assert time.monotonic() < deadline
        assert [process.poll() for process in processes] == [None, None]
        time.sleep(0.01)
    return processes


def go_on(config, folder):
    """One process alone goes on with the run, and keeps the rows that it has."""
    rows = rows_of(folder)
    assert 3 <= len(rows) < 40
    settings = runpy.run_path(str(config))["get_config"]()
    ncjax.train(settings, folder, devices=jax.devices()[:1], progress=False)
    resumed = rows_of(folder)
    assert [row["epoch"] for row in resumed] == list(range(1, 41))
    assert resumed[:3] == rows[:3]


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_dies_ends_the_run(tmp_path, config, address, victim):
    """What was saved is whole; of process 1 the other says so in one paragraph.

    When process 0 is killed, JAX may be the first to notice.
    """
    processes = begin(config, tmp_path / "run", address)
    processes[victim].kill()
    _, said = processes[1 - victim].communicate(timeout=200)
    processes[victim].communicate()
    if victim == 1:
        assert processes[0].returncode == 1
        assert "\nerror: Process 1 on " in said
        assert said.partition("\nerror: Process 1 on ")[2].count("\n") == 1
        assert "Traceback" not in said
    else:
        assert processes[1].returncode in (1, -signal.SIGABRT), said
        assert "error: Process 0 at " in said or "the leader" in said
    go_on(config, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("told", [0, 1])
def test_a_signal_to_one_of_them_stops_all(tmp_path, config, address, told):
    processes = begin(config, tmp_path / "run", address)
    processes[told].send_signal(signal.SIGTERM)
    said = [process.communicate(timeout=200)[1] for process in processes]
    assert [process.returncode for process in processes] == [143, 143]
    last = rows_of(tmp_path / "run")[-1]["epoch"]
    assert f"Stopped after epoch {last}, which is saved. (SIGTERM)" in said[0]
    assert "is gone" not in "".join(said)
    assert said[1].count("\n") == 1  # process 0 speaks for both
    go_on(config, tmp_path / "run")
