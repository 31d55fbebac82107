"""Moments against float64 two-pass NumPy: exact under any split, order and merge."""

import functools
import itertools
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from jax.sharding import PartitionSpec as P

from ncjax import collapse, moments as library
from ncjax.blocks import class_sum
from ncjax.moments import ClassMoments

class_moments = jax.jit(
    library.class_moments, static_argnums=2, static_argnames="scatter"
)
merge = jax.jit(ClassMoments.merge)
update = jax.jit(ClassMoments.update)


def clusters(n=400, k=5, d=16, std=1e-2, seed=0, offset=0.0):
    """Features [n, d] float32 around k means of order 1, labels [n]."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(k, d)) + offset
    labels = rng.integers(0, k, n).astype(np.int32)
    features = means[labels] + std * np.sqrt(d) * rng.normal(size=(n, d)) / np.sqrt(d)
    return features.astype(np.float32), labels


def two_pass(features, labels, k, weights=None):
    """Count [k], means [k, d], within_cov [d, d], spread [k]; loops, float64."""
    x = np.asarray(features, np.float64)
    w = np.ones(len(x)) if weights is None else np.asarray(weights, np.float64)
    d = x.shape[1]
    count, means, spread = np.zeros(k), np.zeros((k, d)), np.zeros(k)
    scatter = np.zeros((k, d, d))
    for c in range(k):
        rows = labels == c
        count[c] = w[rows].sum()
        if count[c] > 0:
            means[c] = w[rows] @ x[rows] / count[c]
            r = x[rows] - means[c]
            scatter[c] = (w[rows, None] * r).T @ r
            spread[c] = np.trace(scatter[c])
    return count, means, scatter, spread


def nc1_of(means, within):
    """NC1 = (1/K) tr(Sigma_W pinv(Sigma_B)) in float64 from the K-1 directions."""
    m = np.asarray(means, np.float64)
    _, s, v = np.linalg.svd(m - m.mean(0), full_matrices=False)
    r = min(len(m) - 1, m.shape[1])
    along = np.einsum("rd,de,re->r", v[:r], np.asarray(within, np.float64), v[:r])
    return float(np.sum(along / s[:r] ** 2))


def assert_matches(moments, features, labels, k, weights=None, rtol=2e-6):
    count, means, scatter, spread = two_pass(features, labels, k, weights)
    scale = max(spread.sum() / max(count.sum(), 1), 1e-30)
    np.testing.assert_allclose(moments.count, count, rtol=1e-6)
    np.testing.assert_allclose(moments.spread, spread, rtol=1e-5, atol=1e-6 * scale)
    got = np.asarray(moments.offset, np.float64) + np.asarray(moments.pivot, np.float64)
    np.testing.assert_allclose(got, means, atol=rtol * np.sqrt(scale), rtol=0)
    if moments.scatter is not None:
        want = scatter if moments.scatter.ndim == 3 else scatter.sum(0)
        # rtol of the size of the matrix: entries near 0 have no relative precision
        np.testing.assert_allclose(
            moments.scatter, want, rtol=0, atol=rtol * np.abs(want).max()
        )


def test_hand_computed():
    features = jnp.array([[0.0, 0.0], [2.0, 0.0], [5.0, 5.0]])
    moments = class_moments(features, jnp.array([0, 0, 1]), 3)
    np.testing.assert_array_equal(moments.count, [2, 1, 0])
    np.testing.assert_array_equal(moments.means, [[1, 0], [5, 5], [0, 0]])
    np.testing.assert_array_equal(moments.spread, [2, 0, 0])
    np.testing.assert_array_equal(moments.scatter, [[2, 0], [0, 0]])
    np.testing.assert_allclose(moments.within_cov, [[2 / 3, 0], [0, 0]])
    np.testing.assert_array_equal(moments.variances, [1, 0, 0])
    assert moments.total == 3


@pytest.mark.parametrize("scatter", ["none", "pooled", "classes"])
@pytest.mark.parametrize("std", [1.0, 1e-2, 1e-4, 1e-6])
def test_matches_two_pass(scatter, std):
    features, labels = clusters(std=std)
    moments = class_moments(features, labels, 5, scatter=scatter)
    assert_matches(moments, features, labels, 5)


@pytest.mark.parametrize("n", [8192, 9001])
def test_long_batches_are_taken_in_blocks(n):
    features, labels = clusters(n, 5, 8, 1e-4)
    for scatter in ("none", "pooled"):
        moments = class_moments(features, labels, 5, scatter=scatter)
        assert_matches(moments, features, labels, 5)
    weights = (np.arange(n) % 3 > 0).astype(np.float32)
    moments = class_moments(features, labels, 5, weights)
    assert_matches(moments, features, labels, 5, weights)


def merge_at_random(parts, rng):
    """Merges two, in any order, until one is left."""
    while len(parts) > 1:
        a, b = sorted(rng.choice(len(parts), 2, replace=False))
        parts.append(merge(parts.pop(b), parts.pop(a)))
    return parts[0]


@settings(max_examples=30, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 400), max_size=6),
    seed=st.integers(0, 2**31),
    std=st.sampled_from([1e-1, 1e-3, 1e-6]),
)
def test_any_split_order_and_merge_tree(cuts, seed, std):
    features, labels = clusters(std=std)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    features, labels = features[order], labels[order]
    edges = [0, *sorted(cuts), len(labels)]
    rows = np.arange(len(labels))
    parts = [  # masks, some of them empty, so that one compilation serves all
        class_moments(
            features, labels, 5, ((rows >= a) & (rows < b)).astype(np.float32)
        )
        for a, b in itertools.pairwise(edges)
    ]
    total = merge_at_random(parts, rng)
    assert_matches(total, features, labels, 5)
    _, means, scatter, _ = two_pass(features, labels, 5)
    want = nc1_of(means, scatter.sum(0) / len(labels))
    got = nc1_of(total.means, total.within_cov)
    assert got == pytest.approx(want, rel=1e-5)


@functools.lru_cache(maxsize=2)
def full_size(k, exponent):
    """50,000 features around k means, their labels, and NC1 in float64."""
    features, labels = clusters(50_000, k, 512, 10.0**exponent)
    _, means, scatter, _ = two_pass(features, labels, k)
    return features, labels, nc1_of(means, scatter.sum(0) / len(labels))


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    k=st.sampled_from([10, 100]),
    exponent=st.integers(-6, -1),
    cuts=st.lists(st.integers(0, 50_000), max_size=20),
    states=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_nc1_of_50000_features_any_split_order_and_merge_tree(
    k, exponent, cuts, states, seed
):
    """Batches between cuts, of at most 5000; each updates any one of several states."""
    features, labels, want = full_size(k, exponent)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    features, labels = features[order], labels[order]
    parts = [ClassMoments.empty(k, 512) for _ in range(states)]
    edges = sorted({*cuts, *range(0, 50_001, 5000)})
    for a, b in itertools.pairwise(edges):
        rows = np.minimum(np.arange(a, a + 5000), b - 1)  # one compilation for all
        mask = (np.arange(5000) < b - a).astype(np.float32)
        i = rng.integers(states)
        parts[i] = update(parts[i], features[rows], labels[rows], mask)
    total = merge_at_random(parts, rng)
    np.testing.assert_array_equal(total.count, np.bincount(labels, minlength=k))
    assert nc1_of(total.means, total.within_cov) == pytest.approx(want, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("k", [10, 100])
@pytest.mark.parametrize("std", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6])
def test_nc1_of_50000_features(k, std):
    features, labels = clusters(50_000, k, 512, std)
    _, means, scatter, _ = two_pass(features, labels, k)
    want = nc1_of(means, scatter.sum(0) / len(labels))
    for batch in (100, 1000, 50_000):
        moments = jax.jit(stream, static_argnums=(2, 3))(features, labels, k, batch)
        got = nc1_of(moments.means, moments.within_cov)
        assert got == pytest.approx(want, rel=1e-5)


def stream(features, labels, k, batch):
    empty = ClassMoments.empty(k, features.shape[1])
    batches = features.reshape(-1, batch, features.shape[1]), labels.reshape(-1, batch)
    return jax.lax.scan(lambda m, b: (m.update(*b), None), empty, batches)[0]


def test_nc1_when_std_is_1e_4_of_the_mean_norm():
    features, labels = clusters(5000, 10, 64, 1e-4)
    moments = jax.jit(stream, static_argnums=(2, 3))(features, labels, 10, 100)
    _, means, scatter, _ = two_pass(features, labels, 10)
    want = nc1_of(means, scatter.sum(0) / len(labels))
    assert nc1_of(moments.means, moments.within_cov) == pytest.approx(want, rel=1e-5)
    # What this design is for: the same sums of raw moments have no digit left.
    x = jnp.asarray(features)
    raw = x.T @ x / len(x) - jnp.einsum(
        "k,ki,kj->ij", moments.count / len(x), moments.means, moments.means
    )
    assert abs(nc1_of(means, raw) / want - 1) > 0.1


def test_common_offset_does_not_hurt():
    features, labels = clusters(std=1e-3, offset=100.0)
    moments = class_moments(features, labels, 5)
    assert_matches(moments, features, labels, 5)


def test_empty_state_and_empty_classes():
    empty = ClassMoments.empty(4, 3)
    assert empty.total == 0
    features, labels = clusters(50, 2, 3)
    moments = class_moments(features, labels, 4)
    assert_matches(moments, features, labels, 4)
    for merged in (empty.merge(moments), moments.merge(empty)):
        jax.tree.map(np.testing.assert_array_equal, merged, moments)


def test_a_state_can_be_donated():
    features, labels = clusters()
    update = jax.jit(ClassMoments.update, donate_argnums=0)
    moments = update(ClassMoments.empty(5, 16), features, labels)
    assert_matches(moments, features, labels, 5)


def test_singletons_have_no_spread():
    features, _ = clusters(5, 5, 3)
    moments = class_moments(features, np.arange(5, dtype=np.int32), 5)
    np.testing.assert_array_equal(moments.spread, np.zeros(5))
    np.testing.assert_array_equal(moments.means, features)


def test_weights_and_masks():
    features, labels = clusters()
    weights = np.random.default_rng(1).uniform(0, 3, len(labels)).astype(np.float32)
    moments = class_moments(features, labels, 5, weights)
    assert_matches(moments, features, labels, 5, weights)
    mask = (weights > 1).astype(np.float32)
    masked = class_moments(features, labels, 5, mask)
    kept = class_moments(features[mask > 0], labels[mask > 0], 5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5),
        masked,
        kept,
    )


def test_labels_outside_are_left_out():
    features, labels = clusters()
    wrong = labels.copy()
    wrong[:7], wrong[7:9] = -1, 5
    moments = class_moments(features, wrong, 5)
    assert_matches(moments, features[9:], labels[9:], 5)


@pytest.mark.parametrize("k", [3, 200])  # one-hot product, and scatter-add
def test_class_sum(k):
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(500, 4)), rng.integers(0, k, 500)
    want = np.zeros((k, 4))
    np.add.at(want, labels, values)
    got = class_sum(jnp.asarray(values), jnp.asarray(labels), k)
    np.testing.assert_allclose(got, want, atol=1e-5)


def test_bfloat16_in_float32_state():
    features, labels = clusters(std=0.1)
    half = jnp.asarray(features).astype(jnp.bfloat16)
    moments = class_moments(half, labels, 5)
    assert moments.pivot.dtype == jnp.float32
    assert moments.resolution == 2.0**-7
    assert_matches(moments, np.asarray(half, np.float64), labels, 5)


def test_float64():
    with jax.enable_x64(True):
        features, labels = clusters(std=1e-8)
        features = features.astype(np.float64)
        features += 1e-9 * np.random.default_rng(0).normal(size=features.shape)
        moments = class_moments(features, labels, 5)
        assert moments.count.dtype == jnp.float64
        assert_matches(moments, features, labels, 5, rtol=1e-7)


def test_vmap_is_a_loop():
    parts = [clusters(seed=s) for s in range(3)]
    features, labels = (np.stack(x) for x in zip(*parts))
    stacked = jax.vmap(lambda f, y: class_moments(f, y, 5))(features, labels)
    for i, (f, y) in enumerate(parts):
        one = jax.tree.map(lambda x, i=i: x[i], stacked)
        assert_matches(one, f, y, 5)


def test_all_reduce_over_eight_devices():
    # The first device sees only class 0, so pivots must come from several owners.
    features, labels = clusters(std=1e-5)
    order = np.argsort(labels, kind="stable")
    features, labels = features[order], labels[order]
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    reduced = jax.jit(
        jax.shard_map(
            lambda f, y: class_moments(f, y, 5).all_reduce("data"),
            mesh=mesh,
            in_specs=P("data"),
            out_specs=P(),
            check_vma=False,
        )
    )(features, labels)
    assert_matches(reduced, features, labels, 5)


def test_global_view_sharding_gives_the_same():
    features, labels = clusters()
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    spread = jax.device_put(
        (features, labels), jax.sharding.NamedSharding(mesh, P("data"))
    )
    moments = jax.jit(lambda f, y: class_moments(f, y, 5))(*spread)
    assert_matches(moments, features, labels, 5)


def test_classes_can_be_sharded_over_a_mesh():
    """Many classes: every device holds the moments of its share of them."""
    features, labels = clusters(600, 64, 8)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    by_class = jax.sharding.NamedSharding(mesh, P("data"))
    empty = ClassMoments.empty(64, 8, scatter="none")
    shardings = jax.tree.map(lambda x: by_class if x.ndim else None, empty)
    update = jax.jit(ClassMoments.update, out_shardings=shardings)
    moments = update(empty, features, labels)
    assert moments.pivot.addressable_shards[0].data.shape == (8, 8)
    assert_matches(moments, features, labels, 64)
    means = jax.jit(collapse.centred_means)(moments)
    want = two_pass(features, labels, 64)[1]
    np.testing.assert_allclose(means, want - want.mean(0), atol=1e-5)


@pytest.mark.parametrize("scatter", ["none", "pooled", "classes"])
def test_save_and_load(tmp_path, scatter):
    features, labels = clusters()
    moments = class_moments(features, labels, 5, scatter=scatter)
    moments.save(tmp_path / "moments.npz")
    loaded = ClassMoments.load(tmp_path / "moments.npz")
    jax.tree.map(np.testing.assert_array_equal, loaded, moments)
    assert [p.name for p in tmp_path.iterdir()] == ["moments.npz"]


def test_bad_input():
    with pytest.raises(ValueError, match="at least 1"):
        ClassMoments.empty(0, 3)
    with pytest.raises((ValueError, TypeError), match=r"none.*pooled.*classes"):
        ClassMoments.empty(2, 3, scatter="full")  # type: ignore
    state = ClassMoments.empty(2, 3)
    with pytest.raises(ValueError, match=r"take \[n, 3\]"):
        state.update(jnp.zeros((4, 5)), jnp.zeros(4, jnp.int32))
    with pytest.raises(ValueError, match="same number of classes"):
        state.merge(ClassMoments.empty(3, 3))
    with pytest.raises(ValueError, match="scatter='pooled'"):
        _ = ClassMoments.empty(2, 3, scatter="none").within_cov


_NUMPY = """
import warnings
import numpy as np
from ncjax import collapse
from ncjax.moments import class_moments

