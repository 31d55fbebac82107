"""Sweeps: the programs, their networks, what is written, going on, bad input."""

import csv
import json
import shutil

import numpy as np
import pytest

import ncjax
from ncjax import ConfigError, TrainingError, WorkdirError
from ncjax.config import default
from ncjax.data import DataError
from ncjax.sweeps import plan, run, sweep, table as sweep_table
from ncjax.training import loop
from ncjax.training.stored import measure_again

FIELDS = {
    "optimizer.learning_rate": (0.02, 0.2, 1e30),
    "optimizer.weight_decay": (0.0, 5e-3),
}


def small():
    config = default()
    config.num_epochs, config.batch_size = 4, 40
    config.data.examples_per_class = 12
    config.data.test_examples_per_class = 10
    config.model.widths = (16, 8)
    config.eval.num_points = 3
    return config


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A sweep of six runs in two programs, of which two runs cannot stay finite."""
    folder = tmp_path_factory.mktemp("sweep") / "run"
    return sweep(small(), FIELDS, folder, at_once=3, progress=False)


def member(table, place):
    return table.workdir / "members" / table.rows[place]["name"]


def rows_of(folder):
    return [json.loads(x) for x in (folder / "metrics.jsonl").read_text().splitlines()]


def test_a_row_for_each_run(done):
    np.testing.assert_allclose(
        done["optimizer.learning_rate"], [0.02, 0.02, 0.2, 0.2, 1e30, 1e30], rtol=1e-6
    )
    np.testing.assert_allclose(done["optimizer.weight_decay"], [0, 5e-3] * 3)
    assert set(done["seed"]) == {0}
    assert np.isfinite(done["nc/nc1"][:4]).all()
    with pytest.raises(KeyError, match="Did you mean 'nc/nc1'"):
        done["nc/nc1x"]


@pytest.mark.slow
def test_a_network_is_the_single_run(done, tmp_path):
    config = small()
    config.optimizer.learning_rate, config.optimizer.weight_decay = 0.2, 5e-3
    alone = ncjax.train(config, tmp_path / "alone", progress=False)
    ours, theirs = rows_of(member(done, 3)), rows_of(alone.workdir)
    assert [row["epoch"] for row in ours] == [1, 2, 3, 4]
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys() == b.keys()
        for key, value in b.items():
            if value is not None:
                np.testing.assert_allclose(
                    a[key], value, rtol=2e-3, atol=1e-4, err_msg=key
                )
    ours, theirs = (
        json.loads((folder / "config.json").read_text())
        for folder in (member(done, 3), alone.workdir)
    )
    assert ours.pop("about")
    assert theirs.pop("about")
    assert ours == theirs


def test_a_network_that_is_not_finite_stops_alone(done):
    assert done["stopped"].tolist() == ["", "", "", "", "1", "1"]
    assert np.isnan(done["nc/nc1"][4:]).all()
    assert rows_of(member(done, 4)) == []
    assert len(rows_of(member(done, 0))) == 4


def test_what_is_written(done):
    with (done.workdir / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == [row["name"] for row in done.rows]
    assert float(rows[2]["nc/nc1"]) == done["nc/nc1"][2]
    assert rows[4]["nc/nc1"] == ""
    assert (done.workdir / "sweep.png").stat().st_size > 10_000
    names = {path.name for path in (done.workdir / "members").iterdir()}
    assert names == {row["name"] for row in rows}


def test_epochs_of_thresholds(done):
    for place in range(4):
        row, history = done.rows[place], rows_of(member(done, place))
        reached = [r["epoch"] for r in history if r.get("nc/nc2", np.inf) <= 0.5]
        expected = reached[0] if reached else np.nan
        np.testing.assert_equal(row["epoch of nc/nc2 <= 0.5"], expected)


def test_compare_reads_the_runs(done):
    found = ncjax.compare(done.workdir)  # those that stopped are left out
    assert len(found.groups) == 4


def test_a_network_is_loaded_back(done):
    """Its own, out of the checkpoint of its program."""
    for place in (1, 3):  # of two programs
        loaded = ncjax.load(member(done, place))
        train = loaded.dataset.train
        logits, _ = loaded(train.images)
        error = float((np.asarray(logits).argmax(1) != train.labels).mean())
        assert error == pytest.approx(done["train/error"][place])
        assert loaded.config.optimizer.weight_decay == 5e-3
        classifier = np.linalg.norm(np.asarray(loaded.classifier[0]).sum(0))
        assert classifier == pytest.approx(done["nc/nc0"][place], rel=1e-4)


@pytest.mark.slow
def test_a_network_without_velocity_is_loaded_back(tmp_path):
    """Its program keeps one, as JAX traces the momentum; a run alone does not."""
    config = small()
    config.num_epochs, config.eval.epochs = 1, (1,)
    fields = {
        "optimizer.momentum": (0.0, 0.9),
        "optimizer.head_learning_rate": (0.0, 0.1),
    }
    found = sweep(config, fields, tmp_path / "run", progress=False)
    for place in (0, 1):
        classifier, _ = ncjax.load(member(found, place)).classifier
        total = np.linalg.norm(np.asarray(classifier).sum(0))
        assert total == pytest.approx(found["nc/nc0"][place], rel=1e-4)
    again = measure_again(member(found, 0))
    assert again["nc/nc1"] == pytest.approx(found["nc/nc1"][0], rel=1e-3)


def test_the_same_call_goes_on(done, monkeypatch):
    """A finished sweep trains nothing; its table is that of its files."""

    def never(*args, **kwargs):
        raise AssertionError("a finished program was trained")

    monkeypatch.setattr(run, "advance", never)
    again = sweep(small(), FIELDS, done.workdir, progress=False)
    for name in done.columns:
        np.testing.assert_array_equal(again[name], done[name], err_msg=name)


@pytest.mark.slow
def test_it_goes_on_where_it_was_stopped(done, tmp_path, monkeypatch):
    """Killed in the second program of two."""
    config, epochs = small(), loop._epochs
    config.checkpoint.every_epochs = 1
    programs = []

    def killed(*args):
        programs.append(args)
        for epoch in epochs(*args):
            if len(programs) == 2 and epoch[0] == 3:
                raise KeyboardInterrupt
            yield epoch

    with monkeypatch.context() as patched:
        patched.setattr(loop, "_epochs", killed)
        with pytest.raises(KeyboardInterrupt):
            sweep(config, FIELDS, tmp_path / "a", at_once=3, progress=False)
    assert len(programs) == 2
    # What fits now is no matter: networks go on in the program in which they began.
    again = sweep(config, FIELDS, tmp_path / "a", at_once=6, progress=False)
    for name in ("stopped", "epoch"):
        np.testing.assert_array_equal(again[name], done[name], err_msg=name)
    for place in range(4):
        ours, theirs = (rows_of(member(x, place)) for x in (again, done))
        assert ours == theirs


def test_another_sweep_is_refused(done):
    with pytest.raises(WorkdirError, match="holds another sweep: its fields were"):
        sweep(small(), {"optimizer.momentum": "0,0.5"}, done.workdir, progress=False)


def programs_of(config, swept, together=()):
    fields = plan.read_fields(config, swept)
    return plan.programs(plan.members(config, fields, together), fields)


@pytest.mark.slow
def test_fields_that_are_no_numbers_make_programs_of_their_own():
    config = small()
    config.num_seeds = 2
    swept = {
        "optimizer.momentum": "0,0.9",
        "loss.name": "cross_entropy,mse",
        "model.widths": "(8,),(16,)",
        "init_scale": "1..4:2",
    }
    found = programs_of(config, swept)
    assert len(found) == 4
    for program in found:
        assert len(program.members) == 8
        assert program.traced == ("optimizer.momentum", "init_scale")
        networks = program.networks()
        assert networks.seeds == (0, 1) * 4
        assert networks.hyper["init_scale"] == (1, 1, 4, 4) * 2
    names = {(p.config.loss.name, p.config.model.widths) for p in found}
    assert len(names) == 4


def test_a_field_may_be_a_number_of_some_programs_only():
    swept = {"loss.name": "cross_entropy,soft_labels", "loss.beta": "4,5"}
    config = small()
    config.hierarchy.name = "cifar10"
    with pytest.raises(ConfigError, match=r"name=cross_entropy,beta=5: .* no effect"):
        programs_of(config, swept)
    together = [("loss.name", "loss.beta")]
    first, second = programs_of(config, swept, together)
    assert (first.config.loss.beta, second.config.loss.beta) == (4, 5)
    assert (first.traced, second.traced) == ((), ("loss.beta",))


def test_programs_are_split_evenly():
    (program,) = programs_of(small(), {"optimizer.weight_decay": "lin:0..1:7"})
    assert [len(part.members) for part in program.split(3)] == [3, 2, 2]
    assert [len(part.members) for part in program.split(7)] == [7]


def test_a_batch_larger_than_the_data_of_a_program(tmp_path):
    config, folder = small(), tmp_path / "sweep"
    with pytest.raises(ConfigError, match="is larger than the training set of 20 ex"):
        ncjax.sweep(config, {"data.examples_per_class": "2,3"}, folder)
    assert not folder.exists()


def test_memory_decides_how_many_train_at_once(monkeypatch, capsys):
    config = small()
    (program,) = programs_of(config, {"optimizer.weight_decay": "lin:0..1:7"})
    dataset = run.load_data(config)
    network = run.Network(program.config, dataset)
    held, between = plan.network_bytes(network, program.config)
    features = 8 * 8 * len(dataset.train)
    images = dataset.train.images.nbytes + dataset.test.images.nbytes
    three = 3.5 * (held + between + features) + images
    monkeypatch.setattr(run, "device_memory", lambda device: three / run._SHARE)
    said = []
    assert run._most(program, dataset, None, said.append) == 3
    assert "they train 3 at once" in said[0]
    monkeypatch.setattr(run, "device_memory", lambda device: images)
    with pytest.raises(ConfigError, match="One network of the sweep"):
        run._most(program, dataset, None, said.append)


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ({}, "A sweep needs a field"),
        ({"optimizer.weight_decy": "0,1"}, "Did you mean 'optimizer.weight_decay'"),
        ({"eval.num_points": "2,3"}, "cannot be swept"),
        ({"num_seeds": "2,3"}, "cannot be swept"),
        ({"optimizer.momentum": "0.9,1"}, r"momentum=1: .*momentum must be in \[0, 1"),
        ({"optimizer.learning_rate": "0..1:3"}, "positive end"),
        ({"loss.beta": "1,2"}, "loss.beta = 1.0 has no effect"),
        ({"batch_size": "0,10"}, "batch_size must be between 1"),
        ({"data.random_labels": "0.5,1.5"}, "=1.5: .*random_labels must be in 0..1"),
        ({"init_scale": "0,1"}, "init_scale must be positive"),
        ({"optimizer.weight_decay": [1e-3, 1.00001e-3]}, "Take values further apart"),
    ],
)
def test_bad_sweeps_are_refused_before_anything_compiles(swept, message, tmp_path):
    with pytest.raises(ConfigError, match=message):
        sweep(small(), swept, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_random_labels_that_leave_a_class_out_write_nothing(tmp_path):
    config = small()
    config.data.examples_per_class, config.batch_size = 1, 10
    fields = {"data.random_labels": "0,1"}
    for at_once in (0, 2):
        with pytest.raises(DataError, match="no training example of"):
            sweep(config, fields, tmp_path / "a", at_once=at_once, progress=False)
    assert not (tmp_path / "a").exists()


def test_seeds_are_said_once():
    config = small()
    config.num_seeds = 2
    with pytest.raises(ConfigError, match="two ways to say which seeds"):
        plan.read_fields(config, {"seed": "0,1"})


def test_the_mark_of_a_sweep_that_others_delete_is_written_again(tmp_path):
    """Without it the folder could not be continued; one that is gone is an error."""
    folder, claimed = tmp_path / "sweep", {"fields": {"seed": [1]}}
    folder.mkdir()
    table = sweep_table.Sweep(("seed",), [{"seed": 1}], folder)
    run._write(table, table.write, claimed)
    assert json.loads((folder / "sweep.json").read_text()) == claimed
    assert (folder / "sweep.csv").read_text().split() == ["seed", "1"]
    shutil.rmtree(folder)
    with pytest.raises(
        TrainingError, match=r"deleted or moved.*1 of its runs are done"
    ):
        run._write(table, table.write, claimed)
    assert not folder.exists()
