"""The training step: frozen numbers, any number of devices, `pmap`, bfloat16."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec as P

from ncjax.losses import cross_entropy, mse
from ncjax.models import conv, mlp
from ncjax.models.resnet import ResNet
from ncjax.optimizers import OPTIMIZERS, sgd
from ncjax.training.epoch import make_epoch
from ncjax.training.step import init_state, make_train_step
from tests.thin import thin

SHAPE = (4, 4, 1)


def data(n=64, k=3, seed=0):
    """Integer-valued images, so that they are the same on every platform."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 5, (n, *SHAPE)).astype(np.float32) - 2
    return jnp.asarray(images), jnp.asarray(rng.integers(0, k, n), jnp.int32)


def optimizer():
    return sgd(0.1, weight_decay=1e-2, momentum=0.9)


def constant_state(model):
    """Parameters that need no random numbers: cosines of a running index."""
    state = jax.jit(lambda: init_state(model, optimizer(), jax.random.key(0), SHAPE))()
    leaves, tree = jax.tree.flatten(state.params)
    leaves = [
        0.3 * jnp.cos(jnp.arange(x.size) + i).reshape(x.shape)
        for i, x in enumerate(leaves)
    ]
    return state.replace(params=jax.tree.unflatten(tree, leaves))


def mesh_of(devices):
    return Mesh(
        np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,)
    )


# Of three steps from `constant_state` on `data()`.  If a change to the step or to a
# network was meant to alter training, run this test and copy the new numbers; if not,
# the change is wrong.
FROZEN = {
    "cross_entropy": (1.074755, 1.074092, 1.072952, 3.440199),
    "mse": (0.422318, 0.398528, 0.364486, 3.449094),
}


@pytest.mark.parametrize("loss", [cross_entropy, mse], ids=lambda f: f.__name__)
def test_frozen_numbers_of_three_steps(loss):
    model = mlp(3, widths=(8, 8))
    step = jax.jit(make_train_step(model, loss, optimizer()))
    state, losses = constant_state(model), []
    for _ in range(3):
        state, metrics = step(state, *data())
        losses.append(float(metrics["loss"]))
    assert state.step == 3
    norm = float(jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(state.params))))
    np.testing.assert_allclose((*losses, norm), FROZEN[loss.__name__], rtol=1e-5)


def test_sam_takes_the_gradient_at_a_worse_point():
    """Parameters move by the gradient there, running statistics by the batch here."""
    model = mlp(3, widths=(8,))

    def stepped(tx, params=None):
        state = constant_state(model)
        params = state.params if params is None else params
        state = state.replace(params=params, opt_state=tx.init(params))
        return params, jax.jit(make_train_step(model, mse, tx))(state, *data())[0]

    def gradient(params=None):
        before, after = stepped(sgd(1.0, momentum=0.0), params)
        return jax.tree.map(jnp.subtract, before, after.params), after.batch_stats

    params, got = stepped(OPTIMIZERS["sam"](0.1, momentum=0.0, rho=0.5))
    uphill, statistics = gradient()
    norm = jnp.sqrt(sum(jnp.sum(x**2) for x in jax.tree.leaves(uphill)))
    worse = jax.tree.map(lambda p, g: p + 0.5 * g / norm, params, uphill)
    want = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient(worse)[0])
    assert_same_states(got.params, want)
    assert_same_states(got.batch_stats, statistics)


def assert_same_states(a, b, atol=2e-6):
    """To float32 rounding: sums over devices are taken in another order."""
    jax.tree.map(
        lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=atol), a, b
    )


def test_step_under_pmap_on_eight_devices_and_jit_on_one():
    images, labels = data()
    tx = optimizer()
    model = mlp(3, widths=(8, 8))
    alone = constant_state(model)
    step = jax.jit(make_train_step(model, cross_entropy, tx))
    for _ in range(3):
        alone, metrics = step(alone, images, labels)

    mapped_model = mlp(3, widths=(8, 8)).clone(axis_name="devices")
    mapped = jax.pmap(
        make_train_step(mapped_model, cross_entropy, tx, axis_name="devices"),
        axis_name="devices",
    )
    state = jax.tree.map(lambda x: jnp.stack([x] * 8), constant_state(model))
    shards = images.reshape(8, 8, *SHAPE), labels.reshape(8, 8)
    for _ in range(3):
        state, mapped_metrics = mapped(state, *shards)
    for device in range(8):
        assert_same_states(jax.tree.map(lambda x, d=device: x[d], state), alone)
    for name, value in metrics.items():
        np.testing.assert_allclose(mapped_metrics[name], np.full(8, value), rtol=1e-5)