warnings.simplefilter("error")
rng = np.random.default_rng(0)
labels = np.arange(60) % 5
features, classifier = rng.normal(size=(60, 8)), rng.normal(size=(5, 8))
moments = class_moments(features, labels, 5).update(features, labels)
collapse.measure(moments, classifier, classifier[:, 0])
collapse.nc1_of_features(features, labels, 5)
collapse.nc4(features, features @ classifier.T, moments)
collapse.ncc_accuracy(features, labels, moments)
collapse.linear_decisions(features, classifier, classifier[:, 0])
collapse.nc3(moments, classifier)
collapse.gram_distance(moments, classifier @ classifier.T)
state = collapse.SecondPass.empty(moments, decisions=False)
state.update(features, labels)
assert moments.count.dtype == np.float32
assert moments.resolution == np.finfo(np.float32).eps
"""


def test_float64_of_numpy_is_taken_without_a_word():
    """Outside x64 JAX has no float64; a word for each array would hide all others."""
    command = [sys.executable, "-c", _NUMPY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_rows_left_out_are_counted():
    """Inside jit labels cannot be refused; outside they are, and weight 0 is no row."""
    features = jnp.arange(14.0).reshape(7, 2)
    labels = jnp.array([0, 1, 2, -1, 3, 1, 9])
    weights = jnp.array([1.0, 1, 1, 1, 1, 1, 0])
    take = jax.jit(lambda m, *rows: m.update(*rows))
    empty = ClassMoments.empty(3, 2)
    found = take(take(empty, features, labels, weights), features[:4], labels[:4])
    assert float(found.left_out) == 3
    assert float(found.total) == 7
    assert float(found.merge(found).left_out) == 6
    assert found.describe().endswith("3 rows left out")
    total = jax.vmap(lambda m: m.all_reduce("i"), axis_name="i")(
        jax.tree.map(lambda x: jnp.stack([x, x]), found)
    )
    assert total.left_out.tolist() == [6, 6]
    with pytest.warns(UserWarning, match=r"3 rows .* outside 0\.\.2 were left"):
        collapse.measure(found, only=("trace_ratio",))
    assert "left out" not in take(empty, features[:3], labels[:3]).describe()


def test_old_files_have_no_rows_left_out_and_no_largest_norm(tmp_path):
    moments = class_moments(jnp.eye(2), jnp.array([0, 1]), 2)
    moments.save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = {k: file[k] for k in file.files if k not in ("left_out", "largest")}
    np.savez(tmp_path / "m.npz", **arrays)
    found = ClassMoments.load(tmp_path / "m.npz")
    assert found.left_out == 0
    assert found.largest is None
    assert "rnc1" not in collapse.measure(found)
    with pytest.raises(ValueError, match="RNC1 needs the largest norm"):
        collapse.rnc1(found)
