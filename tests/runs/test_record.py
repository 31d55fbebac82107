"""A record turns rows of metrics into history, files and figures, without training."""

import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.runs.record import Record
from ncjax.runs.workdir import WorkdirError
from ncjax.training.step import TrainState
from tests.runs.events import scalars
from tests.runs.test_checkpoints import damage, files

NC = {f"{part}/{key}": 0.5 for key in ("nc1", "nc4") for part in ("nc", "test")}


def row(epoch, seed=0, **more):
    """A measured epoch, as `ncjax.train` writes it."""
    shrinking = 1.0 / (epoch + seed)
    return {
        "epoch": epoch,
        "running/loss": shrinking,
        "running/error": 0.0,
        "train/loss": shrinking,
        "test/loss": 2 * shrinking,
        "train/error": 0.0,
        "test/error": 0.1,
        **NC,
        "nc/nc1_floor": 1e-14,
        "nc/nc2": shrinking,
        "nc/nc3": shrinking,
        **more,
    }


def lines(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def test_without_a_workdir_it_keeps_the_history_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record = Record(None, {})
    assert record.restore("state") == (0, "state")
    assert record.add([row(1)]) == row(1)
    record.add([{"epoch": 2, "running/loss": 0.1, "running/error": 0.0}])
    record.save(2, {"w": np.ones(2)})
    record.close()
    record.draw()
    assert record.history.rows == [row(1)]  # epoch 2 was not measured
    assert record.latest == 0
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_its_files(tmp_path):
    folder = tmp_path / "run"
    record = Record(folder, {"seed": 3, "data": {"name": "toy"}})
    record.resume(0)
    for epoch in (1, 2):
        record.add([row(epoch, extra=np.nan)])
    record.close()
    record.draw()
    assert json.loads((folder / "config.json").read_text())["data"] == {"name": "toy"}
    assert [x["epoch"] for x in lines(folder)] == [1, 2]
    assert lines(folder)[0]["extra"] is None
    found = scalars(folder)
    assert found["nc/nc2"] == [(1, 1.0), (2, 0.5)]
    assert "extra" not in found
    assert (folder / "collapse.png").is_file()
    assert not (folder / "layers.png").exists()


def test_files_are_readable_by_whom_the_umask_allows(tmp_path):
    old = os.umask(0o027)
    try:
        seeds = {"seeds/4": {"seed": 4}, "seeds/5": {"seed": 5}}
        record = Record(tmp_path / "run", {"num_seeds": 2}, seeds)
        record.resume(0)
        record.add([row(1), row(1, 1)])
        record.save(1, state_of(1))
        record.close()
        record.draw()
    finally:
        os.umask(old)
    found = list((tmp_path / "run").rglob("*"))
    names = {path.name.partition(".")[0] for path in found}
    assert {"config", "metrics", "collapse", "events", "manifest"} < names
    for path in found:
        mode = 0o750 if path.is_dir() else 0o640
        assert path.stat().st_mode & 0o777 == mode, path


def test_layers_and_the_confusion_are_drawn_where_they_were_measured(tmp_path):
    record = Record(tmp_path / "run", {})
    record.resume(0)
    keys = ("nc/nc1", "nc/nc2", "nc/nc4", "train/ncc_accuracy")
    layers = {f"layers/01_stem/{key}": 0.5 for key in keys}
    record.add([row(1, **layers, **{"test/confusion": [[3.0, 1.0], [0.0, 4.0]]})])
    record.close()
    record.draw(("cat", "dog"))
    for name in ("collapse.png", "layers.png", "confusion.png"):
        assert (tmp_path / "run" / name).is_file(), name


def test_many_seeds_have_a_folder_each(tmp_path):
    seeds = {"seeds/4": {"seed": 4}, "seeds/5": {"seed": 5}}
    record = Record(tmp_path / "run", {"num_seeds": 2}, seeds)
    record.resume(0)
    mean = record.add([row(1, seed) for seed in (0, 1)])
    assert mean["train/loss/low"] < mean["train/loss"] < mean["train/loss/high"]
    own = [tmp_path / "run" / "seeds" / seed for seed in ("4", "5")]
    assert not (own[0] / "metrics.jsonl").exists()  # not before the next checkpoint
    record.flush()
    assert [lines(folder) for folder in own] == [[row(1)], [row(1, 1)]]
    record.close()
    assert [scalars(folder)["nc/nc2"] for folder in own] == [[(1, 1.0)], [(1, 0.5)]]
    assert [one.rows for one in record.history.seeds] == [[row(1)], [row(1, 1)]]
    assert lines(tmp_path / "run") == record.history.rows


def state_of(epoch):
    """A state of training that tells its epoch."""
    params = {"w": jnp.full(2, float(epoch))}
    return TrainState(jnp.int32(epoch), params, {}, {})


@pytest.mark.parametrize("count", [1, 2])
def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path, count):
    names = [f"seeds/{seed}" for seed in range(count)] if count > 1 else []
    seeds = {name: {"seed": place} for place, name in enumerate(names)}
    settings = {"num_seeds": count}, seeds, 1

    def rows(epoch):
        return [row(epoch, seed) for seed in range(count)]

    first = Record(tmp_path / "run", *settings)
    start, _ = first.restore(state_of(0))
    assert start == 0
    for epoch in (1, 2, 3):
        first.add(rows(epoch))
        if epoch < 3:
            first.save(epoch, state_of(epoch))
    first.close()  # as if it had been stopped before the checkpoint of epoch 3

    again = Record(tmp_path / "run", *settings)
    assert again.latest == 2
    start, state = again.restore(state_of(0))
    assert start == 2
    np.testing.assert_array_equal(state.params["w"], [2, 2])
    assert [x["epoch"] for x in again.history.rows] == [1, 2]
    assert [len(one.rows) for one in again.history.seeds] == [2] * len(seeds)
    again.add(rows(3))
    again.close()
    assert lines(tmp_path / "run") == first.history.rows
    for seed, name in enumerate(names):
        own = lines(tmp_path / "run" / name)
        assert own == first.history.seeds[seed].rows


