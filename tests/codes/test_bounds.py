"""Upper bounds: sharp where codes are known to be, and above every code tried."""

import re

import numpy as np
import pytest
from scipy import special

from ncjax.codes.bounds import (
    best_margin,
    cosine_bound,
    delsarte,
    fejes_toth,
    gegenbauer,
    margin_bound,
    most_vectors,
)
from ncjax.codes.known import _PROVED, known_code
from ncjax.codes.margin import nearest_cosines, one_vs_rest_distance, unit_rows
from ncjax.options import InputError
from tests.thin import thin

SHARP = [  # Levenshtein 1979: Delsarte's bound is that of the code
    (16, 5), (27, 6), (56, 7), (240, 8), (112, 21), (162, 21), (100, 22), (275, 22),
    (891, 22), (552, 23), (4600, 23), (196560, 24), (120, 4), (12, 3),
]  # fmt: skip


@pytest.mark.parametrize(("k", "d"), thin(SHARP, keep=(0, 5)))
def test_delsarte_is_sharp(k, d):
    cosine = _PROVED[k, d][0]
    found = delsarte(k, d)
    assert cosine - 3e-6 < found <= cosine + 1e-12


def test_delsarte_is_below_codes_that_are_proved():
    assert 0.13 < delsarte(10, 4) < 1 / 6
    assert 0.47 < delsarte(24, 4) < 1 / 2
    assert delsarte(8, 4) == 0


def test_the_kissing_number_of_eight_dimensions():
    assert 240 <= most_vectors(0.5, 8) < 240.001


def test_gegenbauer_polynomials_are_those_of_scipy():
    points = np.linspace(-1, 1, 7)
    table = gegenbauer(points, 5)
    for degree in (1, 2, 9, 30):
        want = special.eval_gegenbauer(degree, 1.5, points)
        want = want / special.eval_gegenbauer(degree, 1.5, 1.0)
        np.testing.assert_allclose(table[:, degree - 1], want, atol=1e-12)


@pytest.mark.parametrize(("k", "cosine"), [(3, -1 / 2), (4, -1 / 3), (6, 0)])
def test_fejes_toth_is_sharp(k, cosine):
    assert fejes_toth(k) == pytest.approx(cosine, abs=1e-14)


def test_fejes_toth_is_sharp_at_the_icosahedron_and_below_the_snub_cube():
    assert fejes_toth(12) == pytest.approx(1 / np.sqrt(5), abs=1e-14)
    assert 0.7 < fejes_toth(24) < known_code(24, 3).cosine


@pytest.mark.parametrize(
    ("k", "d", "bound"),
    [(5, 4, 5 / 4), (6, 4, 1), (8, 4, 1), (5, 2, 1 - np.cos(0.4 * np.pi)), (9, 3, 1)],
)
def test_bounds_of_the_margin(k, d, bound):
    assert margin_bound(k, d).value == pytest.approx(bound, abs=1e-15)


def test_no_code_exceeds_the_bounds():
    rng = np.random.default_rng(0)
    for k, d in ((4, 3), (5, 3), (6, 2), (13, 3)):
        most, least = margin_bound(k, d).value, cosine_bound(k, d).value
        for _ in range(10):
            code = unit_rows(rng.normal(size=(k, d)))
            assert one_vs_rest_distance(code) <= most
            assert nearest_cosines(code).max() >= least


def test_vectors_and_directions_are_a_code_in_twice_the_dimensions():
    """The step of `margin_bound` beyond K = 4d, on a code and its directions."""
    rng = np.random.default_rng(0)
    code = unit_rows(np.concatenate([np.eye(3), -np.eye(3)]) + 0.1)
    rho = one_vs_rest_distance(code)
    # The best of many directions, for each vector, has a gap close to its distance.
    directions = unit_rows(rng.normal(size=(20_000, 3)))
    gaps = np.array(
        [
            (directions @ (row - np.delete(code, k, axis=0)).T).min(axis=1)
            for k, row in enumerate(code)
        ]
    )
    best, reached = directions[gaps.argmax(axis=1)], gaps.max(axis=1).min()
    assert rho - 0.02 < reached <= rho
    doubled = np.concatenate([code, best], axis=1)
    assert nearest_cosines(doubled).max() <= 1 - reached + 1e-12


def test_a_proved_code_is_its_own_bound():
    assert cosine_bound(14, 3) == (_PROVED[14, 3][0], "Musin & Tarasov 2015")


def test_sizes_that_cannot_be_are_refused():
    for bound in (margin_bound, cosine_bound):
        with pytest.raises(InputError, match="In 1 dimension"):
            bound(4, 1)


def test_the_best_margin_says_whence_it_is():
    for number, dim, margin, said in (
        (10, 2, 1 - np.cos(np.pi / 5), r"in 2 dimensions is 0\.191 \(proved\)"),
        (
            10,
            4,
            5 / 6,
            r"known .* is 0\.8333 \(code of the widest angle, Bachoc .*Radon",
        ),
        (5, 4, 5 / 4, r"is 1\.25 \(proved\)"),
        (
            100,
            10,
            margin_bound(100, 10).value,
            r"at most 0\.8913 .*--classes=100 --dim=10",
        ),
    ):
        value, sentence = best_margin(number, dim)
        assert value == pytest.approx(margin)
        assert re.search(said, sentence), sentence
