"""Probes on one network, on many, on several devices, in memory and streamed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.cluster import make_mesh
from ncjax.cluster.members import map_networks, vmap_networks
from ncjax.data import synthetic
from ncjax.probes import METRICS, PROBES, Probe, Subject
from ncjax.probes.probe import make_probes
from tests.thin import thin

K, DIM, WIDTH, DECAY = 3, 8, 5, 0.01
DATA = synthetic(
    num_classes=K, dim=DIM, train_size_per_class=7, test_size_per_class=2, noise=0.3
)
TRAIN = (DATA.train.images, DATA.train.labels)  # 21 examples
TEST = (DATA.test.images, DATA.test.labels)
NAME = "mse_decomposition"


def features(variables, images):
    return jnp.tanh(images.reshape(len(images), -1) @ variables["params"]["inner"])


def classifier(variables):
    return variables["params"]["weights"], variables["params"]["bias"]


def scores(variables, images):
    weights, bias = classifier(variables)
    return features(variables, images) @ weights.T + bias


def subject(decay=DECAY):
    def weight_decay(variables):
        return variables.get("hyper", {}).get("optimizer.weight_decay", decay)

    return Subject(features, scores, classifier, weight_decay, DATA)


def network(seed=0, **hyper):
    rng = np.random.default_rng(seed)
    params = {
        "inner": rng.normal(size=(DIM, WIDTH)) / 4,
        "weights": rng.normal(size=(K, WIDTH)),
        "bias": rng.normal(size=K),
    }
    variables = {"params": jax.tree.map(jnp.float32, params)}
    return variables | ({"hyper": hyper} if hyper else {})


def regularised_loss(variables, decay=DECAY):
    """(1/2N) sum |W h + b - e_y|^2 + (decay/2)(|W|^2 + |b|^2), in float64."""
    p = {k: np.asarray(v, np.float64) for k, v in variables["params"].items()}
    h = np.tanh(TRAIN[0].reshape(len(TRAIN[0]), -1) @ p["inner"])
    far = h @ p["weights"].T + p["bias"] - np.eye(K)[TRAIN[1]]
    penalty = (p["weights"] ** 2).sum() + (p["bias"] ** 2).sum()
    return 0.5 * (far**2).sum(1).mean() + 0.5 * decay * penalty


def measure(probes, variables, devices=1, over=None, networks=1, batch_size=8):
    mesh = make_mesh(jax.devices()[:devices], networks)
    program, sets = make_probes(probes, mesh, batch_size=batch_size, many=over)
    return program(variables, jax.device_put(TRAIN), jax.device_put(TEST), sets)


@pytest.mark.parametrize("devices", [1, 8])
def test_the_parts_of_the_mse_loss_sum_to_it(devices):
    """8 is no multiple of the 21 examples: padding counts for nothing."""
    found = measure({NAME: PROBES[NAME](subject())}, network(), devices)
    own = {key for key in METRICS if key.startswith(NAME)}
    assert set(found) == {f"probe/{key}" for key in own}
    total = sum(
        found[f"probe/{NAME}/{part}"] for part in ("nc1", "nc2_nc3", "off_path")
    )
    expected = regularised_loss(network())
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert float(found[f"probe/{NAME}/loss"]) == pytest.approx(expected, rel=1e-5)
    assert min(map(float, found.values())) > 0


def test_the_decay_is_an_option_or_that_of_the_training():
    found = measure({NAME: PROBES[NAME](subject(0.0), mse_decay=0.5)}, network())
    expected = regularised_loss(network(), 0.5)
    assert float(found[f"probe/{NAME}/loss"]) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match=r"weight decay above 0.*eval\.mse_decay"):
        PROBES[NAME](subject(0.0))
    with pytest.raises(ValueError, match="must be at least 0, got -1"):
        PROBES[NAME](subject(), mse_decay=-1.0)


@pytest.mark.parametrize("over", [vmap_networks, map_networks])
def test_many_networks_are_measured_as_each_alone(over):
    """Also where they were trained with another weight decay each."""
    decays = (0.01, 0.02, 0.04, 0.3)
    each = [
        network(i, **{"optimizer.weight_decay": jnp.float32(decay)})
        for i, decay in enumerate(decays)
    ]
    probes = {NAME: PROBES[NAME](subject())}
    together = jax.tree.map(lambda *x: jnp.stack(x), *each)
    found = measure(probes, together, devices=8, over=over, networks=4)
    for i, decay in enumerate(decays):
        alone = measure(probes, each[i])
        for key, value in alone.items():
            assert found[key].shape == (4,)
            assert float(found[key][i]) == pytest.approx(float(value), rel=1e-5), key
        loss = float(found[f"probe/{NAME}/loss"][i])
        assert loss == pytest.approx(regularised_loss(each[i], decay), rel=1e-5)


@jax.tree_util.register_dataclass
@dataclasses.dataclass
class Sums:
    """How many examples, and the sum of their pixels."""

    count: jax.Array
    pixels: jax.Array

    def all_reduce(self, axis_name):
        return jax.tree.map(lambda x: jax.lax.psum(x, axis_name), self)


def reads_all_sets(subject, *, factor=1.0):
    """A probe with two passes and a data set of its own."""

    def update(state, variables, images, labels, weights, shift=0.0):
        pixels = images.reshape(len(images), -1).sum(1) + shift
        return Sums(state.count + weights.sum(), state.pixels + weights @ pixels)

    def measure(variables, reader):
        empty = Sums(jnp.zeros(()), jnp.zeros(()))
        sums = {
            name: reader.fold(update, empty, variables, name)
            for name in ("train", "test", "other")
        }
        mean = sums["train"].pixels / sums["train"].count
        again = reader.fold(update, empty, variables, "train", -mean)
        counts = {f"{name}_count": s.count for name, s in sums.items()}
        return counts | {"pixels": factor * sums["other"].pixels, "left": again.pixels}

    other = np.full((5, 1, DIM, 1), 2.0, np.float32), np.zeros(5, np.int32)
    return Probe(measure, {"other": other})


@pytest.mark.parametrize("devices", thin([1, 8], keep={1}))
@pytest.mark.parametrize("streamed", [False, True])
def test_a_probe_reads_the_data_sets_that_it_brings(devices, streamed):
    probes = {"toy": reads_all_sets(subject(), factor=3.0)}
    if streamed:
        mesh = make_mesh(jax.devices()[:devices], 1)
        program, sets = make_probes(probes, mesh, batch_size=8, streamed=True)
        found = program(network(), TRAIN, TEST, sets)
    else:
        found = measure(probes, network(), devices)
    counts = {
        f"probe/toy/{n}_count": c
        for n, c in zip(("train", "test", "other"), (21, 6, 5))
    }
    for key, value in counts.items():
        assert found[key] == value
    assert found["probe/toy/pixels"] == 3 * 5 * DIM * 2
    assert abs(found["probe/toy/left"]) < 1e-4


@pytest.mark.parametrize("devices", thin([1, 8], keep={1}))
def test_streamed_data_give_the_same_numbers(devices):
    probes = {NAME: PROBES[NAME](subject())}
    mesh = make_mesh(jax.devices()[:devices], 1)
    streamed, sets = make_probes(probes, mesh, batch_size=8, streamed=True)
    found = streamed(network(), TRAIN, TEST, sets)
    for key, value in measure(probes, network(), devices).items():
        assert float(found[key]) == pytest.approx(float(value), rel=1e-5), key


def test_every_metric_belongs_to_a_probe():
    assert {key.partition("/")[0] for key in METRICS} <= set(PROBES)