def test_a_damaged_checkpoint_is_left_for_an_older_one(tmp_path, capsys):
    first = Record(tmp_path / "run", {}, keep=3)
    first.restore(state_of(0))
    for epoch in (1, 2, 3):
        first.add([row(epoch)])
        first.save(epoch, state_of(epoch))
    first.close()
    kept = tmp_path / "run" / "checkpoints"
    for number in (2, 3):
        damage(kept / str(number))
    before = files(kept / "3")
    again = Record(tmp_path / "run", {}, keep=3)
    start, state = again.restore(state_of(0))
    assert start == again.latest == 1
    np.testing.assert_array_equal(state.params["w"], [1, 1])
    assert again.history.rows == [row(1)]
    said = capsys.readouterr().err
    assert "of epoch 3, cannot be read" in said
    assert said.count("the run goes on from epoch 1") == 2
    away = tmp_path / "run" / "checkpoint-3-unreadable"
    assert f"It is now {away}:" in said
    assert files(away) == before  # nothing is lost
    assert not (kept / "3").exists()
    again.save(3, state_of(3))
    again.close()
    assert Record(tmp_path / "run", {}, keep=3).restore(state_of(0))[0] == 3

    for number in (1, 3):
        damage(kept / str(number))
    with pytest.raises(WorkdirError, match=r"of epoch 3, .*No older one.*--workdir"):
        Record(tmp_path / "run", {}, keep=3).restore(state_of(0))


def test_a_workdir_that_would_lose_its_checkpoints_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match=r"'\['.*takes for a pattern"):
        Record(tmp_path / "sweep[lr=0.05]", {})
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_has_the_keys_of_the_metrics(tmp_path):
    keys = ["test/ahd@1", "test/top5_error", "layers/01_stem/nc/nc1", "a b", "ä%"]
    record = Record(tmp_path / "run", {})
    record.resume(0)
    record.add([row(1, **dict.fromkeys(keys, 0.5))])
    record.close()
    found = scalars(tmp_path / "run")
    assert set(found) == {key for key in row(1) if key != "epoch"} | set(keys)
    assert found["test/ahd@1"] == [(1, 0.5)]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[1]", b"3", b"\0\0"])
def test_a_damaged_config_is_refused_and_left(tmp_path, content):
    Record(tmp_path / "run", {"seed": 1}, keep=0).close()
    path = tmp_path / "run" / "config.json"
    path.write_bytes(content)
    with pytest.raises(WorkdirError, match="is not readable as JSON"):
        Record(tmp_path / "run", {"seed": 1}, keep=0)
    assert path.read_bytes() == content
    assert list(path.parent.iterdir()) == [path]


def test_another_run_is_refused(tmp_path):
    Record(tmp_path / "run", {"seed": 1}).close()
    with pytest.raises(WorkdirError, match=r"seed \(1 there, 2 now\)"):
        Record(tmp_path / "run", {"seed": 2})
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(WorkdirError, match="is not empty and holds no run of ncjax"):
        Record(tmp_path, {"seed": 1})


@pytest.mark.parametrize("common", [{"seed": 1}, None])
def test_a_run_of_other_data_is_refused(tmp_path, common):
    """Also one of many networks, or of the networks of a sweep."""
    alone, folder = {"seeds/4": {"seed": 4}, "seeds/5": {"seed": 5}}, tmp_path / "run"
    then, now = ({"name": "toy", "train": {"labels": crc}} for crc in (1, 2))

    def files():
        return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}

    def made():
        marks = sorted(folder.rglob("config.json"))
        return [json.loads(path.read_text())["about"].get("data") for path in marks]

    Record(folder, common, alone, keep=0).close()  # as an older version made it
    with_data = Record(folder, common, alone, keep=0, data=then)
    with_data.resume(0)
    assert set(map(str, made())) == {"None"}  # nothing of it yet
    with_data.add([row(1), row(1, 1)])
    with_data.close()
    assert made() == [then] * (2 if common is None else 3)
    before = files()
    said = "other data: the training labels of the data set toy are not those"
    with pytest.raises(WorkdirError, match=said):
        Record(folder, common, alone, keep=0, data=now)
    assert files() == before
    Record(folder, common, alone, keep=0, data=then).close()
