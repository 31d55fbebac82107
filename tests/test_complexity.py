"""Geometric complexity: by hand, against jax.jacobian, and the error it names."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.collapse import cdnv
from ncjax.complexity import (
    METHODS,
    Complexity,
    batch_complexity,
    geometric_complexity,
    squares,
)
from ncjax.moments import class_moments

KEY = jax.random.key(0)
ROWS = jnp.asarray(np.random.default_rng(0).normal(size=(6, 4)), jnp.float32)
INPUTS = jax.random.normal(jax.random.key(1), (30, 2, 2, 1))
NORM = float(jnp.sum(ROWS**2))


def linear(x):
    return x.reshape(len(x), -1) @ ROWS.T


def curved(x):
    return jnp.tanh(linear(x)) * (1 + linear(x).mean(1, keepdims=True))


def reference(function, inputs):
    """|J|^2 of each input, from the whole Jacobian."""
    jacobian = jax.vmap(jax.jacobian(lambda x: function(x[None])[0]))(inputs)
    return np.asarray(jnp.sum(jacobian**2, (1, 2, 3, 4)))


def over_keys(tried):
    """What a function of a key finds with 2,000 keys."""
    # 500 at a time: jaxlib 0.10.2 fuses such products on a CPU into one that is wrong
    # from row 32,760 on.
    run, keys = jax.jit(jax.vmap(tried)), jax.random.split(KEY, 2000)
    parts = [run(keys[start : start + 500]) for start in range(0, 2000, 500)]
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


def test_a_linear_function_has_that_of_its_matrix():
    found = geometric_complexity(linear, INPUTS)
    assert float(found.value) == pytest.approx(NORM, rel=1e-6)
    assert float(found.error) == 0
    twice = geometric_complexity(lambda x: 3 * linear(x), INPUTS)
    assert float(twice.value) == pytest.approx(9 * NORM, rel=1e-6)


def test_exact_is_the_whole_jacobian():
    want = reference(curved, INPUTS)
    assert want.std() > 1
    found = geometric_complexity(curved, INPUTS)
    assert float(found.value) == pytest.approx(want.mean(), rel=1e-5)
    part = geometric_complexity(curved, INPUTS, total=3000)
    expected = want.std(ddof=1) / np.sqrt(30) * np.sqrt(1 - 30 / 3000)
    assert float(part.error) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("method", METHODS[1:])
def test_estimates_have_no_bias_and_the_error_that_they_say(method):
    """Over many keys the mean is right, and so is the error."""
    want = reference(curved, INPUTS).mean()

    def tried(key):
        given = {"method": method, "probes": 3, "key": key}
        return geometric_complexity(curved, INPUTS, **given)

    value, error = over_keys(tried)
    assert abs(value.mean() - want) < 4 * value.std() / np.sqrt(2000)
    assert np.sqrt(np.mean(error**2)) == pytest.approx(value.std(), rel=0.1)


def test_the_error_of_a_sample_of_examples():
    """Both stages: some examples of all, and some vectors of each."""
    population = reference(curved, INPUTS).mean()

    def tried(key):
        rows = jax.random.choice(key, 30, (12,), replace=False)
        return geometric_complexity(
            curved, INPUTS[rows], method="hutchinson", probes=2, key=key, total=30
        )

    value, error = over_keys(tried)
    assert abs(value.mean() - population) < 4 * value.std() / np.sqrt(2000)
    assert np.sqrt(np.mean(error**2)) == pytest.approx(value.std(), rel=0.1)


def test_all_coordinates_are_exact():
    given = {"method": "coordinates", "probes": 6, "key": KEY}
    found = geometric_complexity(curved, INPUTS, **given)
    np.testing.assert_allclose(found, geometric_complexity(curved, INPUTS), rtol=1e-5)


def test_any_batches_and_padding():
    keys = jax.random.split(KEY, 30)
    values, share = squares(curved, INPUTS, keys, method="hutchinson", probes=4)
    values, update = np.asarray(values), jax.jit(Complexity.update, static_argnums=3)

    def taken(state, rows, weights=None):
        weights = jnp.ones(len(rows)) if weights is None else weights
        return update(state, values[:, rows], weights, share)

    empty, rows = Complexity.empty(), np.arange(30)
    whole = taken(empty, rows)
    parts = taken(empty, rows[20:]).merge(taken(taken(empty, rows[:7]), rows[7:20]))
    weights = np.repeat([1.0, 0.0], [30, 5])
    padded = taken(empty, np.concatenate([rows, rows[:5]]), weights)
    for state in (parts, padded):
        got, want = state.compute(100), whole.compute(100)
        np.testing.assert_allclose(got, want, rtol=1e-4)
    assert np.isnan(empty.compute(100)).all()


def test_one_probe_is_called_no_better_than_it_is():
    """Its noise is unknown, and part of what the examples differ by."""
    found = [
        geometric_complexity(curved, INPUTS, method="hutchinson", probes=m, key=KEY)
        for m in (1, 2)
    ]
    assert found[0].error > found[1].error > 0
    alone = geometric_complexity(curved, INPUTS[:1], total=30)
    assert np.isnan(alone.error)
    assert not np.isnan(alone.value)


def test_a_batch_whose_examples_hang_together():
    """As under BatchNorm: the Jacobian of the batch with respect to the batch."""

    def normalised(x):
        z = linear(x)
        return (z - z.mean(0)) / z.std(0)

    few = INPUTS[:5]
    want = jnp.sum(jax.jacobian(normalised)(few) ** 2) / 5
    found = over_keys(lambda key: batch_complexity(normalised, few, key))
    assert abs(found.mean() - want) < 4 * found.std() / np.sqrt(2000)


def test_its_gradient():
    """Of a linear function 2 A in the mean, here over all signs of a single output."""

    def value(row):
        return batch_complexity(
            lambda x: x.reshape(len(x), -1) @ row[:, None], INPUTS, KEY
        )

    np.testing.assert_allclose(jax.grad(value)(ROWS[0]), 2 * ROWS[0], rtol=1e-5)


def test_the_bound_on_cdnv_is_an_equality_for_round_gaussians():
    """CDNV = C (GC + GC) / (2 |mu - mu|^2) for covariance C I and a linear f."""
    rng, variance = np.random.default_rng(0), 0.3
    draw = rng.normal(size=(40_000, 4))
    draw = (draw - draw.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(draw.T))).T
    centres = np.array([[1.0, 0, 0, 0], [0, 2, 0, 0]])
    inputs = centres[:, None] + np.sqrt(variance) * draw
    features = jnp.asarray(inputs.reshape(-1, 4), jnp.float32) @ ROWS.T
    labels = jnp.repeat(jnp.arange(2), 40_000)
    moments = jax.jit(class_moments, static_argnums=2)(features, labels, 2)
    apart = jnp.sum((moments.means[0] - moments.means[1]) ** 2)
    bound = variance * 2 * NORM / (2 * apart)
    assert float(cdnv(moments)) == pytest.approx(float(bound), rel=1e-3)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"Unknown method 'exat'\. Available: exact"):
        geometric_complexity(linear, INPUTS, method="exat")
    with pytest.raises(ValueError, match="probes must be at least 1, got 0"):
        geometric_complexity(linear, INPUTS, probes=0)
    with pytest.raises(ValueError, match="'hutchinson' needs a key"):
        geometric_complexity(linear, INPUTS, method="hutchinson")
    with pytest.raises(ValueError, match="6 outputs, fewer than the 7 coordinates"):
        geometric_complexity(linear, INPUTS, method="coordinates", probes=7, key=KEY)
