"""Sweeps over several devices: which devices, how many networks, the same numbers."""

import json

import jax
import numpy as np
import pytest

import ncjax
from ncjax.config import default
from ncjax.config.binding import load_data
from ncjax.sweeps import plan, run, sweep
from tests.thin import thin

RATES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)


def small():
    config = default()
    config.num_epochs, config.batch_size = 2, 40
    config.data.examples_per_class = 12
    config.data.test_examples_per_class = 10
    config.model.widths = (16, 8)
    config.eval.epochs = (2,)
    return config


def swept(count, devices, monkeypatch):
    """A sweep of some networks, and the shape of the mesh of each program."""
    meshes, make = [], run.Experiment

    def made(*args, **kwargs):
        experiment = make(*args, **kwargs)
        state = experiment.init()
        kernel = jax.tree.leaves(state.params)[0]
        meshes.append(dict(kernel.sharding.mesh.shape))
        return experiment

    with monkeypatch.context() as patched:
        patched.setattr(run, "Experiment", made)
        table = sweep(
            small(),
            {"optimizer.learning_rate": RATES[:count]},
            devices=jax.devices()[:devices],
            progress=False,
        )
    return table, meshes


@pytest.fixture(scope="module")
def alone():
    """The six networks on one device."""
    fields = {"optimizer.learning_rate": RATES}
    return sweep(small(), fields, devices=jax.devices()[:1], progress=False)


@pytest.mark.parametrize(
    ("count", "devices", "seeds", "data"),
    thin(
        [
            (4, 8, 4, 2),  # two devices share the batches of each network
            (6, 8, 6, 1),  # 8 devices are not divided by 6 networks
            (4, 3, 2, 1),  # nor is the batch of 40 by 3 devices
        ],
        keep=(),
    ),
)
def test_the_networks_are_those_of_one_device(
    alone, count, devices, seeds, data, monkeypatch
):
    found, meshes = swept(count, devices, monkeypatch)
    assert meshes == [{"seeds": seeds, "data": data}]
    assert len(found.rows) == count
    for name in ("running/loss", "train/loss", "test/loss"):
        np.testing.assert_allclose(
            found[name], alone[name][:count], rtol=1e-5, err_msg=name
        )
    for name in ("nc/nc1", "nc/nc2", "nc/nc3", "train/error", "test/error"):
        np.testing.assert_allclose(
            found[name], alone[name][:count], rtol=2e-4, atol=1e-6, err_msg=name
        )


@pytest.mark.slow
def test_random_labels_of_each_network(tmp_path):
    """One program over eight devices: each network is the single run."""
    config = small()
    config.eval.probes = ("mse_decomposition",)
    fields = {"data.random_labels": (0.0, 0.4, 1.0, 0.2)}
    found = sweep(config, fields, tmp_path, devices=jax.devices(), progress=False)
    assert len(json.loads((tmp_path / "sweep.json").read_text())["programs"]) == 1
    config.data.random_labels = 0.4
    alone = ncjax.train(config, devices=jax.devices()[:1], progress=False).rows[-1]
    for name, tolerance in (
        ("running/loss", 1e-5),
        ("train/loss", 1e-5),
        ("test/loss", 1e-5),
        ("train/error", 1e-6),
        ("test/error", 1e-6),
        ("nc/nc1", 2e-4),
        ("probe/mse_decomposition/loss", 2e-4),
    ):
        assert found[name][1] == pytest.approx(alone[name], rel=tolerance), name
    loaded = ncjax.load(tmp_path / "members" / found.rows[2]["name"])
    labels = load_data(loaded.config).train.labels
    logits, _ = loaded(loaded.dataset.train.images)
    error = float((np.asarray(logits).argmax(1) != labels).mean())
    assert error == pytest.approx(found["train/error"][2])
    assert (labels != load_data(small()).train.labels).mean() > 0.8


@pytest.mark.parametrize(
    ("networks", "batch_size", "used"),
    [
        (1, 128, 8),
        (1, 60, 6),  # 60 is divided by 6 devices, not by 7 or 8
        (4, 128, 8),
        (5, 128, 5),
        (6, 127, 6),
        (12, 128, 6),
        (13, 127, 1),  # a prime number of examples, and of networks
        (56, 128, 8),
    ],
)
def test_devices_that_are_used(networks, batch_size, used):
    assert len(plan.usable(jax.devices(), networks, batch_size)) == used


@pytest.mark.parametrize(
    ("count", "most", "part"), [(7, 7, 7), (7, 3, 3), (8, 5, 4), (9, 1, 1)]
)
def test_even_parts(count, most, part):
    assert plan.largest_part(count, lambda size: size <= most) == part


def test_parts_that_devices_divide():
    """Two networks fit on a device: 16 on eight, not 11, which no devices divide."""
    devices = jax.devices()

    def fits(size):
        groups = np.gcd(size, len(plan.usable(devices, size, 128)))
        return size // groups <= 2

    assert plan.largest_part(16, fits) == 16
    assert plan.largest_part(22, fits) == 8
    sizes = {n for n in range(1, 23) if fits(n)}
    assert 11 not in sizes
    assert {7, 8} <= sizes
