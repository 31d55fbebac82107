"""What is read of folders: whole, unfinished, damaged, of another version."""

import json
import socket

import numpy as np
import pytest

from ncjax.config import default, resolved
from ncjax.io import plain
from ncjax.report.read import made_by, modified, read, read_json
from tests.report.made import EPOCHS, NASTY, TREE, measured, write_run


def test_a_whole_run(tmp_path):
    found = read(write_run(tmp_path / "run"))
    assert found.missing == []
    assert (found.title, found.epoch, found.planned) == ("run", 20, 20)
    assert found.history["epoch"].tolist() == list(EPOCHS)
    assert tuple(found.classes.names) == NASTY
    assert found.classes.tree == TREE
    assert found.history.about == "mse"


def test_what_is_not_at_its_default(tmp_path):
    config = default()
    config.loss.name, config.loss.beta = "soft_labels", 2.0
    config.optimizer.momentum = 0.5
    folder = write_run(tmp_path / "run", **plain(resolved(config)))
    found = read(folder)
    changed = {
        field: value
        for field, value in found.config.items()
        if found.defaults[field] != value
    }
    assert changed == {"optimizer.momentum": 0.5, "loss.beta": 2.0}
    # The tree of the digits is built in, so the prediction needs no files of the run.
    (folder / "classes.json").unlink()
    again = read(folder)
    assert again.classes.names == tuple("0123456789")
    assert again.classes.geometry.shape == (10, 10)
    assert 0.5 < again.history.limit["nc/nc2"] < 1


def test_a_run_that_was_cut_off(tmp_path):
    folder = write_run(tmp_path / "run", [measured(1), {"epoch": 7, "running/loss": 1}])
    (folder / "metrics.jsonl").open("a").write('{"epoch": 8, "runn')
    found = read(folder)
    assert len(found.history.rows) == 1
    assert "line 3 ends in the middle of a row" in found.missing[0]
    assert found.missing[1:] == [
        "The run is not finished: epoch 7 of 20. The same command goes on."
    ]
    (folder / "run.lock").touch()
    assert read(folder).missing[-1].endswith("it may be running now.")
    holder = {"host": socket.gethostname(), "pid": 2**22 + 1, "started": None}
    (folder / "run.lock").write_text(json.dumps(holder))
    assert "is gone, and has left run.lock. The same" in read(folder).missing[-1]


def test_damage(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "config.json").write_text("{")
    (folder / "classes.json").write_text('{"names": ["a"]}')
    (folder / "metrics.jsonl").write_text(
        "nothing\n" + '{"epoch": 3, "nc/nc1": null}\n'
    )
    found = read(folder)
    told = " ".join(found.missing)
    for what in ("config.json is damaged", "classes.json is damaged", "line 1 is not"):
        assert what in told
    assert np.isnan(found.history["nc/nc1"]).all()
    assert found.config == {}
    assert found.planned is None


def test_what_is_not_there(tmp_path):
    (tmp_path / "config.json").write_text('{"num_epochs": 3, "about": 5}')
    found = read(tmp_path)
    assert found.history.rows == []
    assert found.about == {}
    assert found.missing[0].startswith("metrics.jsonl is missing")
    (tmp_path / "metrics.jsonl").write_text("")
    assert read(tmp_path).missing[-1] == "metrics.jsonl holds no epoch yet."
    missing = []
    assert read_json(tmp_path / "other.json", missing) == {}
    assert missing == ["other.json is missing."]
    assert modified(tmp_path / "other.json") is None


def test_epochs_that_measured_different_things(tmp_path):
    rows = [measured(1), {"epoch": 2, "nc/nc1": "much", "nc/new": 3.0}]
    history = read(write_run(tmp_path / "run", rows)).history
    assert np.isnan(history["nc/nc1"][1])
    assert history["nc/new"].tolist()[1] == 3
    assert np.isnan(history["nc/new"][0])


def test_a_seed_of_many(tmp_path):
    whole = write_run(tmp_path / "many", num_seeds=2)
    own = write_run(whole / "seeds" / "1", seed=1)
    (own / "classes.json").unlink()
    found = read(own)
    assert found.title == "many/1"
    assert tuple(found.classes.names) == NASTY  # those of the whole run


@pytest.mark.parametrize("ends", [{}, {"nc/nc1/low": 0.1, "nc/nc1/high": 0.3}])
def test_seeds_are_seen_by_their_intervals(tmp_path, ends):
    found = read(write_run(tmp_path / "run", [measured(1, **ends)], num_seeds=3))
    assert len(found.history.seeds) == (3 if ends else 0)


def test_the_rows_of_each_seed(tmp_path):
    ends = {"nc/nc1/low": 0.1, "nc/nc1/high": 0.3}
    config = {"num_seeds": 2, "seed": 7}
    folder = write_run(tmp_path / "run", [measured(1, **ends)], **config)
    write_run(folder / "seeds" / "8", [measured(1), {"epoch": 2}])
    lost, kept = read(folder).history.seeds
    assert lost.rows == []
    assert [row["epoch"] for row in kept.rows] == [1]


def test_what_made_a_run():
    devices = {"kind": "cpu", "count": 8}
    made = {"jax": "0.10", "flax": None, "devices": devices, "cpus": 2, "commit": "abc"}
    assert made_by(made) == [
        ("versions", "jax 0.10"),
        ("commit", "abc"),
        ("hardware", "8 x cpu, 2 CPU cores"),
    ]
    assert made_by({}) == []
