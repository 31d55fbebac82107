"""The second pass against NumPy in float64: batches, merges, devices, masks, trees."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, PartitionSpec as P

from ncjax import collapse
from ncjax.collapse import SecondPass
from ncjax.hierarchy import Hierarchy
from tests.collapse.problems import clusters, moments_of

TREE = Hierarchy(["root", "x", *"abcdef"], [-1, 0, 1, 1, 1, 0, 0, 0])
empty = jax.jit(SecondPass.empty, static_argnames=("decisions", "hierarchy"))
update = jax.jit(lambda state, *batch: state.update(*batch))
span_of = jax.jit(collapse.Span.of)


def data(std=1.0, offset=3.0, n=20):
    """Features, labels, decisions and weights, some of them 0."""
    features, labels, classifier, _ = clusters(n=n, std=std, offset=offset)
    features = features.astype(np.float32)
    decisions = (features.astype(np.float64) @ classifier.T).argmax(1)
    weights = np.random.default_rng(1).integers(0, 3, len(labels))
    return features, labels, decisions, weights.astype(np.float32)


def reference(features, labels, decisions, weights, train=None):
    """All results, in float64, by loops; `train` are the features of the means."""
    own, own_labels = (features, labels) if train is None else train
    h = features.astype(np.float64)
    mu = np.stack([own[own_labels == k].astype(np.float64).mean(0) for k in range(6)])
    nearest = ((h[:, None] - mu) ** 2).sum(2).argmin(1)
    within = np.einsum("n,ni,nj->ij", weights, h - mu[labels], h - mu[labels])
    average = functools.partial(np.average, weights=weights)
    return {
        "nc4": average(nearest != decisions),
        "ncc_accuracy": average(nearest == labels),
        "accuracy": average(decisions == labels),
        "within": within / weights.sum(),
    }


def assert_found(state, want, rtol=1e-4):
    found = state.compute()
    v = np.asarray(state.span.directions, np.float64)
    along = np.einsum("ri,ij,rj->r", v, want["within"], v)
    np.testing.assert_allclose(found["within_variance"], along, rtol=rtol)
    for name in ("nc4", "ncc_accuracy", "accuracy"):
        assert 0 < want[name] < 1
        np.testing.assert_allclose(found[name], want[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("offset", [3.0, 1e3])
def test_batches_in_any_order_and_split(offset):
    """Features of both signs and with a common part far larger than their spread."""
    whole = data(offset=offset)
    moments = moments_of(*whole[:2], scatter="none")
    want, start = reference(*whole), empty(moments)
    half, rest = len(whole[0]) // 2, len(whole[0]) - len(whole[0]) // 2
    for sizes in ([half, rest], [rest, half]):
        parts = np.split(np.arange(len(whole[0])), np.cumsum(sizes)[:-1])
        batches = [[jnp.asarray(x[rows]) for x in whole] for rows in parts]
        state = start
        for batch in batches:
            state = update(state, *batch)
        assert_found(state, want)
        one, other = (update(start, *batch) for batch in batches)
        assert_found(one.merge(other), want)
        assert_found(other.merge(one).merge(start), want)


def test_known_deviations_are_as_good():
    features, labels, decisions, weights = map(jnp.asarray, data())
    moments = moments_of(features, labels, scatter="none")
    start = empty(moments)
    deviations = jax.jit(start.span.deviations)(features, labels)
    got = jax.jit(start.update_deviations)(deviations, labels, decisions, weights)
    want = update(start, features, labels, decisions, weights)
    jax.tree.map(np.testing.assert_array_equal, got, want)


@pytest.mark.parametrize("devices", [1, 8])
def test_devices_share_the_features(devices):
    whole = [x[:64] for x in data()]
    moments = moments_of(*whole[:2])
    mesh = Mesh(
        np.array(jax.devices()[:devices]), ("data",), axis_types=(AxisType.Auto,)
    )

    def shared(moments, *batch):
        return SecondPass.empty(moments).update(*batch).all_reduce("data")

    state = jax.jit(
        jax.shard_map(
            shared,
            mesh=mesh,
            in_specs=(P(), *[P("data")] * 4),
            out_specs=P(),
            check_vma=False,
        )
    )(moments, *map(jnp.asarray, whole))
    assert_found(state, reference(*whole))


def test_many_networks_at_once_in_a_scan():
    """`vmap` over two networks, `scan` over batches: each as it is alone."""
    whole = [x[:60] for x in data()]
    scaled = np.stack([whole[0], whole[0][:, ::-1] * 2])

    @jax.jit
    @jax.vmap
    def measured(features):
        features = features.reshape(4, 15, -1)
        rest = [jnp.asarray(x).reshape(4, 15) for x in whole[1:]]
        moments = moments_of(features.reshape(60, -1), jnp.asarray(whole[1]), 6)
        step = lambda state, batch: (state.update(*batch), None)  # noqa: E731
        state, _ = jax.lax.scan(step, SecondPass.empty(moments), (features, *rest))
        return state

    states = measured(jnp.asarray(scaled))
    for i, features in enumerate(scaled):
        state = jax.tree.map(lambda x, i=i: x[i], states)
        assert_found(state, reference(features, *whole[1:]))


def test_another_set_about_the_training_means():
    features, labels, _, _ = data()
    moments = moments_of(features, labels)
    other = [x[:40] for x in data(std=1.5)]
    state = update(empty(moments), *map(jnp.asarray, other))
    assert_found(state, reference(*other, train=(features, labels)))


def test_without_decisions():
    features, labels, decisions, weights = data()
    state = empty(moments_of(features, labels), decisions=False)
    batch = jnp.asarray(features), jnp.asarray(labels)
    found = update(state, *batch, None, jnp.asarray(weights)).compute()
    assert set(found) == {"ncc_accuracy", "within_variance"}
    want = reference(features, labels, decisions, weights)["ncc_accuracy"]
    np.testing.assert_allclose(found["ncc_accuracy"], want, rtol=1e-6)


def test_rows_without_a_class_mean_are_left_out():
    features, labels, decisions, _ = data()
    known = labels != 2
    moments = moments_of(features[known], labels[known], 6)
    state = empty(moments)
    labels = np.where(labels == 3, -1, labels)
    labels = np.where(labels == 4, 6, labels)
    whole = update(state, *map(jnp.asarray, (features, labels, decisions)))
    kept = known & (labels >= 0) & (labels < 6)
    part = [jnp.asarray(x[kept]) for x in (features, labels, decisions)]
    want = update(state, *part)
    assert whole.averages.total == kept.sum()
    for name, value in want.compute().items():
        np.testing.assert_allclose(whole.compute()[name], value, rtol=1e-5)


def test_superclasses_are_those_of_pooled_labels():
    features, labels, decisions, weights = data()
    moments = moments_of(features, labels)
    state = empty(moments, hierarchy=TREE)
    state = update(state, *map(jnp.asarray, (features, labels, decisions, weights)))
    found = state.compute()
    (level,) = state.levels
    groups = np.asarray(level.groups)
    means = np.stack(
        [features[groups[labels] == g].astype(np.float64).mean(0) for g in range(4)]
    )
    nearest = ((features[:, None] - means) ** 2).sum(2).argmin(1)
    want = np.average(nearest != groups[decisions], weights=weights)
    np.testing.assert_allclose(found["level1/nc4"], want, rtol=1e-6)
    variance = collapse.within_variance(
        *map(jnp.asarray, (features, labels)),
        moments,
        level.basis[1],
        jnp.asarray(weights),
    )
    np.testing.assert_allclose(
        found["level1/within_variance"], variance, rtol=1e-4, atol=1e-6
    )


def test_bad_input_is_refused():
    features, labels, decisions, _ = map(jnp.asarray, data())
    moments = moments_of(features, labels)
    with pytest.raises(ValueError, match="made with decisions"):
        update(empty(moments), features, labels)
    with pytest.raises(ValueError, match="made without decisions"):
        update(empty(moments, decisions=False), features, labels, decisions)
    tree = empty(moments, hierarchy=TREE)
    with pytest.raises(ValueError, match="same values can be merged"):
        tree.merge(empty(moments))
