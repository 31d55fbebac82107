"""Moments of features and targets: of any split, on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec as P

from ncjax.regression import RegressionMoments, RegressionPass, regression_moments
from tests.regression.definitions import problem

FEATURES, TARGETS, CLASSIFIER = (np.float32(x) for x in problem(n=320, d=5, t=2))


def assert_those_of(moments, features, targets, rtol=2e-6):
    features, targets = np.float64(features), np.float64(targets)
    whole = np.concatenate([features, targets], 1)
    d = features.shape[1]
    want = np.cov(whole.T, bias=True)
    found = np.block(
        [
            [moments.feature_cov, moments.cross_cov],
            [np.asarray(moments.cross_cov).T, moments.target_cov],
        ]
    )
    size = np.sqrt(np.diag(want))
    np.testing.assert_allclose(
        found / np.outer(size, size), want / np.outer(size, size), atol=rtol
    )
    np.testing.assert_allclose(moments.mean, whole.mean(0)[:d], rtol=rtol, atol=1e-6)
    np.testing.assert_allclose(moments.target_mean, whole.mean(0)[d:], rtol=rtol)
    assert moments.total == len(features)


update, merge = jax.jit(RegressionMoments.update), jax.jit(RegressionMoments.merge)


@pytest.mark.parametrize("cuts", [(), (1, 160, 161)])
def test_any_split_gives_the_moments_of_all(cuts):
    parts = zip(np.split(FEATURES, cuts), np.split(TARGETS, cuts), strict=True)
    updated = merged = RegressionMoments.empty(2, 5)
    for part in parts:
        updated = update(updated, *part)
        merged = merge(merged, update(RegressionMoments.empty(2, 5), *part))
    assert_those_of(updated, FEATURES, TARGETS)
    assert_those_of(merged, FEATURES, TARGETS)


def test_a_large_common_mean_costs_no_digits():
    features = np.float32(FEATURES * 1e-2 + 1000)
    moments = RegressionMoments.empty(2, 5)
    for rows in np.split(np.arange(320), 8):
        moments = update(moments, features[rows], TARGETS[rows])
    assert_those_of(moments, features, TARGETS, rtol=1e-5)


def test_weights_mask_rows_and_large_batches_go_in_blocks():
    many = np.tile(np.arange(320), 40)  # more than one block
    keep = np.random.default_rng(0).random(len(many)) < 0.5
    nothing = RegressionMoments.empty(2, 5)
    moments = update(nothing, FEATURES[many], TARGETS[many], np.float32(keep))
    kept = many[keep]
    assert_those_of(moments, FEATURES[kept], TARGETS[kept], rtol=1e-5)
    unseen = update(nothing, FEATURES, TARGETS, np.zeros(320, np.float32))
    assert_those_of(update(unseen, FEATURES, TARGETS), FEATURES, TARGETS)
    whole = merge(merge(unseen, nothing), moments)
    assert_those_of(whole, FEATURES[kept], TARGETS[kept], rtol=1e-5)


def test_sizes_that_grow_from_batch_to_batch_keep_their_units():
    """The first half is negligible beside the second, and nothing overflows."""
    moments = RegressionMoments.empty(2, 5)
    moments = update(moments, FEATURES[:160] * 1e-19, TARGETS[:160])
    moments = update(moments, FEATURES[160:] * 1e19, TARGETS[160:])
    whole = np.concatenate([FEATURES[:160] * 1e-19, FEATURES[160:] * 1e19])
    want = np.cov(np.float64(whole).T, bias=True) / float(moments.unit[0]) ** 2
    np.testing.assert_allclose(
        moments.feature_cov, want, rtol=1e-5, atol=1e-6 * want.max()
    )
    np.testing.assert_allclose(
        moments.target_cov, np.cov(TARGETS.T, bias=True), rtol=1e-5
    )


@pytest.mark.slow
def test_devices_share_the_rows():
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))

    def share(features, targets):
        own = RegressionMoments.empty(2, 5).update(features, targets)
        moments = own.all_reduce("data")
        state = RegressionPass.empty(moments, jnp.asarray(CLASSIFIER))
        outputs = features @ CLASSIFIER.T
        again = state.residual_deviations(own.residual(features, targets), targets, own)
        both = (
            state.update(features, targets, outputs),
            state.update_deviations(again, targets, outputs),
        )
        return moments, [one.all_reduce("data").compute() for one in both]

    shared = jax.shard_map(
        share, mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False
    )
    moments, found = jax.jit(shared)(FEATURES, TARGETS)
    assert_those_of(moments, FEATURES, TARGETS)
    state = RegressionPass.empty(moments, jnp.asarray(CLASSIFIER))
    want = state.update(FEATURES, TARGETS, FEATURES @ CLASSIFIER.T).compute()
    for one in found:
        for key, value in want.items():
            np.testing.assert_allclose(one[key], value, rtol=2e-5, err_msg=key)


@pytest.mark.slow
def test_bfloat16_features():
    features = jnp.asarray(FEATURES, jnp.bfloat16)
    moments = regression_moments(features, TARGETS)
    assert_those_of(moments, np.asarray(features, np.float64), TARGETS)


def test_shapes_that_do_not_fit_are_refused():
    moments = regression_moments(FEATURES, TARGETS)
    with pytest.raises(ValueError, match=r"take \[n, 5\] and \[n, 2\]"):
        moments.update(FEATURES[:, :4], TARGETS)
    with pytest.raises(ValueError, match="319 targets of 320 features"):
        moments.update(FEATURES, TARGETS[1:])
    with pytest.raises(ValueError, match=r"got d=5, t=2, 320 examples and d=6, t=2"):
        moments.merge(RegressionMoments.empty(2, 6))
    with pytest.raises(ValueError, match="at least 1, got 0 and 5"):
        RegressionMoments.empty(0, 5)
