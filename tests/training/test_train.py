"""Whole runs: collapse, exact continuation, devices, what is written, bad input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, DataError, TrainingError, WorkdirError
from ncjax.cli.train import parse
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.runs.frames import read_frames
from ncjax.runs.workdir import Workdir
from ncjax.training import plan
from ncjax.training.experiment import Experiment
from ncjax.training.plan import measured_epochs, saved_epochs

ONE = jax.devices()[:1]


def small(epochs=4):
    config = default()
    config.num_epochs = epochs
    config.model.widths = (16, 8)
    config.data.examples_per_class = 30
    config.data.test_examples_per_class = 10
    config.batch_size = 64
    config.checkpoint.every_epochs = 2
    config.checkpoint.max_share = 1.0
    config.hierarchy.name = "none"  # compiles in half the time
    config.eval.movie = True
    return config


def run(config, workdir=None, **kwargs):
    return ncjax.train(config, workdir, devices=ONE, progress=False, **kwargs)


def rows_of(workdir: Path):
    return [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]


def test_digits_collapse():
    """The promise of the default config."""
    from tests.config.test_config import load

    config = load(Path(__file__).parents[2] / "configs" / "digits.py")
    config.eval.num_points = 6
    config.hierarchy.name = "none"
    history = run(config)
    first, last = history.rows[0], history.rows[-1]
    assert last["train/error"] == 0
    assert last["nc/nc1"] <= 1e-3
    assert last["nc/nc2"] <= 0.1
    assert last["nc/nc3"] <= 0.1
    assert last["nc/nc4"] == 0
    assert last["test/error"] < 0.025
    for name in ("nc/nc1", "nc/nc2", "nc/nc3"):
        assert last[name] < first[name] / 5
    assert 1 < history.terminal_epoch <= 100
    assert 0 < last["nc/nc1_floor"] < last["nc/nc1"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of four epochs, each measured, that the others are compared with."""
    return run(small(), tmp_path_factory.mktemp("whole") / "run")


def test_what_a_run_leaves(whole):
    history, folder = whole, whole.workdir
    assert folder.name == "run"
    names = {p.name.split(".")[0] for p in folder.iterdir()}
    written = {"config", "metrics", "events", "classes", "collapse", "report"}
    assert names == written | {"checkpoints", "movie"}
    config = json.loads((folder / "config.json").read_text())
    assert config["model"] == {"name": "mlp", "widths": [16, 8], "batch_norm": True}
    rows = rows_of(folder)
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1].keys() == history.rows[-1].keys()
    for name, value in rows[-1].items():
        np.testing.assert_allclose(
            np.array(value, float), history.rows[-1][name], err_msg=name
        )
    assert (folder / "collapse.png").read_bytes()[:4] == b"\x89PNG"
    kept = sorted(int(p.name) for p in (folder / "checkpoints").iterdir())
    assert kept == [2, 4]
    assert history["nc/nc1"].shape == (len(measured_epochs(small())),)
    with pytest.raises(
        KeyError, match=r"Unknown metric 'nc1'\. Did you mean 'nc/nc1'\?"
    ):
        history["nc1"]


