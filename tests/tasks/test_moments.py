"""Moments of several tasks: of any split, on any number of devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec as P

from ncjax.moments import class_moments
from ncjax.tasks import TaskMoments, TaskPass, task_moments
from tests.tasks.definitions import not_sum, one_hot, problem

SIZES = (3, 2)
FEATURES, LABELS, _ = problem(SIZES, n=320)
update, merge = jax.jit(TaskMoments.update), jax.jit(TaskMoments.merge)


def assert_those_of(moments, features, labels):
    table = one_hot(labels, SIZES)
    np.testing.assert_array_equal(moments.pairs, table.T @ table)
    assert moments.total == len(features)
    for task, k in enumerate(SIZES):
        found, own = moments.task(task), labels[:, task]
        want = class_moments(features, own, k, scatter="none")
        np.testing.assert_array_equal(found.count, want.count)
        np.testing.assert_allclose(found.means, want.means, rtol=1e-6)
        np.testing.assert_allclose(found.spread, want.spread, rtol=1e-5)
        assert found.left_out == 0


@pytest.mark.parametrize(
    "cuts", [(1, 160, 161), pytest.param((), marks=pytest.mark.slow)]
)
def test_any_split_gives_the_moments_of_all(cuts):
    parts = zip(np.split(FEATURES, cuts), np.split(LABELS, cuts), strict=True)
    updated = merged = TaskMoments.empty(SIZES, 12)
    for part in parts:
        updated = update(updated, *part)
        merged = merge(merged, update(TaskMoments.empty(SIZES, 12), *part))
    assert_those_of(updated, FEATURES, LABELS)
    assert_those_of(merged, FEATURES, LABELS)
    assert updated.describe() == "d=12, K=3 + 2, 320 examples"


def test_weights_leave_rows_out():
    keep = np.random.default_rng(0).random(320) < 0.5
    found = update(TaskMoments.empty(SIZES, 12), FEATURES, LABELS, np.float32(keep))
    assert_those_of(found, FEATURES[keep], LABELS[keep])


def test_eight_devices_find_what_one_does():
    mesh = Mesh(jax.devices()[:8], "data")

    def found(features, labels):
        local = TaskMoments.empty(SIZES, 12).update(features, labels)
        moments = local.all_reduce("data")
        state = TaskPass.empty(moments)
        # As from the feature buffer: minus the pivots of one device.
        residuals = local.residual(features, labels)
        kept = state.residual_deviations(residuals, labels, local)
        state = state.update_deviations(kept, labels, labels)
        return moments, state.all_reduce("data").compute()

    parts = P("data"), P("data")
    spread = jax.shard_map(
        found, mesh=mesh, in_specs=parts, out_specs=P(), check_vma=False
    )
    moments, seen = jax.jit(spread)(FEATURES, LABELS)
    assert_those_of(moments, FEATURES, LABELS)
    want = not_sum(FEATURES, LABELS, SIZES)
    assert float(seen["not_sum"]) == pytest.approx(want, rel=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"have \(3, 1\) classes"):
        TaskMoments.empty((3, 1), 4)
    with pytest.raises(ValueError, match=r"labels have shape \(320, 1\); \[320, 2\]"):
        task_moments(FEATURES, LABELS[:, :1], SIZES)
    with pytest.raises(ValueError, match=r"same tasks .* K=3 \+ 2.* K=2 \+ 2"):
        TaskMoments.empty(SIZES, 4).merge(TaskMoments.empty((2, 2), 4))
    inside = jax.jit(lambda y: task_moments(FEATURES, y, SIZES))(
        jnp.asarray(LABELS + 1)
    )
    wrong = (np.array(SIZES) <= LABELS + 1).sum()
    assert float(inside.classes.left_out) == wrong