def run_epochs(devices, batch_norm=True, epochs=2):
    model = mlp(3, widths=(8, 8), batch_norm=batch_norm)
    mesh = mesh_of(devices)
    step = make_train_step(model, cross_entropy, optimizer())
    epoch = make_epoch(step, lambda x: x / 2, 16, mesh)
    everywhere = NamedSharding(mesh, P())
    state, arrays = jax.device_put((constant_state(model), data(70)), everywhere)
    history = []
    for number in range(epochs):
        state, metrics = epoch(state, jax.random.key(number), *arrays)
        history.append(metrics)
    return state, history


@pytest.mark.parametrize("batch_norm", [True, False])
def test_epochs_on_one_and_on_eight_devices(batch_norm):
    one, history = run_epochs(1, batch_norm)
    eight, history8 = run_epochs(8, batch_norm)
    assert one.step == 2 * (70 // 16)
    assert_same_states(jax.device_get(one), jax.device_get(eight))
    for a, b in zip(history, history8):
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
        np.testing.assert_array_equal(a["error"], b["error"])


METHODS = [("xla", 1), ("xla", 2), ("matmul", 1), ("matmul", 2)]


@pytest.mark.parametrize(("method", "groups"), thin(METHODS, keep={0, 3}))
def test_devices_exchange_sums_only(monkeypatch, method, groups):
    """No device is given the images or the activations of another."""
    monkeypatch.setattr(conv, "PIECE", 1)  # an example at a time
    model = ResNet(3, (1,), width=4, bottleneck=8, groups=groups, method=method)
    mesh = mesh_of(8)
    step = make_train_step(model, cross_entropy, optimizer())
    epoch = make_epoch(step, lambda x: x / 2, 16, mesh)
    everywhere = NamedSharding(mesh, P())
    key = jax.random.key(0)
    state = jax.jit(lambda: init_state(model, optimizer(), key, (8, 8, 3)))()
    arrays = jnp.zeros((70, 8, 8, 3)), jnp.zeros(70, jnp.int32)
    arguments = jax.device_put((state, key, *arrays), everywhere)
    text = epoch.lower(*arguments).compile().as_text()
    found = set(re.findall(r" (all-\w+|collective-\w+|reduce-scatter)\(", text))
    assert found == {"all-reduce"}


def test_an_epoch_is_its_steps_in_the_order_of_the_key():
    model = mlp(3, widths=(8, 8))
    step = make_train_step(model, cross_entropy, optimizer())
    state, history = run_epochs(1, epochs=1)
    images, labels = data(70)
    order = jax.random.permutation(jax.random.key(0), 70)[:64].reshape(4, 16)
    assert len(set(order.ravel().tolist())) == 64
    expected = constant_state(model)
    for rows in order:
        expected, _ = jax.jit(step)(expected, images[rows] / 2, labels[rows])
    assert_same_states(state, expected)
    assert history[0]["loss"].shape == (4,)


def test_bfloat16_follows_float32():
    images, labels = data()
    results = []
    for dtype in (jnp.float32, jnp.bfloat16):
        model = mlp(3, widths=(8, 8), dtype=dtype)
        step = jax.jit(make_train_step(model, cross_entropy, optimizer()))
        state = constant_state(model)
        for _ in range(3):
            state, metrics = step(state, images, labels)
        assert metrics["loss"].dtype == jnp.float32
        for leaf in jax.tree.leaves((state.params, state.batch_stats)):
            assert leaf.dtype == jnp.float32
        results.append(float(metrics["loss"]))
    assert results[0] == pytest.approx(results[1], rel=0.05)
    assert results[0] != results[1]
