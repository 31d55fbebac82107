"""Averages against NumPy: merge order, batch split, devices, masks, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec as P

from ncjax.averages import Averages


def draw(n=40):
    rng = np.random.default_rng(0)
    values = {"loss": rng.normal(size=n), "bins": rng.normal(size=(n, 3))}
    values["hit"] = rng.random(n) < 0.4
    return values, rng.integers(0, 3, n).astype(float)


def as_jax(values, weights, rows=slice(None)):
    values = {name: jnp.asarray(v[rows]) for name, v in values.items()}
    return values, jnp.asarray(weights[rows], jnp.float32)


def assert_means(state, values, weights):
    found = state.compute()
    assert found.keys() == values.keys()
    for name, value in values.items():
        want = np.average(value, axis=0, weights=weights)
        np.testing.assert_allclose(found[name], want, rtol=1e-5, err_msg=name)


def test_hand_computed():
    state = Averages.of({"a": jnp.array([1.0, 2, 9])}, jnp.array([1.0, 3, 0]))
    assert state.total == 4
    assert state.compute() == {"a": 7 / 4}


def test_batches_in_any_order_and_split():
    values, weights = draw()
    empty = Averages.empty({"loss": (), "bins": (3,), "hit": ()})
    for cuts in ([], [7, 20], [1, 2, 3, 39]):
        parts = np.split(np.arange(40), cuts)
        state = empty
        for rows in parts:
            state = state.update(*as_jax(values, weights, rows))
        assert_means(state, values, weights)
        own = [Averages.of(*as_jax(values, weights, rows)) for rows in parts[::-1]]
        merged = empty
        for other in own:
            merged = other.merge(merged)
        assert_means(merged, values, weights)


@pytest.mark.parametrize("devices", [1, 8])
def test_devices_share_the_examples(devices):
    values, weights = draw()
    mesh = Mesh(
        np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,)
    )

    def shared(values, weights):
        return Averages.of(values, weights).all_reduce("data")

    state = jax.jit(
        jax.shard_map(shared, mesh=mesh, in_specs=P("data"), out_specs=P())
    )(*as_jax(values, weights))
    assert_means(state, values, weights)


def test_scan_and_vmap():
    values, weights = draw()
    values, weights = as_jax(values, weights)
    batches = jax.tree.map(lambda x: x.reshape(8, 5, *x.shape[1:]), (values, weights))
    empty = Averages.empty({"loss": (), "bins": (3,), "hit": ()})

    @jax.jit
    def scanned(scale):
        def step(state, batch):
            values, weights = batch
            return state.update(values | {"loss": scale * values["loss"]}, weights), 0

        return jax.lax.scan(step, empty, batches)[0].compute()["loss"]

    want = np.average(values["loss"], weights=weights)
    got = jax.vmap(scanned)(jnp.array([1.0, -2.0]))
    np.testing.assert_allclose(got, [want, -2 * want], rtol=1e-5)


def test_no_examples_are_undefined():
    assert np.isnan(Averages.empty({"a": ()}).compute()["a"])


def test_other_values_are_refused():
    one, two = Averages.empty({"a": ()}), Averages.empty({"b": (), "a": ()})
    with pytest.raises(ValueError, match="same values can be merged, got a and b, a"):
        one.merge(two)
