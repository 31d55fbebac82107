"""Random starts on the device."""

import numpy as np
import pytest

from ncjax.codes.margin import nearest_cosines
from ncjax.codes.search import search


def all_of(starts, margin=False, seed=0):
    blocks = list(search(6, 3, margin, starts, steps=150, seed=seed))
    points = np.concatenate([block.points for block in blocks])
    return points, np.concatenate([block.values for block in blocks])


@pytest.fixture(scope="module")
def found():
    return all_of(20)  # more than are descended at once


def test_all_starts_come_back_as_unit_vectors(found):
    points, values = found
    assert points.shape == (20, 6, 3)
    np.testing.assert_allclose(np.linalg.norm(points, axis=2), 1, rtol=1e-5)
    assert len(np.unique(values)) == 20


def test_values_are_the_largest_cosines(found):
    for points, value in zip(*found, strict=True):
        assert nearest_cosines(points).max() == pytest.approx(value, abs=1e-5)


def test_the_octahedron_is_found(found):
    assert 0 <= found[1].min() < 0.01


def test_starts_do_not_depend_on_their_number(found):
    points, _ = all_of(16)
    np.testing.assert_array_equal(points, found[0][:16])


def test_another_seed_gives_others(found):
    points, _ = all_of(16, seed=1)
    assert np.abs(points - found[0][:16]).max() > 0.1


def test_margins_have_directions_below_the_vectors():
    points, values = all_of(2, margin=True)
    vectors, directions = points[:, :6], points[:, 6:]
    products = np.einsum("nkd,njd->nkj", directions, vectors)
    gaps = np.einsum("nkk->nk", products)[:, :, None] - products
    gaps[:, np.eye(6, dtype=bool)] = np.inf
    np.testing.assert_allclose(-gaps.min(axis=(1, 2)), values, atol=1e-5)
    assert values.min() < -0.5
