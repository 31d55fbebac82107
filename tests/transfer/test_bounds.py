"""Directional CDNV and the bounds, against literal versions and against chance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import transfer
from tests.thin import thin

K, N, D = 4, 30, 6
rng = np.random.default_rng(7)
MEANS = rng.normal(size=(K, D)) * 2.5
# Skewed within classes: third moments matter.
FEATURES = MEANS[:, None] + (rng.exponential(size=(K, N, D)) - 1) * rng.uniform(
    0.2, 1.3, (K, 1, D)
)
LABELS = np.repeat(np.arange(K), N)


def found(features=FEATURES):
    rows = jnp.float32(features.reshape(-1, features.shape[-1]))
    return transfer.classes(rows, jnp.asarray(LABELS), K)


def test_directional_cdnv_is_its_definition():
    values = transfer.directional_cdnv(found())
    for i in range(K):
        for j in range(K):
            if i == j:
                assert np.isnan(values[i, j])
                continue
            axis = FEATURES[j].mean(0) - FEATURES[i].mean(0)
            distance = np.linalg.norm(axis)
            expected = (FEATURES[i] @ (axis / distance)).var() / distance**2
            assert float(values[i, j]) == pytest.approx(expected, rel=1e-4)


def test_it_is_exact_far_from_the_origin_and_late_in_training():
    """A common part of 1,000 and classes that are 1e-3 wide."""
    centres = MEANS.round(1)
    small = centres[:, None] + 1e-3 * (FEATURES - MEANS[:, None])
    exact = transfer.directional_cdnv(found(small * 2.0**10))
    near = transfer.directional_cdnv(found(small))
    np.testing.assert_allclose(near, exact, rtol=1e-5)
    axis = small[1].mean(0) - small[0].mean(0)
    expected = (small[0] @ axis).var() / np.linalg.norm(axis) ** 4
    assert float(near[0, 1]) == pytest.approx(expected, rel=1e-3)


def moments_of_t(i, j, shots, draws=400_000):
    """Mean and variance of T by drawing, with replacement."""
    random = np.random.default_rng(i + 10 * j)
    x = FEATURES[i][random.integers(N, size=draws)]
    means = [
        FEATURES[k][random.integers(N, size=(draws, shots))].mean(1) for k in (j, i)
    ]
    far, near = (((x - mean) ** 2).sum(1) for mean in means)
    return far - near


@pytest.mark.parametrize("shots", thin([1, 3], keep={1}))
def test_the_variance_of_the_bound_is_that_of_the_draws(shots):
    """Of two classes alone the bound is Var T / (Var T + (E T)^2), averaged."""
    rows = jnp.float32(FEATURES[:2].reshape(-1, D))
    of = transfer.classes(rows, jnp.asarray(LABELS[: 2 * N]), 2)
    expected = []
    for i, j in ((0, 1), (1, 0)):
        drawn = moments_of_t(i, j, shots)
        expected.append(drawn.var() / (drawn.var() + drawn.mean() ** 2))
        assert (drawn < 0).mean() <= expected[-1]
    bound = float(transfer.few_shot_bound(of, shots))
    assert bound == pytest.approx(np.mean(expected), rel=0.01)


def test_many_shots_are_known_means():
    of = found()
    known = float(transfer.known_means_bound(of))
    values = np.asarray(transfer.directional_cdnv(of))
    each = 4 * values / (1 + 4 * values)
    assert known == pytest.approx(np.nansum(each, axis=1).clip(max=1).mean(), rel=1e-5)
    assert float(transfer.few_shot_bound(of, 10**6)) == pytest.approx(known, rel=1e-3)
    assert float(transfer.few_shot_bound(of, 2)) > known


def test_classes_of_points_have_no_error():
    points = np.repeat(MEANS[:, None], N, axis=1)
    of = found(points)
    for value in (transfer.known_means_bound(of), transfer.few_shot_bound(of, 1)):
        assert 0 <= float(value) < 1e-6


def test_a_class_of_one_example_has_no_bound():
    labels = np.where(LABELS == 2, 1, LABELS)
    labels[70] = 2
    rows = jnp.float32(FEATURES.reshape(-1, D))
    of = jax.jit(transfer.classes, static_argnums=2)(rows, jnp.asarray(labels), K)
    assert np.isnan(float(transfer.known_means_bound(of)))
    assert np.isnan(float(transfer.few_shot_bound(of, 5)))
    assert np.isnan(transfer.directional_cdnv(of)[2]).all()
    with pytest.raises(ValueError, match="shots must be at least 1, got 0"):
        transfer.few_shot_bound(of, 0)
