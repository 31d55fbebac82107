"""One-vs-rest distances: closed forms, an independent solver, bounds, invariances."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ncjax import collapse
from ncjax.codes import known_margin, one_vs_rest_distance
from ncjax.collapse import margin, one_vs_rest
from ncjax.moments import class_moments
from tests.thin import thin

RNG = np.random.default_rng(0)
rho = jax.jit(one_vs_rest)


# Each metric of the module by its definition, for tests/collapse/test_measure.py.
REFERENCES = {
    "one_vs_rest": lambda x: one_vs_rest_distance(unit(x.m)),
    "one_vs_rest_w": lambda x: one_vs_rest_distance(unit(x.wc)),
}


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def polygon(k):
    angles = 2 * np.pi * np.arange(k) / k
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def check(rows, want, atol=2e-6):
    got = rho(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(got.distance, want, atol=atol)
    assert got.bound <= got.distance
    np.testing.assert_allclose(got.bound, want, atol=2e-5)


@pytest.mark.parametrize(
    ("rows", "shape"),
    [
        (np.eye(2) - 1 / 2, (2, 1)),
        (np.eye(10) - 1 / 10, (10, 9)),
        (np.concatenate([np.eye(6), -np.eye(6)]), (12, 6)),
        (polygon(3), (3, 2)),
        (polygon(7), (7, 2)),
    ],
    ids=["pair", "simplex", "cross-polytope", "triangle", "heptagon"],
)
def test_known_optima(rows, shape):
    check(rows, known_margin(*shape))


def test_by_hand():
    # From (0, 1) to the segment between (3/5, 4/5) and (-1, 0), of direction (2, 1).
    rows = np.array([[0, 1], [0.6, 0.8], [-1, 0]])
    to_segment = 1 / np.sqrt(5)
    check(rows, to_segment)


@pytest.mark.parametrize(
    ("k", "d"),
    thin([(3, 2), (10, 9), (10, 40), (30, 3), (60, 8), (40, 39)], keep={0, 2, 3}),
)
def test_random_codes_against_nnls(k, d):
    rows = RNG.normal(size=(k, d))
    check(rows, one_vs_rest_distance(unit(rows)))


def test_one_class_against_a_general_solver():
    rows = unit(RNG.normal(size=(7, 4)))

    def distance(k):
        others = np.delete(rows, k, axis=0)
        found = optimize.minimize(
            lambda a: np.sum((rows[k] - a @ others) ** 2),
            np.full(6, 1 / 6),
            bounds=6 * [(0, 1)],
            constraints={"type": "eq", "fun": lambda a: a.sum() - 1},
            options={"ftol": 1e-14},
        )
        return np.sqrt(found.fun)

    check(rows, min(map(distance, range(7))), atol=1e-5)


def test_bounds_hold_when_stopped_early():
    rows = unit(RNG.normal(size=(60, 3)))
    exact = one_vs_rest_distance(rows)
    hasty = jax.jit(functools.partial(one_vs_rest, max_steps=16))
    early = hasty(jnp.asarray(rows, jnp.float32))
    assert early.bound <= exact <= early.distance
    assert early.distance - early.bound > 1e-3
    certified = jax.jit(margin.certified_margin)(jnp.asarray(rows, jnp.float32))
    np.testing.assert_allclose(certified, exact, atol=2e-6)


def test_an_uncertified_number_is_not_reported(monkeypatch):
    hasty = functools.partial(one_vs_rest, max_steps=16)
    monkeypatch.setattr(margin, "one_vs_rest", hasty)
    rows = jnp.asarray(RNG.normal(size=(60, 3)), jnp.float32)
    # A function of its own: the other may have been compiled for this shape before.
    assert np.isnan(jax.jit(lambda x: margin.certified_margin(x))(rows))


def test_invariances_and_absent_classes():
    rows = RNG.normal(size=(12, 5))
    want = rho(jnp.asarray(rows, jnp.float32)).distance
    turn, _ = np.linalg.qr(RNG.normal(size=(5, 5)))
    lengths = 10 ** RNG.uniform(-3, 3, size=(12, 1))
    other = (lengths * rows @ turn)[RNG.permutation(12)]
    np.testing.assert_allclose(
        rho(jnp.asarray(other, jnp.float32)).distance, want, atol=2e-6
    )
    with_gaps = np.insert(rows, [0, 4, 12], np.nan, axis=0)
    present = ~np.isnan(with_gaps[:, 0])
    got = rho(jnp.asarray(with_gaps, jnp.float32), jnp.asarray(present))
    np.testing.assert_allclose(got.distance, want, atol=2e-6)


def test_blocks_of_classes_change_nothing(monkeypatch):
    rows = jnp.asarray(RNG.normal(size=(23, 4)), jnp.float32)
    want = rho(rows)
    monkeypatch.setattr(margin, "_PAIRS", 23 * 5)  # the last block is not full
    got = jax.jit(lambda x: one_vs_rest(x))(rows)  # traced anew
    np.testing.assert_allclose(got.distance, want.distance, atol=2e-6)
    np.testing.assert_allclose(got.bound, got.distance, atol=2e-5)


def test_equal_directions_and_too_few_classes():
    rows = RNG.normal(size=(5, 3))
    twice = jnp.asarray(np.concatenate([rows, 2 * rows[:1]]), jnp.float32)
    np.testing.assert_allclose(rho(twice).distance, 0, atol=1e-6)
    alone = rho(jnp.ones((4, 3)), jnp.arange(4) == 2)
    assert np.isnan(alone.distance)
    assert np.isnan(alone.bound)


def test_gradient_is_that_at_the_nearest_point(x64):
    rows = RNG.normal(size=(9, 4))
    direction = RNG.normal(size=rows.shape)
    value = jax.jit(lambda x: one_vs_rest(x, tolerance=1e-12).distance)
    slope = np.sum(jax.grad(value)(jnp.asarray(rows)) * direction)
    step = 1e-5 * direction
    want = (value(jnp.asarray(rows + step)) - value(jnp.asarray(rows - step))) / 2e-5
    np.testing.assert_allclose(slope, want, rtol=1e-5)


def test_projection_on_the_simplex():
    values = RNG.normal(size=(50, 9)) * 3
    allowed = RNG.random((50, 9)) < 0.7
    allowed[:, 0] = True
    got = margin.simplex_projection(jnp.asarray(values), jnp.asarray(allowed))
    np.testing.assert_allclose(got.sum(1), 1, atol=1e-5)
    assert (np.asarray(got)[~allowed] == 0).all()
    for v, a, p in zip(values, allowed, np.asarray(got), strict=True):
        ordered = np.sort(v[a])[::-1]
        tops = (np.cumsum(ordered) - 1) / np.arange(1, a.sum() + 1)
        threshold = tops[np.flatnonzero(ordered > tops)[-1]]
        np.testing.assert_allclose(p, a * np.maximum(v - threshold, 0), atol=1e-5)


def test_asked_for_by_name():
    features = RNG.normal(size=(200, 7)).astype(np.float32)
    labels = np.arange(200, dtype=np.int32) % 8
    compiled = jax.jit(class_moments, static_argnums=2)
    moments = compiled(jnp.asarray(features), jnp.asarray(labels), 8)
    rows = jnp.asarray(RNG.normal(size=(8, 7)), jnp.float32)
    only = ("one_vs_rest_w", "one_vs_rest")
    usual = jax.eval_shape(collapse.measure, moments, rows)
    assert not {*only} & {*usual}
    # With more classes than d + 1, up to 1,000, they come unasked.
    shown = [set(only) <= {*collapse.available(k, 7)} for k in (8, 9, 1000, 1001)]
    assert shown == [False, True, True, False]
    got = jax.jit(functools.partial(collapse.measure, only=only))(moments, rows)
    means = np.stack([features[labels == k].mean(0) for k in range(8)])
    for name, want in (
        ("one_vs_rest", unit(means - means.mean(0))),
        ("one_vs_rest_w", unit(np.asarray(rows))),
    ):
        want = one_vs_rest_distance(want)
        np.testing.assert_allclose(got[name], want, atol=2e-6)