def test_repeats_and_writes_nothing_without_a_workdir(whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    history = run(small())
    assert history.workdir is None
    assert list(tmp_path.iterdir()) == []
    assert history.rows == whole.rows


@pytest.mark.slow
def test_seeds_differ(whole):
    config = small()
    config.seed = 1
    assert run(config).rows[-1]["train/loss"] != whole.rows[-1]["train/loss"]


@pytest.mark.slow
def test_measuring_does_not_change_training(whole):
    config = small()
    config.eval.epochs = (4,)
    rare = run(config)
    assert len(rare["nc/nc1"]) == 1
    assert len(whole["nc/nc1"]) == 4
    assert rare.rows[-1] == whole.rows[-1]


@pytest.mark.slow
def test_one_and_eight_devices_give_the_same_curves(whole):
    eight = ncjax.train(small(), devices=jax.devices(), progress=False)
    for name in ("train/loss", "nc/nc1", "nc/nc2", "nc/nc3", "test/nc1", "test/loss"):
        assert len(whole[name]) == 4
        np.testing.assert_allclose(whole[name], eight[name], rtol=2e-4)


@pytest.mark.slow
def test_compiled_ahead_and_at_the_first_call_are_the_same_program():
    config = small(2)
    dataset = load_data(config)
    devices = jax.devices()[4:6]  # not those that JAX would choose
    lazy = Experiment(config, dataset, devices)
    ahead = Experiment(config, dataset, devices)
    ahead.compile(ahead.init())
    results = []
    for experiment in (lazy, ahead):
        state = experiment.init()
        for number in (1, 2):
            before = jax.tree.leaves(state)
            state, steps = experiment.epoch(state, number)
            assert all(leaf.is_deleted() for leaf in before)  # donated
        results.append((jax.device_get(steps), experiment.evaluate(state)))
    (steps, metrics), (steps_ahead, metrics_ahead) = results
    np.testing.assert_array_equal(steps["loss"], steps_ahead["loss"])
    assert metrics == metrics_ahead


@pytest.mark.slow
def test_streamed_and_buffered_measurement_agree():
    config = small(2)
    config.eval.layers = "all"
    buffered = run(config).rows[-1]
    config.eval.buffer_mb = 0
    config.eval.batch_size = 70
    streamed = run(config).rows[-1]
    assert buffered.keys() == streamed.keys()
    assert "layers/01_dense1/nc/nc1" in buffered
    for name, value in buffered.items():
        np.testing.assert_allclose(
            streamed[name], value, rtol=1e-3, atol=1e-5, err_msg=name
        )


@pytest.mark.slow  # in short: tests/runs/test_figures.py
def test_layers_are_plotted(tmp_path):
    config = small(2)
    config.eval.layers = "all"
    run(config, tmp_path / "run")
    assert (tmp_path / "run" / "layers.png").exists()


def test_continues_exactly_where_it_stopped(whole, tmp_path, monkeypatch, capsys):
    config = small()
    # Stop in epoch 3 of 4, after the checkpoint of epoch 2.
    write = Workdir.write

    def interrupted(self, row):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        write(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    # What a kill can leave behind: rows after the checkpoint, half a line, a frame.
    movie = (whole.workdir / "movie.jsonl").read_text().splitlines(keepends=True)
    with (tmp_path / "cut" / "movie.jsonl").open("a") as file:
        file.write(movie[2] + movie[3][:100])
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"epoch": 3, "running/loss": 1.0}) + '\n{"epoch": 4, "ru')
    with monkeypatch.context() as patch:
        patch.setattr(Workdir, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ncjax.train(config, tmp_path / "cut", devices=ONE)
    assert capsys.readouterr().err.startswith("Going on after epoch 2.\nCompiling")
    resumed = run(config, tmp_path / "cut")
    assert resumed.rows == whole.rows
    assert rows_of(tmp_path / "cut") == rows_of(whole.workdir)
    movies = [x / "movie.jsonl" for x in (tmp_path / "cut", whole.workdir)]
    assert movies[0].read_bytes() == movies[1].read_bytes()
    assert [frame.at for frame in read_frames(whole.workdir)] == [1, 2, 3, 4]
    made = json.loads((tmp_path / "cut" / "config.json").read_text())["about"]
    # The second try was stopped before it had anything to write.
    assert [later["from_epoch"] for later in made["continued"]] == [3]


def test_a_run_says_what_it_does(tmp_path, capsys):
    ncjax.train(small(2), tmp_path / "run", devices=ONE)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Compiling")
    assert lines[1].startswith("Compiled in ")
    files = f"Its files are in {tmp_path / 'run'}."
    assert re.fullmatch(rf"Finished 2 epochs in \d\d:\d\d\. {files}", lines[-1])
    ncjax.train(small(2), tmp_path / "run", devices=ONE)
    said = capsys.readouterr().err
    assert f"This run is finished, with 2 epochs: nothing is trained. {files}" in said


def test_a_finished_run_is_only_read_again(whole, monkeypatch):
    """No network is made, and no figure that is there is drawn again."""
    before = (whole.workdir / "metrics.jsonl").read_text()
    figure = whole.workdir / "collapse.png"
    drawn = figure.read_bytes()
    monkeypatch.delattr("ncjax.training.loop.Experiment")
    for there in (True, False):
        figure.write_text("kept") if there else figure.unlink()
        again = run(small(), whole.workdir)
        assert again.rows == whole.rows
        assert again.limit == whole.limit
        assert (whole.workdir / "metrics.jsonl").read_text() == before
        assert figure.read_bytes() == (b"kept" if there else drawn)


@pytest.mark.slow
def test_a_finished_run_with_a_damaged_checkpoint_is_not_taken_as_finished(
    whole, tmp_path, capsys
):
    folder = shutil.copytree(whole.workdir, tmp_path / "run")
    last = max(map(int, os.listdir(folder / "checkpoints")))
    arrays = (folder / "checkpoints" / str(last)).rglob("*")
    largest = max(filter(Path.is_file, arrays), key=lambda path: path.stat().st_size)
    largest.write_bytes(bytes(largest.stat().st_size))
    again = run(small(), folder)
    assert f"checkpoint-{last}-unreadable: the run goes on" in capsys.readouterr().err
    assert again.rows == whole.rows


@pytest.mark.slow  # tests/faults/driver.py kills many runs
def test_kill_and_continue(tmp_path):
    """SIGKILL, then the same command again: the numbers of a run never killed."""
    arguments = [
        "--config.num_epochs=60", "--config.checkpoint.every_epochs=5",
        "--config.checkpoint.max_share=1.0",
        "--config.model.widths=(32, 16)", "--config.hierarchy.name=none",
        "--config.data.examples_per_class=60", "--config.eval.num_points=6",
    ]  # fmt: skip
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    command = [sys.executable, "-m", "ncjax.main", *arguments, f"--workdir={cut}"]
    env = os.environ | {"JAX_PLATFORMS": "cpu"}
    with subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(cut.glob("checkpoints/10")):
            assert process.poll() is None, "ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    made = json.loads((cut / "config.json").read_text())["about"]
    assert " -m ncjax.main --config.num_epochs=60 " in made["command"]
    epochs = len((cut / "metrics.jsonl").read_text().splitlines())
    assert epochs < 60
    subprocess.run(command, env=env, check=True)
    run(parse(arguments)[0], whole)
    assert rows_of(cut) == rows_of(whole)


def test_another_config_on_a_used_workdir(whole):
    config = small()
    config.seed = 3
    before = {p: p.stat().st_mtime_ns for p in whole.workdir.iterdir()}
    with pytest.raises(WorkdirError, match=r"differ in seed \(0 there, 3 now\)"):
        run(config, whole.workdir)
    assert {p: p.stat().st_mtime_ns for p in whole.workdir.iterdir()} == before


def test_brackets_in_the_workdir_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(WorkdirError, match=r"takes for a pattern"):
        run(small(2), tmp_path / "sweep[lr=0.05]")
    assert list(tmp_path.iterdir()) == []


def test_foreign_and_unwritable_workdirs(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(WorkdirError, match="not empty and holds no run"):
        run(small(2), tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(WorkdirError, match="cannot be written"):
        run(small(2), tmp_path / "thesis.tex" / "run")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    with pytest.raises(WorkdirError, match="not readable as JSON"):
        run(small(2), tmp_path / "broken")


@pytest.mark.parametrize(
    ("field", "value", "error", "message"),
    [
        ("batch_size", 301, ConfigError, "larger than the training set of 300"),
        (
            "data.random_labels",
            1.5,
            ConfigError,
            r"random_labels must be in 0\.\.1, got 1\.5",
        ),
        ("data.long_tail", "cubic", ConfigError, "cubic"),
        ("data.classes", ("11",), DataError, "11"),
        ("data.examples_per_class", 10_000, DataError, "10000"),
        ("data.name", "arrays", DataError, r"no file: set config\.data\.path"),
    ],
)
def test_bad_data_options_write_nothing(tmp_path, field, value, error, message):
    config = small(2)
    section, _, name = field.rpartition(".")
    (config[section] if section else config)[name] = value
    with pytest.raises(error, match=message):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_batch_must_divide_over_the_devices():
    config = small(2)
    config.batch_size = 60
    with pytest.raises(ConfigError, match="60 cannot be divided evenly over 8 devices"):
        ncjax.train(config, devices=jax.devices(), progress=False)


def test_bfloat16_that_is_slow_or_not_there(monkeypatch, capsys):
    config = small()
    config.compute_dtype = "bfloat16"
    dataset = load_data(config)
    Experiment(config, dataset, ONE)
    assert "most likely no time" in capsys.readouterr().err
    assert plan._fast_bfloat16("gpu", "8.0")
    assert not plan._fast_bfloat16("gpu", "7.5")

    def refused(*_):
        raise jax.errors.JaxRuntimeError("UNIMPLEMENTED: no bf16 here.\nMore.")

    monkeypatch.setattr(plan, "_multiply", refused)
    with pytest.raises(
        ConfigError, match=r"UNIMPLEMENTED: no bf16 here\. Choose 'float"
    ):
        Experiment(config, dataset, ONE)


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, monkeypatch):
    # No measurement is compiled: the run does not come that far.
    monkeypatch.setattr(Experiment, "compile", lambda self, state: None)
    config = small(8)
    config.loss.name = "mse"
    config.model.batch_norm = False
    config.optimizer.learning_rate = 1e4
    with pytest.raises(TrainingError, match=r"epoch \d.*step \d+.*Try a lower"):
        run(config, tmp_path / "run")
    kept = list((tmp_path / "run").glob("checkpoints/*"))
    assert kept == []  # what is saved is finite


def test_measured_epochs_are_log_spaced():
    config = default()
    config.num_epochs = 350
    epochs = measured_epochs(config)
    assert epochs[:5] == [1, 2, 3, 4, 5]
    assert epochs[-1] == 350
    assert 30 <= len(epochs) <= 50
    ratios = np.diff(np.log(epochs[-10:]))
    assert np.ptp(ratios) < 0.02
    config.eval.epochs = (7, 3)
    assert measured_epochs(config) == [3, 7, 350]


def test_saved_epochs_end_with_the_last():
    config = default()
    config.num_epochs = 25
    assert saved_epochs(config) == {3, 6, 9, 12, 15, 18, 21, 24, 25}
    config.checkpoint.every_epochs = 10
    assert saved_epochs(config) == {10, 20, 25}


@pytest.mark.slow
def test_resnet_on_a_few_images_reaches_zero_error():
    config = default()
    config.data.name = "synthetic"
    config.data.dim = 64
    config.data.num_classes = 4
    config.data.train_size_per_class = 24
    config.data.test_size_per_class = 8
    config.model.name = "resnet18"
    config.model.width = 1 / 16
    config.num_epochs = 12
    config.batch_size = 32
    config.eval.epochs = (12,)
    history = run(config)
    assert history.rows[-1]["train/error"] == 0


@pytest.mark.slow
def test_long_tail_and_random_labels_train():
    config = small(2)
    config.data.long_tail = "exp"
    config.data.long_tail_ratio = 0.2
    config.data.random_labels = 0.5
    dataset = load_data(config)
    counts = np.bincount(dataset.train.labels, minlength=10)
    assert counts.sum() < 300
    experiment = Experiment(config, dataset, ONE)
    metrics = experiment.evaluate(experiment.init())
    assert np.isfinite(metrics["nc/nc1"])
