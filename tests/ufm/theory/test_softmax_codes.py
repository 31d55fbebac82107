"""More classes than dimensions: known margins, and independent search."""

import math

import numpy as np
import pytest

from ncjax.ufm.theory import softmax_codes


class TestSoftmaxCodes:
    @pytest.mark.parametrize(
        ("k", "rho"),
        [(3, 1.5), (4, 1), (5, 0.690983), (6, 0.5), (8, 0.292893), (10, 0.190983)],
    )
    def test_polygons(self, k, rho):
        np.testing.assert_allclose(softmax_codes.known_margin(k, 2), rho, atol=5.1e-7)
        angle = 2 * np.pi * np.arange(k) / k
        code = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code), rho, atol=1e-6
        )

    @pytest.mark.parametrize("k", [2, 5, 9])
    def test_simplex(self, k):
        np.testing.assert_allclose(softmax_codes.known_margin(k, k - 1), k / (k - 1))
        code = math.sqrt(k / (k - 1)) * (np.eye(k) - 1 / k)
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code), k / (k - 1), rtol=1e-9
        )

    @pytest.mark.parametrize("d", [2, 3, 6])
    def test_cross_polytope(self, d):
        assert softmax_codes.known_margin(2 * d, d) == 1
        code = np.vstack([np.eye(d), -np.eye(d)])
        np.testing.assert_allclose(softmax_codes.one_vs_rest_distance(code), 1)

    @pytest.mark.parametrize(
        ("k", "rho"),
        [
            (4, 1.333333), (5, 1), (6, 1), (7, 0.789862), (8, 0.738796), (9, 0.666667),
            (10, 0.595606), (11, 0.552786), (12, 0.552786), (14, 0.436050),
            (15, 0.407394), (17, 0.371906), (18, 0.351304), (20, 0.323523),
            (24, 0.276922),
        ],
    )  # fmt: skip
    def test_sphere(self, k, rho):
        np.testing.assert_allclose(softmax_codes.known_margin(k, 3), rho, atol=2e-6)

    def test_icosahedron(self):
        gold = (1 + math.sqrt(5)) / 2
        pairs = np.array([(x, y * gold) for x in (-1, 1) for y in (-1, 1)])
        flat = np.column_stack([np.zeros(4), pairs])
        code = np.vstack([np.roll(flat, i, axis=1) for i in range(3)])
        code /= np.linalg.norm(code[0])
        np.testing.assert_allclose(
            softmax_codes.one_vs_rest_distance(code),
            softmax_codes.known_margin(12, 3),
            atol=1e-6,
        )

    def test_exact_where_the_code_is_known(self):
        assert softmax_codes.known_margin(12, 3) == 1 - 1 / math.sqrt(5)
        assert softmax_codes.known_margin(11, 3) == 1 - 1 / math.sqrt(5)
        assert softmax_codes.known_margin(9, 3) == 2 / 3
        angles = {7: 77.8695, 8: 74.8585, 9: 70.5288, 12: 63.4349, 24: 43.6908}
        for k, angle in angles.items():
            cosine = 1 - softmax_codes.known_margin(k, 3)
            assert abs(math.degrees(math.acos(cosine)) - angle) < 6e-5, k
        seven = 1 - softmax_codes.known_margin(7, 3)
        assert abs(3 * seven**3 - 9 * seven**2 - 3 * seven + 1) < 1e-14

    def test_margin_is_at_least_that_of_the_angle(self):
        for seed in range(20):
            code = np.random.default_rng(seed).normal(size=(7, 3))
            code /= np.linalg.norm(code, axis=1, keepdims=True)
            widest = np.max((code @ code.T)[~np.eye(7, dtype=bool)])
            margin = softmax_codes.margin_of_angle(float(np.arccos(widest)))
            assert softmax_codes.one_vs_rest_distance(code) >= margin - 1e-9
            assert margin <= softmax_codes.known_margin(7, 3)

    def test_others(self):
        assert softmax_codes.known_margin(24, 4) == 0.5
        assert softmax_codes.known_margin(16, 5) == 0.8
        np.testing.assert_allclose(
            softmax_codes.margin_of_angle(math.radians(78.4630)), 0.8, atol=1e-5
        )
        for k, d in ((3, 1), (13, 3), (100, 10)):
            with pytest.raises(ValueError, match=f"No known optimum for {k} classes"):
                softmax_codes.known_margin(k, d)
