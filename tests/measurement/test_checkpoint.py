"""`ncjax measure --checkpoint` gives the numbers that a run of many seeds logged."""

import dataclasses
import json

import jax
import numpy as np
import pytest

import ncjax
from ncjax.measurement.checkpoint import (
    CheckpointMeasurement,
    measure_checkpoint,
    split_epoch,
)
from tests.measurement.command import run
from tests.training.test_train import rows_of, small

RUNNING = {f"running/{x}" for x in ("loss", "error")}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two networks, measured at epochs 1 and 4, kept at epochs 2 and 4."""
    config = small()
    config.num_seeds, config.seed = 2, 5
    config.eval.epochs = (1, 4)
    path = tmp_path_factory.mktemp("runs") / "a@b"
    ncjax.train(config, path, progress=False)
    return path


@pytest.fixture(scope="module")
def measured(folder):
    return measure_checkpoint(folder)


def logged(folder):
    row = rows_of(folder)[-1]
    return {k: x for k, x in row.items() if not k.startswith("running/")}


def test_the_means_of_all_seeds_are_those_logged(folder, measured):
    assert measured.to_dict() == logged(folder) | {
        "measured": {"source": str(folder), "epoch": 4, "same_as_logged": True}
    }
    assert "nc/nc1/low" in measured.values
    assert "bit for bit" in str(measured)
    line = next(x for x in str(measured).splitlines() if x.startswith("nc/nc1 "))
    value, low, high = (measured.values[f"nc/nc1{x}"] for x in ("", "/low", "/high"))
    assert f"{value:.4g} [{low:.4g}, {high:.4g}]  spread within classes" in line


@pytest.mark.slow
def test_of_one_seed_on_the_command_line(folder, capsys, tmp_path):
    seed, out = folder / "seeds" / "6", tmp_path / "out.json"
    status, said, _ = run(["--checkpoint", f"{seed}@4", "--json", out], capsys)
    assert status == 0
    assert said.startswith(
        f"Epoch 4 of the run {seed}\n  The same numbers, bit for bit"
    )
    written = json.loads(out.read_text())
    assert written.pop("measured")["same_as_logged"]
    assert written.pop("about")["jax"] == jax.__version__
    assert written == logged(seed)
    assert written["nc/nc1"] != logged(folder)["nc/nc1"]


def test_an_epoch_that_was_not_measured(folder, capsys, tmp_path):
    out = tmp_path / "out.json"
    status, said, _ = run(["--checkpoint", f"{folder}@2", "--json", out], capsys)
    assert status == 0
    assert "did not measure after this epoch" in said
    found = json.loads(out.read_text())
    assert (found["epoch"], found["measured"]["same_as_logged"]) == (2, None)
    assert found["nc/nc1"] > 0


def test_differences_are_told(measured):
    assert measured.differences == {}
    other = measured.logged | {"nc/nc1": measured.logged["nc/nc1"] * 2}
    found = dataclasses.replace(measured, logged=other)
    assert list(found.differences) == ["nc/nc1"]
    said = " ".join(str(found).split())
    number = len(measured.values) - 1  # but for the epoch
    assert f"warning: 1 of {number} numbers are not those that the run logged" in said
    assert "the largest relative difference is 0.5." in said
    assert not found.to_dict()["measured"]["same_as_logged"]
    nan = CheckpointMeasurement(
        measured.path, {"epoch": 1, "x": np.nan, "y": 1.0}, {"x": np.nan, "y": np.nan}
    )
    assert list(nan.differences) == ["y"]
    assert "difference is inf" in " ".join(str(nan).split())


def test_the_network_of_a_seed(folder, measured):
    with pytest.raises(ncjax.WorkdirError, match=r"seeds 5 to 6, and none was chosen"):
        ncjax.load(folder)
    both = [ncjax.load(folder, seed=seed) for seed in (5, 6)]
    for seed, loaded in zip((5, 6), both):
        row = logged(folder / "seeds" / str(seed))
        logits, _ = loaded(loaded.dataset.test.images)
        error = np.mean(np.asarray(logits).argmax(1) != loaded.dataset.test.labels)
        assert error == pytest.approx(row["test/error"], abs=1e-7)
        assert loaded.history["nc/nc1"][-1] == row["nc/nc1"]
    assert not np.array_equal(*(loaded.classifier[0] for loaded in both))


def test_the_epoch_is_what_follows_the_last_at(folder):
    assert split_epoch("runs/x@30") == ("runs/x", "30")
    assert split_epoch("runs/x") == ("runs/x", None)
    assert split_epoch(str(folder)) == (str(folder), None)
    assert split_epoch(f"{folder}@4") == (str(folder), "4")


def test_bad_input(folder, capsys, tmp_path):
    for arguments, said in [
        (
            [f"--checkpoint={folder}@3"],
            "keeps no checkpoint of epoch 3. It keeps those",
        ),
        ([f"--checkpoint={folder}@last"], "must be a number, got 'last'"),
        ([f"--checkpoint={tmp_path}"], "is not the folder of a run"),
        ([f"--checkpoint={folder}", "x.npy"], "FEATURES cannot be given with it"),
        ([f"--checkpoint={folder}", "--pool=mean"], "--pool cannot be given with it"),
        ([], "Nothing to measure: give FEATURES"),
    ]:
        status, out, error = run(arguments, capsys)
        assert (status, out, error.count("\n")) == (2, "", 1)
        assert said in error
