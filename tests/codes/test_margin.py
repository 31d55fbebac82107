"""Margins in float64, by hand and by closed forms."""

import numpy as np
import pytest

from ncjax.codes.margin import (
    margin_of_angle,
    nearest_cosines,
    one_vs_rest_distance,
    one_vs_rest_distances,
    unit_rows,
)
from ncjax.options import InputError

RNG = np.random.default_rng(0)


def test_by_hand():
    # From (0, 1) to the segment between (3/5, 4/5) and (-1, 0), of direction (2, 1).
    rows = np.array([[0, 1], [0.6, 0.8], [-1, 0]])
    found = one_vs_rest_distances(rows)
    assert found[0] == pytest.approx(1 / np.sqrt(5), rel=1e-13)
    assert found[1] == pytest.approx(np.sqrt(0.36 + 0.04), rel=1e-13)
    assert one_vs_rest_distance(rows) == found.min()


def test_a_vector_within_the_hull_of_the_others_has_no_distance():
    rows = np.array([[0, 0.1], [1, 0], [-1, 0], [0, 1], [0, -1]])
    assert one_vs_rest_distances(rows)[0] < 1e-12


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_distances_scale(scale):
    rows = np.concatenate([np.eye(4), -np.eye(4)])
    np.testing.assert_allclose(one_vs_rest_distances(scale * rows), scale, rtol=1e-12)


def test_the_margin_is_at_least_that_of_the_angle():
    for _ in range(20):
        code = unit_rows(RNG.normal(size=(7, 3)))
        widest = np.arccos(nearest_cosines(code).max())
        assert one_vs_rest_distance(code) >= margin_of_angle(widest) - 1e-12


def test_the_distance_is_the_largest_gap_along_a_direction():
    """By duality: dist = max over unit h of min_j (w_k - w_j).h, so none is larger."""
    code = unit_rows(RNG.normal(size=(6, 3)))
    directions = unit_rows(RNG.normal(size=(4000, 3)))
    gaps = [
        (directions @ (row - np.delete(code, k, axis=0)).T).min(axis=1).max()
        for k, row in enumerate(code)
    ]
    found = one_vs_rest_distances(code)
    assert np.all(found >= np.maximum(gaps, 0) - 1e-12)
    np.testing.assert_allclose(found, np.maximum(gaps, 0), atol=0.02)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        (np.ones(3), r"an array \[K, d\], a vector for each of K >= 2 .* \(3,\)"),
        (np.ones((1, 3)), r"\(1, 3\)"),
        (np.full((2, 2), np.nan), "must be finite"),
    ],
)
def test_what_is_no_code_is_refused(vectors, message):
    with pytest.raises(InputError, match=message):
        one_vs_rest_distance(vectors)


def test_a_vector_without_direction_is_refused():
    with pytest.raises(InputError, match="Vector 1 of the code is 0"):
        unit_rows(np.array([[1.0, 0], [0, 0]]))
