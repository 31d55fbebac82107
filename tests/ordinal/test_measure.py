"""ONC1 to ONC3 against NumPy, at an exact optimum, and where they are not defined."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ncjax
from ncjax import ordinal
from ncjax.ordinal.measure import METRICS, Inputs, beside, off_middle, order
from ncjax.ordinal.rows import median_level
from ncjax.ordinal.thresholds import make_thresholds

RNG = np.random.default_rng(0)
K, D, CUTS = 5, 7, np.float32([-3, -1, 2, 2.5])
W = np.float32(RNG.normal(size=D))
MEASURE = jax.jit(ordinal.measure)
LABELS = np.repeat(np.arange(K), [9, 3, 4, 20, 6])


def exact(spread=0.0, away=0.0):
    """Features on the line of w, in the middles of the thresholds."""
    z = np.array([-9, -2, 0.5, 2.25, 8])
    means = z[:, None] * W / (W @ W) + away
    noise = np.random.default_rng(1).normal(size=(len(LABELS), D))
    return np.float32(means[LABELS] + spread * noise)


def measured(features, w=W, cuts=CUTS, labels=LABELS):
    moments = ncjax.class_moments(features, labels, K, scatter="none")
    found = MEASURE(moments, jnp.asarray(w), jnp.asarray(cuts))
    return {key: found[key] for key in METRICS}  # inside jit, JAX sorts the keys


def test_at_the_optimum_they_are_ideal():
    found = measured(exact())
    for key in ("onc1", "onc2", "onc2_raw", "onc2_means"):
        assert 0 <= found[key] < 1e-10, key
    assert found["onc3"] < 1e-6
    assert found["order"] == 1
    assert measured(exact(away=3.0))["onc2_raw"] > 0.01  # a part in common, beside w


def test_they_are_what_numpy_computes():
    features, w = exact(0.7), np.float64(W) + RNG.normal(size=D)
    found = measured(features, np.float32(w))
    means = np.array([np.float64(features)[k == LABELS].mean(0) for k in range(K)])
    centred = means - means.mean(0)
    within = np.sum((features - means[LABELS]) ** 2) / len(LABELS)
    assert found["onc1"] == pytest.approx(within / np.sum(centred**2) * K, rel=1e-5)
    flat = np.eye(D) - np.outer(w, w) / (w @ w)
    for key, rows in (("onc2", centred), ("onc2_raw", means)):
        want = np.sum((rows @ flat) ** 2) / np.sum(rows**2)
        assert found[key] == pytest.approx(want, rel=1e-5), key
    s = np.linalg.svd(centred, compute_uv=False) ** 2
    assert found["onc2_means"] == pytest.approx(s[1:].sum() / s.sum(), rel=1e-5)
    z = means @ w
    assert found["order"] == np.mean(np.diff(z) > 0)
    half, middle = np.diff(CUTS) / 2, (CUTS[1:] + CUTS[:-1]) / 2
    want = np.mean(np.abs(z[1:-1] - middle) / half)
    assert found["onc3"] == pytest.approx(want, rel=1e-4)


@pytest.mark.parametrize("scale", [1e-25, 1e15])
def test_units_do_not_matter(scale):
    """Squares of these features leave the range of float32."""
    near, far = (
        measured(exact(0.3)),
        measured(np.float32(scale) * exact(0.3), W / scale),
    )
    for key in METRICS:
        assert far[key] == pytest.approx(float(near[key]), rel=2e-4, abs=1e-9), key


def test_what_is_not_defined_is_nan():
    features = exact(0.3)
    still = measured(features, 0 * W)
    for key in ("onc2", "onc2_raw", "order"):
        assert np.isnan(still[key]), key
    alike = measured(np.ones_like(features))
    assert np.isnan([alike[k] for k in ("onc1", "onc2", "onc2_means")]).all()
    two = ncjax.class_moments(features, LABELS % 2, 2, scatter="none")
    found = MEASURE(two, jnp.asarray(W), jnp.zeros(1))
    assert np.isnan(found["onc3"])
    assert not np.isnan(found["onc2"])
    # A level that is absent is left out.
    some = LABELS != 2
    found = measured(features[some], labels=LABELS[some])
    assert found["order"] == 1
    assert np.isfinite(found["onc3"])


def test_the_classifier_has_its_metrics_and_none_without():
    moments = ncjax.class_moments(exact(0.3), LABELS, K, scatter="none")
    alone = MEASURE(moments)
    assert alone.keys() == {"onc1", "onc2_means"}
    with pytest.raises(ValueError, match=r"shapes \(7,\) and \(3,\).* are .* \(4,\)"):
        ordinal.measure(moments, jnp.asarray(W), jnp.zeros(3))
    with pytest.raises(ValueError, match="Give both, or neither"):
        ordinal.measure(moments, jnp.asarray(W))


def test_the_other_direction_of_w_turns_the_order_alone():
    near, turned = measured(exact(0.3)), measured(exact(0.3), -W)
    assert turned["order"] == 0
    assert turned["onc2"] == near["onc2"]
    inputs = Inputs(ncjax.class_moments(exact(), LABELS, K), jnp.asarray(W), None)
    assert all(inputs.suffice(metric) for metric in METRICS.values())
    assert {METRICS[k].function for k in ("onc2", "onc3", "order")} == {
        *(beside, off_middle, order)
    }


def test_rows_decide_for_the_level_between_thresholds():
    weights, bias = ordinal.to_rows(jnp.asarray(W), jnp.asarray(CUTS))
    assert weights.shape == (K, D)
    h = np.float32(3 * RNG.normal(size=(200, D)))
    level = np.searchsorted(CUTS, h @ W)
    np.testing.assert_array_equal((h @ weights.T + bias).argmax(1), level)
    back, cuts = ordinal.of_rows(weights, bias)
    np.testing.assert_allclose(back, W, rtol=1e-6)
    np.testing.assert_allclose(cuts, CUTS, rtol=1e-6)
    # The same level is the median of a cumulative link model, whatever the link.
    z, each = jnp.asarray(h @ W), jnp.tile(CUTS, (200, 1))
    scores = jax.jit(ordinal.log_probabilities)(z, each)
    np.testing.assert_array_equal(median_level(scores), level)


def test_thresholds_are_even_or_given():
    assert make_thresholds(4) == (-4.0, 0.0, 4.0)
    assert make_thresholds(3, gap=1.0) == (-0.5, 0.5)
    assert make_thresholds(3, (1, 2.5)) == (1.0, 2.5)
    assert make_thresholds(2, (0.0,)) == (0.0,)
    for given, message in (
        ((1.0,), r"must be 2 numbers for 3 levels, got 1: \(1\.0\)"),
        ((2.0, 1.0), r"finite and increase, got \(2\.0, 1\.0\)\. Sort them"),
        ((1.0, 1.0), "leave out those that are equal"),
        ((0.0, np.inf), "must be finite"),
        (("a", "b"), "must be 2 numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            make_thresholds(3, given)
    with pytest.raises(ValueError, match="gap must be more than 0 and finite, got -1"):
        make_thresholds(3, gap=-1.0)
