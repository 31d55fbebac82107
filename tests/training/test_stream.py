"""Streamed data sets: same batches, same numbers, nothing read that is not needed."""

import math
import os
import sys

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec as P

import ncjax
from ncjax import ConfigError, TrainingError, main as cli
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.data import Dataset, Split, reading as stream
from ncjax.runs.workdir import Workdir
from ncjax.training.experiment import Experiment
from tests.thin import thin

ONE = jax.devices()[:1]


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    """Of three batches: an epoch of five needs a whole chunk and a part of one."""
    monkeypatch.setattr(stream, "CHUNK_STEPS", 3)


def small(placement="stream", **data):
    config = default()
    config.num_epochs = 3
    config.model.widths = (32, 16)
    config.data.examples_per_class = 30
    config.data.test_examples_per_class = 7
    config.batch_size = 56
    config.eval.batch_size = 40
    config.data.placement = placement
    config.data.update(data)
    config.hierarchy.name = "none"  # compiles in half the time
    return config


def mesh_of(devices):
    return Mesh(
        np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,)
    )


class Recording(np.ndarray):
    """Stands for a memory map: remembers how many images each read took."""

    def __getitem__(self, key):
        found = np.asarray(self)[key]
        self.reads.append(math.prod(found.shape[:-3]))
        return found


@pytest.mark.parametrize(
    ("steps", "batch_bytes", "size"),
    [
        (468, 1, 26),  # 18 equal chunks, rather than 14 of 32 and one of 20
        (401, 1, 32),  # a prime number: 12 of 32 and one of 17
        (5, 1, 5),
        (12, 2**25, 2),  # 64 MiB
        (12, 2**40, 1),
    ],
)
def test_size_of_chunks(monkeypatch, steps, batch_bytes, size):
    monkeypatch.setattr(stream, "CHUNK_STEPS", 32)
    assert stream.chunk_steps(steps, batch_bytes) == size


@pytest.mark.parametrize("devices", [1, 8])
def test_chunks_hold_the_rows_asked_for(devices):
    images = np.arange(50 * 6, dtype=np.uint8).reshape(50, 3, 2, 1)
    labels = np.arange(50, dtype=np.int32) + 100
    rows = np.random.default_rng(0).integers(0, 50, (5, 16)).astype(np.int32)
    rows[4, 3] = -1  # padding
    chunks = list(stream.read(images, labels, rows, 2, mesh_of(devices)))
    assert [len(chunk[0]) for chunk in chunks] == [2, 2, 1]
    for array in chunks[0]:
        assert array.sharding.spec == P(None, "data")
        assert array.addressable_shards[0].data.shape[1] == 16 // devices
    got_images, got_labels, got_rows = (
        np.concatenate(x) for x in zip(*jax.device_get(chunks))
    )
    np.testing.assert_array_equal(got_rows, rows)
    present = rows >= 0
    np.testing.assert_array_equal(got_images[present], images[rows[present]])
    np.testing.assert_array_equal(got_labels[present], rows[present] + 100)


def cut_off(path):
    os.truncate(path, 2000)


@pytest.mark.parametrize(
    ("fault", "why"),
    [(cut_off, "it has 2,000 bytes"), (os.unlink, "No such file or directory")],
)
def test_a_file_that_is_cut_off_or_gone_is_named(tmp_path, fault, why):
    """To read what is no longer there would end the process by a signal."""
    path = tmp_path / "images.npy"
    np.save(path, np.zeros((50, 8, 8, 1), np.uint8))
    images = np.load(path, mmap_mode="r")[:, :, :, :]
    rows = np.arange(48, dtype=np.int32).reshape(6, 8)
    chunks = stream.read(images, np.zeros(50, np.int32), rows, 2, mesh_of(1))
    next(chunks)
    fault(path)
    said = rf"images in .*images\.npy can no longer be read: {why}.*same command"
    with pytest.raises(TrainingError, match=said):
        list(stream.read(images, np.zeros(50, np.int32), rows, 2, mesh_of(1)))


def results(config, devices, epochs=2):
    """Parameters, metrics of the steps and of a measurement."""
    experiment = Experiment(config, load_data(config), jax.devices()[:devices])
    state, found = experiment.init(), []
    for number in range(1, epochs + 1):
        state, steps = experiment.epoch(state, number)
        found.append(jax.device_get(steps))
    return jax.device_get((state, found, experiment.evaluate(state)))


