"""Generalized collapse: definitions, known codes, the second pass, bounds."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import collapse
from ncjax.collapse import SecondPass, generalized
from ncjax.collapse.simplex import least_nc2
from tests.collapse.definitions import Definitions, cosines, unit
from tests.collapse.problems import clusters, compiled, moments_of

_seen = jax.jit(
    lambda moments, *batch: (
        SecondPass.empty(moments, decisions=False, normalised=True)
        .update(*batch)
        .normalised_moments()
    )
)


def normalised(x):
    """The same problem with features of length 1."""
    features = np.stack([unit(row) for row in x.h])
    return Definitions(features, x.labels, x.w, x.bias, x.convention)


def gnc1(x):
    u = normalised(x)
    return np.trace(u.within @ u.inverse) / u.divisor


def entropy_rank(values):
    shares = values / values.sum()
    shares = shares[shares > 1e-12]
    return np.exp(-np.sum(shares * np.log(shares)))


def within_rank(x):
    residuals = x.h - x.mu[x.labels]
    return entropy_rank(np.linalg.svd(residuals, compute_uv=False))


def excess(x, rows):
    return x.nc2(rows) - least_nc2(x.k, x.d)


# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "gnc1": gnc1,
    "gnc3": lambda x: np.mean(
        [1 - unit(w) @ unit(u) for w, u in zip(x.wc, normalised(x).m, strict=True)]
    ),
    "nc2_excess": lambda x: excess(x, x.m),
    "nc2_excess_w": lambda x: excess(x, x.wc),
    "max_cosine": lambda x: cosines(x.m).max(),
    "max_cosine_w": lambda x: cosines(x.wc).max(),
    "effective_rank": lambda x: entropy_rank(
        np.linalg.svd(x.between_rows, compute_uv=False)[: x.rank]
    ),
    "effective_rank_within": within_rank,
}


def cross_polytope(d):
    return np.concatenate([np.eye(d), -np.eye(d)])


def test_collapse_to_a_code_whatever_the_lengths():
    """K = 2 d directions, features of any length: GNC is there, NC1 is not."""
    rng = np.random.default_rng(0)
    code, labels = cross_polytope(4), np.repeat(np.arange(8), 5)
    features = rng.uniform(0.2, 3, (40, 1)) * code[labels]
    moments = moments_of(features.astype(np.float32), labels)
    rows = jnp.asarray(rng.uniform(1, 3, (8, 1)) * code, jnp.float32)
    seen = _seen(moments, jnp.asarray(features, jnp.float32), jnp.asarray(labels))
    got = collapse.measure(moments, rows, normalised=seen)
    assert got["nc1"] > 0.1
    # The means of these features are not centred; those of the directions are.
    for name, want in (("gnc1", 0), ("gnc3", 0), ("one_vs_rest_w", 1)):
        np.testing.assert_allclose(got[name], want, atol=3e-6, err_msg=name)
        assert collapse.METRICS[name].limit(8, 4) == want
    assert got["max_cosine_w"] == 0 == collapse.METRICS["max_cosine_w"].limit(8, 4)
    equal = moments_of(code[labels].astype(np.float32), labels)
    got = collapse.measure(equal, jnp.asarray(code, jnp.float32))
    for name in ("nc2_excess", "nc2_excess_w"):  # the rows are a tight frame
        np.testing.assert_allclose(got[name], 0, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(got["effective_rank"], 4, rtol=1e-6)


def test_by_hand():
    """Angles 0, 90, 210 degrees in the plane; rows of lengths that do not count."""
    angles = np.radians([0, 90, 210])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1) * [[1], [7], [2]]
    got = compiled.max_cosine(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(got, 0, atol=1e-6)
    # Shares 2/3, 1/3: log 3 - (2/3) log 2.
    got = compiled.effective_rank(jnp.array([4.0, 2.0, 0.0]))
    np.testing.assert_allclose(got, 3 / 2 ** (2 / 3), rtol=1e-6)
    features = compiled.normalise(jnp.array([[3.0, 4.0], [0.0, 0.0], [3e-30, 4e-30]]))
    np.testing.assert_allclose(features, [[0.6, 0.8], [0, 0], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("k", [5, pytest.param(7, marks=pytest.mark.slow)])
def test_second_pass_finds_the_moments_of_normalised_features(k):
    """Batches, weights, a rotation: the moments are those of the features h/|h|."""
    features, labels, _, _ = clusters(k, 4, 30, offset=5.0)
    features = features.astype(np.float32)
    features[::7] = 0  # which has no direction, and leaves rounding in the rotation
    moments = moments_of(features, labels, scatter="none")
    state = SecondPass.empty(moments, decisions=False, normalised=True)
    update = jax.jit(lambda state, x, y, w: state.update(x, y, weights=w))
    odd = np.arange(len(labels)) % 2
    states = [
        update(state, features, jnp.asarray(labels), jnp.float32(odd == part))
        for part in range(2)
    ]
    got = states[0].merge(states[1]).normalised_moments()
    want = moments_of(compiled.normalise(jnp.asarray(features)), labels)
    np.testing.assert_array_equal(got.count, want.count)
    np.testing.assert_allclose(got.means, want.means, atol=1e-6)
    np.testing.assert_allclose(got.within_cov, want.within_cov, atol=2e-8)
    np.testing.assert_allclose(compiled.gnc1(got), compiled.gnc1(want), rtol=1e-4)
    # A row of a class without a mean, or of another label, is left out.
    more = update(states[0], features[:1], jnp.array([k]), jnp.ones(1))
    np.testing.assert_array_equal(more.normalised.count, states[0].normalised.count)


def test_gnc1_of_nearly_collapsed_features():
    """Spread 1e-3 of the distances, in float32, after a rotation there and back."""
    features, labels, _, _ = clusters(9, 4, 200, std=1e-3, balanced=True)
    moments = moments_of(features.astype(np.float32), labels, scatter="none")
    batch = jnp.asarray(features, jnp.float32), jnp.asarray(labels)
    want = gnc1(Definitions(features, labels, np.eye(9), None))
    np.testing.assert_allclose(compiled.gnc1(_seen(moments, *batch)), want, rtol=1e-4)


def test_pairs_in_tiles(monkeypatch):
    from ncjax.collapse import tiles

    rows = np.random.default_rng(0).normal(size=(23, 5))
    want = np.max(cosines(rows))
    monkeypatch.setattr(tiles, "BLOCK", 7)
    got = jax.jit(lambda x: generalized.max_cosine(x))(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_bounds():
    """1 - cosine <= one-vs-rest distance; NC2 is at least its least value."""
    margin = jax.jit(lambda x: collapse.one_vs_rest(x).distance)
    for seed in range(5):
        rows = np.random.default_rng(seed).normal(size=(12, 4))
        rows = jnp.asarray(rows, jnp.float32)
        assert 1 - compiled.max_cosine(rows) <= margin(rows) + 1e-6
        assert compiled.nc2_excess(rows) > 0


def test_gradients_match_differences(x64):
    features, labels, classifier, _ = clusters(7, 3, 4, balanced=True)
    labels = jnp.asarray(labels)
    names = ("gnc1", "gnc3", "nc2_excess", "max_cosine_w")

    @functools.partial(jax.jit, static_argnums=2)
    def value(features, classifier, name):
        moments = moments_of(features, labels, 7)
        seen = moments_of(collapse.normalise(features), labels, 7)
        return collapse.measure(moments, classifier, normalised=seen, only=(name,))[
            name
        ]

    rng = np.random.default_rng(1)
    arrays = jnp.asarray(features), jnp.asarray(classifier)
    steps = [jnp.asarray(1e-6 * rng.normal(size=x.shape)) for x in arrays]
    for name in names:
        slopes = jax.grad(value, (0, 1))(*arrays, name)
        got = sum(jnp.vdot(a, b) for a, b in zip(slopes, steps, strict=True))
        ahead, behind = (
            value(*(a + sign * s for a, s in zip(arrays, steps, strict=True)), name)
            for sign in (1, -1)
        )
        np.testing.assert_allclose(got, (ahead - behind) / 2, rtol=1e-5, err_msg=name)


def test_undefined_and_bad_input():
    features, labels, _, _ = clusters(5, 9)
    moments = moments_of(features.astype(np.float32), labels)
    with pytest.raises(ValueError, match=r"5 classes the 9 coordinates .*normalise"):
        SecondPass.empty(moments, normalised=True)
    alone = jnp.arange(4) == 2
    assert np.isnan(compiled.max_cosine(jnp.ones((4, 3)), alone))
    assert np.isnan(compiled.effective_rank(jnp.zeros(3)))
