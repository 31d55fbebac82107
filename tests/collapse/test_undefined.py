"""What is not defined is NaN, or infinite, and never the ideal value."""

import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse import SecondPass
from tests.collapse.problems import clusters, moments_of
from tests.thin import thin

# Where all class means are equal: how many dimensions they span, and the logits there.
DEFINED = {"rank", "bias_collapse"}
OF_W = ("nc2_w", "equinorm_w", "equiangularity_w", "max_angle_w", "nc0", "nc0_squared")


def test_equal_class_means_have_no_geometry(x64):
    _, _, classifier, bias = clusters()
    labels = np.arange(60) % 6
    moments = moments_of(np.full((60, 9), 3.25), labels)
    got = collapse.measure(moments, jnp.asarray(classifier), jnp.asarray(bias))
    for name in set(got) - DEFINED - set(OF_W):
        assert np.isnan(got[name]), (name, got[name])
    same = jnp.full((60, 9), 3.25), jnp.asarray(labels)
    assert np.isnan(collapse.nc4(same[0], same[1], moments))
    assert np.isnan(collapse.ncc_accuracy(*same, moments))
    found = SecondPass.empty(moments).update(*same, same[1]).compute()
    assert np.isnan(found["nc4"])
    assert np.isnan(found["ncc_accuracy"])
    assert found["accuracy"] == 1
    assert np.isnan(collapse.gram_distance(moments, jnp.eye(6)))


def test_a_classifier_of_zeros_has_no_duality():
    features, labels, _, _ = clusters()
    moments = moments_of(features.astype(np.float32), labels)
    got = collapse.measure(moments, jnp.zeros((6, 9)), jnp.zeros(6))
    needs = {key for key, m in collapse.METRICS.items() if m.needs == "classifier"}
    for name in needs & set(got) - {"bias_collapse", "nc0", "nc0_squared"}:
        assert np.isnan(got[name]), (name, got[name])
    assert got["bias_collapse"] == 0


@pytest.mark.parametrize("shift", [0.0, 0.1, 1e3])
def test_a_mean_at_the_mean_of_all_has_no_direction(shift):
    features = (np.array([[-1.0], [0], [1]]) + shift).repeat(2, 0).astype(np.float32)
    moments = moments_of(features, np.arange(3).repeat(2))
    got = collapse.measure(moments, jnp.asarray([[-1.0], [0.5], [1]]))
    for name in ("equiangularity", "max_angle", "uniformity", "nc3_cosine"):
        assert np.isnan(got[name]), (name, got[name])
    assert got["rank"] == 1
    assert np.isfinite(got["nc2"])
    assert np.isfinite(got["nc3_papyan"])


@pytest.mark.slow
@pytest.mark.parametrize("dtype", thin([np.float32, np.float64], keep={0}))
def test_equal_directions_are_infinitely_uneven(dtype, x64):
    rows = np.random.default_rng(0).normal(size=(4, 1)).astype(dtype)
    mean, _ = collapse.log_kernel(jnp.asarray(rows))
    assert mean == np.inf
    assert collapse.riesz_kernel(jnp.asarray(rows), exponent=2.0) == np.inf
    rows = np.random.default_rng(1).normal(size=(5, 3)).astype(dtype)
    rows[3] = dtype(1.7) * rows[0]
    assert collapse.log_kernel(jnp.asarray(rows))[0] == np.inf
    rows[3] += 1e-5 * rows[1]  # near, but told apart
    unit = rows.astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    far = np.linalg.norm(unit[:, None] - unit, axis=2)[~np.eye(5, dtype=bool)]
    got = collapse.log_kernel(jnp.asarray(rows))[0]
    np.testing.assert_allclose(got, -np.log(far).mean(), rtol=1e-2)
