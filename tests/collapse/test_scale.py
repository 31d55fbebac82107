"""What claims not to depend on scale does not, as far as the features are numbers."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings, strategies as st

from ncjax import collapse
from ncjax.collapse import SecondPass
from ncjax.hierarchy import Hierarchy
from ncjax.moments import ClassMoments, class_moments
from tests.collapse.problems import clusters, compiled, moments_of

TREE = Hierarchy(["root", "x", *"abcdef"], [-1, 0, 1, 1, 1, 0, 0, 0])
FREE = [
    key
    for key in collapse.available(on_request=True)
    if not {"scale", "scale W"} & set(collapse.METRICS[key].changes_with)
]


@functools.cache
def data():
    features, labels, classifier, _ = clusters(std=0.6, offset=0.5)
    return features, labels, classifier


@jax.jit
def everything(features, labels, classifier):
    """All numbers without a scale: by moments that were merged, and a second pass."""
    half = len(features) // 2
    one, other = slice(0, half), slice(half, None)
    moments = class_moments(features[one], labels[one], 6, largest_norm=True)
    moments = moments.merge(
        class_moments(features[other], labels[other], 6, largest_norm=True)
    )
    found = collapse.measure(moments, classifier, only=FREE)
    decisions = collapse.linear_decisions(features, classifier, None)
    state = SecondPass.empty(moments, hierarchy=TREE)
    state = state.update(features, labels, decisions)
    sums = state.compute()
    found |= {k: sums[k] for k in ("ncc_accuracy", "nc4", "accuracy", "level1/nc4")}
    variance = sums["within_variance"]
    found["nc1 by variance"] = collapse.nc1(moments, within_variance=variance)
    (level,) = state.levels
    variance = sums["level1/within_variance"]
    levels = collapse.level_metrics(level, moments, variance, classifier)
    found |= {f"level1/{key}": value for key, value in levels.items()}
    found |= collapse.tree_metrics(moments, TREE)
    found["nc4 of all"] = collapse.nc4(features, decisions, moments)
    found["nc1 of features"] = collapse.nc1_of_features(features, labels, 6)
    found["nc5"] = collapse.nc5(moments, features[:3])
    directions = collapse.principal_directions(moments)
    found["neco"] = collapse.neco(features, directions).mean()
    return found


def assert_blind_to_scale(scale, scale_w, dtype, rtol):
    features, labels, classifier = data()
    labels = jnp.asarray(labels)
    want = everything(*map(jnp.asarray, (features.astype(dtype), labels, classifier)))
    features = (features * scale).astype(dtype)
    classifier = (classifier * scale_w).astype(dtype)
    got = everything(jnp.asarray(features), labels, jnp.asarray(classifier))
    for name, value in want.items():
        np.testing.assert_allclose(got[name], value, rtol, 1e-6, err_msg=name)
    assert 0 < want["nc4"] < 1
    assert 0 < want["ncc_accuracy"] < 1


@settings(max_examples=12, deadline=None)
@given(power=st.floats(-30, 30), power_w=st.floats(-30, 30))
@example(power=18, power_w=0)
@example(power=-20, power_w=0)
@example(power=30, power_w=-30)
@example(power=-30, power_w=-30)
def test_scale_changes_nothing_in_float32(power, power_w):
    assert_blind_to_scale(10.0**power, 10.0**power_w, np.float32, 1e-4)


@settings(max_examples=8, deadline=None)
@given(power=st.floats(-200, 200), power_w=st.floats(-100, 100))
@example(power=200, power_w=0)
@example(power=-200, power_w=-100)
@pytest.mark.slow
def test_scale_changes_nothing_in_float64(power, power_w):
    with jax.enable_x64(True):
        assert_blind_to_scale(10.0**power, 10.0**power_w, np.float64, 1e-8)


@settings(max_examples=10, deadline=None)
@given(powers=st.lists(st.integers(-30, 30), min_size=3, max_size=3))
def test_batches_of_different_scale_merge_to_the_same(powers):
    """Each batch has its own scale; all orders agree with NumPy in float64."""
    features, labels, _ = data()
    parts = np.array_split(np.arange(len(labels)), 3)
    scale = np.empty(len(labels))
    for rows, power in zip(parts, powers, strict=True):
        scale[rows] = 10.0**power
    x = (features * scale[:, None]).astype(np.float32)
    batches = [(jnp.asarray(x[rows]), jnp.asarray(labels[rows])) for rows in parts]
    take = jax.jit(ClassMoments.update)
    merge = jax.jit(ClassMoments.merge)
    start = ClassMoments.empty(6, 9)
    streamed = functools.reduce(
        lambda state, batch: take(state, *batch), batches, start
    )
    merged = functools.reduce(merge, [take(start, *b) for b in batches[::-1]])
    exact = x.astype(np.float64)
    mean = np.stack([exact[labels == k].mean(0) for k in range(6)])
    want = ((exact - mean[labels]) ** 2).sum()
    for moments in (streamed, merged):
        unit = float(moments.unit)
        got = np.asarray(moments.spread, np.float64).sum() * unit**2
        np.testing.assert_allclose(got, want, rtol=1e-4)
        got = np.trace(np.asarray(moments.scatter, np.float64)) * unit**2
        np.testing.assert_allclose(got, want, rtol=1e-4)


def test_ordinary_features_have_the_unit_1():
    for scale in (1e-9, 1.0, 1e8):
        features, labels, _ = data()
        moments = moments_of((scale * features).astype(np.float32), labels)
        assert moments.unit == 1
        jax.tree.map(np.testing.assert_array_equal, moments, moments.in_units())


def test_two_nearly_equal_means(x64):
    """Float64 tells means apart whose distance is 1e-5 of a scale of 4."""
    rng = np.random.default_rng(0)
    means = 4 * rng.normal(size=(5, 8))
    means[1] = means[0] + 1e-5 * rng.normal(size=8)
    labels = np.repeat(np.arange(5), 40)
    features = means[labels] + 1e-3 * rng.normal(size=(200, 8))
    mu = np.stack([features[labels == k].mean(0) for k in range(5)])
    centred = mu - mu.mean(0)
    rest = features - mu[labels]
    inverse = np.linalg.pinv(centred.T @ centred / 5, rcond=1e-14)
    want = np.trace(rest.T @ rest / 200 @ inverse) / 5
    moments = moments_of(features, labels)
    assert want > 1
    np.testing.assert_allclose(compiled.nc1(moments), want, rtol=1e-5)


@pytest.mark.parametrize("separation", [1e-4, 1e-5, 1e-7])
def test_two_classes_that_nearly_meet(separation, x64):
    """By hand: NC1 = 2 (spread / separation)^2 of two classes of the same spread."""
    spread, signs = 1e-3, np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    means = np.array([[4.0, -4.0], [4.0 + separation, -4.0]])
    features = (means[:, None] + spread * signs).reshape(8, 2)
    moments = moments_of(features, np.repeat([0, 1], 4))
    want = 2 * (spread / separation) ** 2
    np.testing.assert_allclose(compiled.nc1(moments), want, rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_rounding_leaves_is_no_direction(dtype):
    """Five distinct means on a line have rank 1, in each dtype."""
    with jax.enable_x64(dtype == np.float64):
        line = np.outer(np.arange(5.0) ** 2, np.random.default_rng(0).normal(size=8))
        features = np.repeat(line, 3, axis=0).astype(dtype)
        moments = moments_of(features, np.repeat(np.arange(5), 3))
        assert collapse.measure(moments, only=["rank"])["rank"] == 1
