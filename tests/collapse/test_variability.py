"""NC1, its floor, trace ratio, VCI: definitions, float32, many classes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import blocks, collapse
from ncjax.moments import ClassMoments
from tests.collapse.problems import clusters, compiled, moments_of

# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "nc1": lambda x: np.trace(x.within @ x.inverse) / x.divisor,
    "nc1_floor": lambda x: np.trace(x.rounding @ x.inverse) / x.divisor,
    "trace_ratio": lambda x: np.trace(x.within) / np.trace(x.between),
    "rnc1": lambda x: np.trace(x.within) / max(np.sum(row**2) for row in x.h),
    "vci": lambda x: (
        1 - np.trace(np.linalg.pinv(x.within + x.between) @ x.between) / x.rank
    ),
}


@pytest.mark.parametrize("std", [1e-1, 1e-2, 1e-3, 1e-5])
def test_nc1_survives_float32(std):
    """Means of norm 40: raw second moments are wrong by a factor 30 at std 1e-3."""
    rng = np.random.default_rng(0)
    means, labels = 5 * rng.normal(size=(10, 64)), np.repeat(np.arange(10), 500)
    features = means[labels] + std * rng.normal(size=(5000, 64))
    features = features.astype(np.float32)
    moments = moments_of(features, labels)
    with jax.enable_x64(True):
        exact = compiled.nc1(moments_of(features.astype(np.float64), labels))
    np.testing.assert_allclose(compiled.nc1(moments), exact, rtol=1e-5)
    _, directions = compiled.between_basis(moments)
    variance = compiled.within_variance(
        jnp.asarray(features), jnp.asarray(labels), moments, directions
    )
    light = moments_of(features, labels, scatter="none")
    got = compiled.nc1(light, within_variance=variance)
    np.testing.assert_allclose(got, exact, rtol=1e-5)


@pytest.mark.parametrize(
    "num_classes", [8, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 40))]
)
def test_nc1_of_features_is_nc1_whichever_way_is_cheaper(x64, num_classes):
    rng = np.random.default_rng(0)
    labels = np.arange(400) % num_classes
    means = rng.normal(size=(num_classes, 9))
    features = means[labels] + 0.1 * rng.normal(size=(400, 9))
    found = collapse.nc1_of_features(
        jnp.asarray(features), jnp.asarray(labels), num_classes
    )
    want = compiled.nc1(moments_of(features, labels, num_classes))
    np.testing.assert_allclose(found, want, rtol=1e-10)


@functools.partial(jax.jit, static_argnames="divide_by_classes")
def _nc1_in(moments, basis, **options):
    return collapse.nc1(moments, basis=basis, **options)


@pytest.mark.parametrize("smallest", [1.0, 1e-3, 1e-5, 1e-9])
def test_nc1_of_more_classes_than_dimensions(smallest):
    """One direction of the means ever weaker: solved, and dropped at the same point."""
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(80, 16)), np.arange(1000) % 75  # 5 of them empty
    means[:, 0] *= smallest
    features = means[labels] + 1e-2 * rng.normal(size=(1000, 16))
    with jax.enable_x64(True):
        moments = moments_of(features, labels, 80)
        basis = compiled.between_basis(moments)
        for option in (True, False):
            want = _nc1_in(moments, basis, divide_by_classes=option)
            got = compiled.nc1(moments, divide_by_classes=option)
            np.testing.assert_allclose(got, want, rtol=1e-9)
    features = features.astype(np.float32)
    with jax.enable_x64(True):
        exact = compiled.nc1(moments_of(features.astype(np.float64), labels, 80))
    moments = moments_of(features, labels, 80)
    np.testing.assert_allclose(compiled.nc1(moments), exact, rtol=1e-5)


@pytest.mark.parametrize("present", [16, 17])
def test_nc1_of_more_classes_of_which_few_are_there(present):
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(40, 16)), np.arange(680) % present
    features = (means[labels] + 1e-2 * rng.normal(size=(680, 16))).astype(np.float32)
    few, many = (moments_of(features, labels, k) for k in (present, 40))
    want = _nc1_in(few, compiled.between_basis(few))
    np.testing.assert_allclose(compiled.nc1(many), want, rtol=1e-4)


def test_within_variance_masks_and_blocks(x64, monkeypatch):
    features, labels, _, _ = clusters()
    moments = moments_of(features, labels)
    directions = compiled.between_basis(moments)[1]
    labels = np.concatenate([labels, [-1, 6, 0]])
    features = np.concatenate([features, np.ones((3, 9))])
    weights = np.ones(len(labels))
    weights[-1] = 0
    want = np.einsum("ri,ij,rj->r", directions, moments.within_cov, directions)
    for rows in (4096, 7):
        monkeypatch.setattr(blocks, "_ROWS", rows)
        arrays = [jnp.asarray(x) for x in (features, labels, weights)]
        # A new function: what was compiled before holds the old constant.
        got = jax.jit(
            lambda h, y, w: collapse.within_variance(h, y, moments, directions, w)
        )(*arrays)
        np.testing.assert_allclose(got, want, rtol=1e-10)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_nc1_floor_is_nc1_of_rounding(dtype):
    rng = np.random.default_rng(0)
    means, labels = rng.normal(size=(10, 64)), np.repeat(np.arange(10), 200)
    ulp = float(jnp.finfo(dtype).eps) * 2.0 ** np.floor(np.log2(np.abs(means)))

    def rounded(share):
        noise = share * ulp[labels] * rng.normal(size=(2000, 64))
        features = jnp.asarray(means[labels] + noise, jnp.float32)
        with jax.enable_x64(True):  # float32 must not be rounded before its time
            features = jnp.asarray(means[labels] + noise).astype(dtype)
        moments = moments_of(features, labels)
        return compiled.nc1(moments), compiled.nc1_floor(moments)

    for share in (0.1, 0.2):  # of an ulp: less than the rounding error
        nc1, floor = rounded(share)
        assert 0.5 < nc1 / floor < 2
    nc1, floor = rounded(1e-3)  # classes round to one number: below the floor
    assert nc1 < 0.1 * floor
    nc1, floor = rounded(10)
    assert nc1 > 100 * floor


def test_rnc1_is_one_number_however_features_are_read():
    """Batches, merges and devices; weight 0 and labels outside are no features."""
    features, labels, _, _ = clusters()
    far = np.concatenate([features, 1e3 * np.ones((2, 9))]).astype(np.float32)
    outside = np.concatenate([labels, [-1, 0]])
    weights = jnp.asarray((np.arange(len(far)) < len(labels) + 1).astype(np.float32))
    exact = far[: len(labels)].astype(np.float64)
    mean = np.stack([exact[labels == k].mean(0) for k in range(6)])
    want = np.mean(np.sum((exact - mean[labels]) ** 2, 1))
    want /= max(np.sum(exact**2, 1))
    take = jax.jit(ClassMoments.update)
    empty = ClassMoments.empty(6, 9, scatter="none", largest_norm=True)
    parts = [
        take(empty, far[r], outside[r], weights[r])
        for r in (slice(0, 40), slice(40, None))
    ]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *parts)
    reduced = jax.vmap(lambda m: m.all_reduce("i"), axis_name="i")(stacked)
    for moments in (
        parts[0].merge(parts[1]),
        take(parts[0], far[40:], outside[40:], weights[40:]),
        jax.tree.map(lambda x: x[0], reduced),
    ):
        np.testing.assert_allclose(compiled.rnc1(moments), want, rtol=1e-5)


def test_rnc1_of_two_pairs_by_hand(x64):
    """Points 1 and 3, 5 and 7 on a line: variance 1, largest square 49."""
    moments = moments_of(np.array([[1.0], [3], [5], [7]]), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(compiled.rnc1(moments), 1 / 49)


def test_vci_is_blind_to_linear_maps(x64):
    features, labels, _, _ = clusters()
    mixed = features @ np.random.default_rng(1).normal(size=(9, 9))
    got = collapse.measure(moments_of(features, labels), only=("vci", "nc1"))
    other = collapse.measure(moments_of(mixed, labels), only=("vci", "nc1"))
    np.testing.assert_allclose(got["vci"], other["vci"], rtol=1e-8)
    assert abs(got["nc1"] - other["nc1"]) > 0.1 * got["nc1"]


def test_vci_of_singular_within_covariance(x64):
    """ReLU features have dead coordinates; few samples leave directions empty."""
    features, labels, _, _ = clusters(4, 12, 20)
    features[:, :3] = 0
    moments = moments_of(features, labels)
    within, k = np.asarray(moments.within_cov), 4
    centred = np.asarray(compiled.centred_means(moments))
    between = centred.T @ centred / k
    want = 1 - np.trace(np.linalg.pinv(within + between) @ between) / 3
    np.testing.assert_allclose(compiled.vci(moments), want, rtol=1e-8)


def test_numerical_rank(x64):
    rows = np.diag([3.0, 4.0, 0.0])[:, :2]
    np.testing.assert_allclose(compiled.numerical_rank(jnp.asarray(rows)), 49 / 25)
    flat = jnp.outer(jnp.arange(1.0, 6), jnp.arange(1.0, 4))
    np.testing.assert_allclose(compiled.numerical_rank(flat), 1, rtol=1e-7)
