"""Known codes: closed forms, published angles, and what is refused."""

import math

import numpy as np
import pytest

from ncjax import codes
from ncjax.codes.known import _FOUND, _PROVED, known_code, known_margin, simple_code
from ncjax.codes.margin import nearest_cosines, one_vs_rest_distance
from ncjax.options import InputError

# Widest least angle of K points on the sphere in R^3, in degrees: Sloane's tables.
DEGREES = {
    7: 77.8695, 8: 74.8585, 9: 70.5288, 10: 66.1468, 11: 63.4349, 12: 63.4349,
    13: 57.1367, 14: 55.6706, 15: 53.6579, 16: 52.2444, 17: 51.0903, 18: 49.5567,
    19: 47.6919, 20: 47.4310, 24: 43.6908,
}  # fmt: skip


@pytest.mark.parametrize(
    ("k", "rho"),
    [(3, 1.5), (4, 1), (5, 0.690983), (6, 0.5), (8, 0.292893), (10, 0.190983)],
)
def test_polygons(k, rho):
    np.testing.assert_allclose(known_margin(k, 2), rho, atol=5.1e-7)
    assert one_vs_rest_distance(simple_code(k, 2)) == pytest.approx(rho, abs=1e-6)


@pytest.mark.parametrize(
    ("k", "d"), [(2, 1), (2, 3), (5, 4), (5, 7), (9, 8), (6, 4), (8, 4), (7, 2)]
)
def test_a_code_in_closed_form_is_what_the_table_says(k, d):
    code = simple_code(k, d)
    assert code.shape == (k, d)
    np.testing.assert_allclose(np.linalg.norm(code, axis=1), 1, rtol=1e-14)
    assert nearest_cosines(code).max() == pytest.approx(
        known_code(k, d).cosine, abs=1e-14
    )
    assert one_vs_rest_distance(code) == pytest.approx(known_margin(k, d), abs=1e-13)


def test_a_simplex_and_a_cross_polytope():
    assert known_margin(5, 4) == 5 / 4
    assert known_margin(8, 4) == known_margin(6, 4) == 1
    assert simple_code(13, 3) is None


@pytest.mark.parametrize("k", DEGREES)
def test_points_on_the_sphere(k):
    cosine = known_code(k, 3).cosine
    assert math.degrees(math.acos(cosine)) == pytest.approx(DEGREES[k], abs=6e-5)
    assert known_margin(k, 3) == 1 - cosine


def test_exact_where_the_code_is_known():
    assert known_margin(12, 3) == 1 - 1 / math.sqrt(5)
    assert known_margin(11, 3) == 1 - 1 / math.sqrt(5)
    assert known_margin(9, 3) == 1 - 1 / 3
    seven, ten = (known_code(k, 3).cosine for k in (7, 10))
    assert abs(3 * seven**3 - 9 * seven**2 - 3 * seven + 1) < 1e-14
    assert abs(7 * ten**3 - 4 * ten**2 - 2 * ten + 1) < 1e-14
    assert known_margin(24, 4) == 0.5
    assert known_margin(16, 5) == 0.8


def test_what_is_proved_is_said():
    assert all(known_code(*size).proved for size in _PROVED)
    assert not any(known_code(*size).proved for size in _FOUND)
    assert known_code(100, 10) is None


@pytest.mark.parametrize(
    ("k", "d", "message"),
    [
        (1, 3, "at least 2 classes, got 1"),
        (5, 0, "at least 1 dimension, got 0"),
        (3, 1, "In 1 dimension there are 2 directions, and 3 classes share them"),
        (100, 10, "No known optimum for 100 classes in 10 dimensions"),
    ],
)
def test_what_is_refused(k, d, message):
    with pytest.raises(InputError, match=message):
        codes.known_margin(k, d)
