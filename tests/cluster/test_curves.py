"""The same curves on any number of devices and processes."""

import runpy

import jax
import pytest

import ncjax
from tests.cluster.programs import (
    LAUNCH,
    assert_same_curves,
    keep_checkpoints,
    rows_of,
    run,
)


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
    if model == "mlp":  # tests/training/test_train.py has it on eight
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


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3], ids="{} seeds".format)
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
