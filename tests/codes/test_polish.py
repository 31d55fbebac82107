"""The interior-point method: known optima to the last digits, derivatives."""

import numpy as np
import pytest

from ncjax.codes.known import known_code
from ncjax.codes.margin import nearest_cosines, one_vs_rest_distances, unit_rows
from ncjax.codes.polish import (
    _curvature,
    _jacobian,
    _tangents,
    pairs_of,
    polish,
)


def near(code, by=0.02):
    return unit_rows(code + by * np.random.default_rng(0).normal(size=code.shape))


def icosahedron():
    gold = (1 + 5**0.5) / 2
    pairs = np.array([(x, y * gold) for x in (-1, 1) for y in (-1, 1)])
    flat = np.column_stack([np.zeros(4), pairs])
    return unit_rows(np.vstack([np.roll(flat, i, axis=1) for i in range(3)]))


def test_a_tammes_code():
    found = polish(near(icosahedron()), margin=False)
    assert found.solved
    assert found.value == pytest.approx(1 / np.sqrt(5), abs=1e-11)
    np.testing.assert_allclose(nearest_cosines(found.points), found.value, atol=1e-11)


def test_a_softmax_code():
    start = near(icosahedron())
    found = polish(np.concatenate([start, start]), margin=True)
    assert found.solved
    assert found.value == pytest.approx(1 / np.sqrt(5) - 1, abs=1e-11)
    vectors = found.points[:12]
    np.testing.assert_allclose(one_vs_rest_distances(vectors), -found.value, atol=1e-9)


def test_random_starts_reach_the_proved_optimum():
    rng = np.random.default_rng(0)
    best = min(polish(rng.normal(size=(8, 3)), False).value for _ in range(12))
    assert best == pytest.approx(known_code(8, 3).cosine, abs=1e-11)


def test_a_vector_that_nothing_holds_stands_in_the_middle_of_its_room():
    """Between two poles and two points of the equator a fifth has the widest angles."""
    fixed = np.array([[0, 0, 1], [0, 0, -1], [1, 0, 0], [-0.5, 3**0.5 / 2, 0]])
    start = np.vstack([fixed, [[-0.2, -0.9, 0.1]]])
    found = polish(near(start, 0.01), margin=False)
    # The fifth feels no force: rounding ends the search, here at 4e-10 to 4e-8.
    assert found.value == pytest.approx(0, abs=1e-7)
    cosines = found.points[2:] @ found.points[2:].T
    # The poles are held, and the three others have room on the equator.
    assert cosines[~np.eye(3, dtype=bool)].max() < -0.1


@pytest.mark.parametrize("margin", [False, True])
def test_derivatives_are_those_of_differences(margin):
    rng = np.random.default_rng(1)
    points = unit_rows(rng.normal(size=(8, 3)))
    pairs = pairs_of(8 // (1 + margin), margin)
    forces = rng.uniform(size=len(pairs.first))
    basis = _tangents(points)
    np.testing.assert_allclose(
        np.einsum("rdi,rdj->rij", basis, basis),
        np.tile(np.eye(2), (8, 1, 1)),
        atol=1e-12,
    )

    def value(move):
        moved = points + np.einsum("rdi,ri->rd", basis, move.reshape(8, 2))
        return pairs.values(moved / np.linalg.norm(moved, axis=1, keepdims=True))

    size, step = 16, 1e-4
    unit = step * np.eye(size)
    slopes = np.stack([(value(u) - value(-u)) / (2 * step) for u in unit], axis=1)
    np.testing.assert_allclose(
        _jacobian(basis, points, pairs).toarray(), slopes, atol=1e-7
    )
    second = np.array(
        [
            [
                forces @ (value(u + v) - value(u - v) - value(v - u) + value(-u - v))
                for v in unit
            ]
            for u in unit
        ]
    ) / (4 * step**2)
    np.testing.assert_allclose(
        _curvature(basis, points, pairs, forces), second, atol=1e-5
    )
