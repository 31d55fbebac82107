"""Moments of sets of labels: any split, masks, devices; and what sets must be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec as P

from ncjax.multilabel import SetMoments, SetPass, pair_labels, set_moments
from ncjax.multilabel.labels import check_sets, pair_numbers
from tests.multilabel import definitions

FEATURES, LABELS, _ = definitions.problem()
FEATURES = np.float32(FEATURES)
DECISIONS = np.random.default_rng(1).integers(5, size=len(LABELS))

update = jax.jit(SetMoments.update)


def assert_those_of(moments, features, labels):
    of = definitions.means(np.float64(features), labels)
    low, high = pair_labels(5)
    for k in range(5):
        wanted = of.get(frozenset([k]), np.zeros(12))
        np.testing.assert_allclose(moments.single.means[k], wanted, atol=1e-5)
    for number, pair in enumerate(zip(low.tolist(), high.tolist())):
        wanted = of.get(frozenset(pair), np.zeros(12))
        np.testing.assert_allclose(moments.pairs.means[number], wanted, atol=1e-5)
    sizes = labels.sum(1)
    np.testing.assert_array_equal(moments.sizes.count, np.bincount(sizes, minlength=6))
    wanted = [labels[sizes == m].sum(0) for m in range(6)]
    np.testing.assert_array_equal(moments.together, wanted)
    for part in (moments.single, moments.pairs, moments.sizes):
        assert part.left_out == 0


def test_any_split_and_any_mask_give_the_same():
    keep = np.random.default_rng(0).random(400) < 0.7
    whole = update(SetMoments.empty(5, 12), FEATURES, LABELS)
    assert_those_of(whole, FEATURES, LABELS)
    masked = update(SetMoments.empty(5, 12), FEATURES, LABELS, np.float32(keep))
    assert_those_of(masked, FEATURES[keep], LABELS[keep])
    rest = update(SetMoments.empty(5, 12), FEATURES, LABELS, np.float32(~keep))
    assert_those_of(masked.merge(rest), FEATURES, LABELS)
    assert masked.merge(rest).describe().startswith("d=12, K=5, ")
    assert float(whole.total) == 400


def test_sets_of_two_have_one_number_each():
    for k in (2, 3, 7):
        low, high = pair_labels(k)
        hot = (np.arange(k) == low[:, None]) | (np.arange(k) == high[:, None])
        found = pair_numbers(jnp.asarray(hot))
        np.testing.assert_array_equal(found, np.arange(k * (k - 1) // 2))


@pytest.mark.slow
def test_the_second_pass_takes_residuals_of_other_pivots():
    moments = set_moments(FEATURES, LABELS)
    other = set_moments(FEATURES[::-1], LABELS[::-1])

    @jax.jit
    def both(moments, other):
        state = SetPass.empty(moments)
        again = other.residual(FEATURES, LABELS)
        again = state.residual_deviations(again, LABELS, other)
        halves = [
            state.update_deviations(again[part], LABELS[part], DECISIONS[part])
            for part in (slice(0, 150), slice(150, None))
        ]
        whole = state.update(FEATURES, LABELS, DECISIONS)
        return halves[0].merge(halves[1]), whole

    assert_close(*both(moments, other))


def assert_close(found, wanted):
    assert float(found.sum_unexplained()) == pytest.approx(
        float(wanted.sum_unexplained()), rel=1e-4
    )
    for key, value in wanted.single.compute().items():
        np.testing.assert_allclose(found.single.compute()[key], value, rtol=1e-4)


@pytest.mark.slow
def test_devices_share_the_rows():
    mesh = Mesh(np.array(jax.devices()[:4]), ("data",))

    def share(features, labels, decisions):
        own = SetMoments.empty(5, 12).update(features, labels)
        moments = own.all_reduce("data")
        state = SetPass.empty(moments)
        again = state.residual_deviations(own.residual(features, labels), labels, own)
        seen = state.update_deviations(again, labels, decisions)
        return moments, seen.all_reduce("data")

    shared = jax.shard_map(
        share, mesh=mesh, in_specs=P("data"), out_specs=P(), check_vma=False
    )
    moments, found = jax.jit(shared)(FEATURES, LABELS, DECISIONS)
    assert_those_of(moments, FEATURES, LABELS)
    assert_close(found, SetPass.empty(moments).update(FEATURES, LABELS, DECISIONS))


@pytest.mark.parametrize(
    ("labels", "error", "message"),
    [
        (LABELS.astype(np.int32), TypeError, "labels are int32, must be bool"),
        (LABELS[:, :4], ValueError, r"shape \(400, 4\), must be \[n, 5\]"),
        (LABELS & (np.arange(400) != 7)[:, None], ValueError, "1 of 400 .* in row 7"),
    ],
)
def test_labels_that_are_no_sets_are_refused(labels, error, message):
    with pytest.raises(error, match=message):
        check_sets(labels, 5)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at most 128 can be measured"):
        check_sets(np.ones((1, 129), bool), 129)
    with pytest.raises(ValueError, match="at least 2 labels, got 1"):
        SetMoments.empty(1, 4)
    with pytest.raises(ValueError, match=r"take \[400, 5\] for 400 features"):
        SetMoments.empty(5, 12).update(FEATURES, LABELS[:, :4])