@pytest.mark.parametrize(
    ("devices", "augment", "buffer_mb", "more"),
    [
        pytest.param(1, "none", 0, True, marks=pytest.mark.slow),
        (8, "crop_flip", 0, False),
        pytest.param(1, "crop_flip", 4096, False, marks=pytest.mark.slow),
        pytest.param(8, "none", 4096, True, marks=pytest.mark.slow),
    ],
)
def test_streamed_as_on_the_device(devices, augment, buffer_mb, more):
    config = small("device", augment=augment)
    config.eval.buffer_mb = buffer_mb
    config.eval.layers = "all" if more else "last"
    config.eval.scatter = config.eval.crm = more
    config.hierarchy.name = "dataset" if more else "none"
    state, steps, metrics = results(config, devices)
    config.data.placement = "stream"
    streamed, streamed_steps, streamed_metrics = results(config, devices)
    # The same steps compiled twice: bit for bit.
    jax.tree.map(np.testing.assert_array_equal, streamed, state)
    jax.tree.map(np.testing.assert_array_equal, streamed_steps, steps)
    # Sums over batches are taken in another order, and programs are divided otherwise.
    assert streamed_metrics.keys() == metrics.keys()
    for name, value in metrics.items():
        np.testing.assert_allclose(
            streamed_metrics[name], value, rtol=2e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.slow
def test_one_and_eight_devices_give_the_same_curves():
    config = small(augment="crop_flip")
    config.eval.epochs = (1, 2, 3)
    one = ncjax.train(config, devices=ONE, progress=False)
    eight = ncjax.train(config, progress=False)
    for name in ("train/loss", "nc/nc1", "nc/nc2", "nc/nc3", "test/nc1", "test/loss"):
        np.testing.assert_allclose(one[name], eight[name], rtol=2e-4)


@pytest.mark.slow
def test_a_run_cut_short_continues_on_either_path(tmp_path, monkeypatch):
    """Also with the images placed elsewhere than before."""
    config = small(augment="crop_flip")
    config.checkpoint.every_epochs = 1
    config.eval.epochs = (3,)
    whole = ncjax.train(config, tmp_path / "whole", devices=ONE, progress=False)
    write = Workdir.write

    def interrupted(self, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt
        write(self, row)

    for placement in ("stream", "device"):
        workdir = tmp_path / placement
        config.data.placement = placement
        with monkeypatch.context() as patch:
            patch.setattr(Workdir, "write", interrupted)
            with pytest.raises(KeyboardInterrupt):
                ncjax.train(config, workdir, devices=ONE, progress=False)
        config.data.placement = "stream"
        resumed = ncjax.train(config, workdir, devices=ONE, progress=False)
        assert resumed.rows == whole.rows


@pytest.mark.slow
def test_only_the_images_of_a_chunk_are_read_at_once():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (640, 4, 4, 1), dtype=np.uint8).view(Recording)
    images.reads = []
    labels = (np.arange(640) % 4).astype(np.int32)
    test = Split(np.asarray(images)[:40], labels[:40])
    dataset = Dataset("recorded", Split(images, labels), test, tuple("abcd"))
    config = small()
    experiment = Experiment(config, dataset, ONE)
    state = experiment.init()
    images.reads.clear()  # the statistics of the channels have been taken by then
    state, _ = experiment.epoch(state, 1)
    read = [size for size in images.reads if size > 1]
    assert sum(read) == 640 // 56 * 56
    assert max(read) == 3 * 56
    images.reads.clear()
    experiment.evaluate(state)  # kept features: one pass
    read = [size for size in images.reads if size > 1]
    assert read == 8 * [2 * 40]


def test_by_size(capsys):
    config = small("auto", device_mb=1)
    dataset = load_data(config)
    assert isinstance(Experiment(config, dataset, ONE).train_set[0], jax.Array)
    assert capsys.readouterr().err == ""
    config.data.device_mb = 0
    assert isinstance(Experiment(config, dataset, ONE).train_set[0], np.ndarray)
    assert "more than config.data.device_mb = 0" in capsys.readouterr().err
    config.data.placement = "device"
    assert isinstance(Experiment(config, dataset, ONE).train_set[0], jax.Array)


def test_many_seeds_are_not_streamed():
    config = small()
    config.num_seeds = 2
    with pytest.raises(ConfigError, match=r"num_seeds = 2 takes images that lie on"):
        Experiment(config, load_data(config), ONE)


def test_without_grain(monkeypatch):
    monkeypatch.setitem(sys.modules, "grain", None)
    monkeypatch.delitem(sys.modules, "ncjax.data.reading")
    config = small()
    dataset = load_data(config)
    with pytest.raises(ConfigError, match=r"grain.*pip install '.*\[stream\]'"):
        Experiment(config, dataset, ONE)
    config.data.placement = "device"
    Experiment(config, dataset, ONE)


def exhausted(*_):
    raise jax.errors.JaxRuntimeError(
        "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 9 bytes.\nmore"
    )


def exhausted_on_a_cpu(*_):
    raise jax.errors.JaxRuntimeError(
        "INTERNAL: Error dispatching computation: Out of memory allocating 9 bytes."
    )


def test_out_of_memory_on_a_cpu_gets_the_same_message(monkeypatch):
    monkeypatch.setattr(Experiment, "compile", exhausted_on_a_cpu)
    with pytest.raises(TrainingError, match=r"allocating 9 bytes\. Lower what takes"):
        ncjax.train(small("device"), devices=ONE, progress=False)


@pytest.mark.parametrize("stage", thin(["compile", "epoch", "evaluate"], keep={1}))
def test_out_of_memory_says_what_to_lower(monkeypatch, stage):
    monkeypatch.setattr(Experiment, "compile", lambda self, state: None)
    monkeypatch.setattr(Experiment, stage, exhausted)
    with pytest.raises(TrainingError, match=r"allocate 9 bytes\. Lower") as caught:
        ncjax.train(small("device"), devices=ONE, progress=False)
    for text in ("eval.buffer_mb (now 4096)", "config.batch_size (now 56)", "'stream'"):
        assert text in str(caught.value)


def test_out_of_memory_exits_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Experiment, "compile", exhausted)
    arguments = ["--config=digits:smoke", f"--workdir={tmp_path / 'run'}"]
    assert cli.main(["ncjax.main", *arguments]) == 1
    message = capsys.readouterr().err.partition("\n")[2]  # after the line "Compiling"
    assert message.startswith("error: Out of memory: RESOURCE_EXHAUSTED: ")
    assert message.count("\n") == 1  # one paragraph, no traceback


def test_other_errors_of_xla_pass(monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: something else")

    monkeypatch.setattr(Experiment, "compile", lambda self, state: None)
    monkeypatch.setattr(Experiment, "epoch", fail)
    with pytest.raises(jax.errors.JaxRuntimeError, match="something else"):
        ncjax.train(small("device"), devices=ONE, progress=False)
