"""Codes as users get them: found, described, with a verdict."""

import numpy as np
import pytest

from ncjax import codes
from ncjax.codes import code as module
from ncjax.codes.code import _verdict, search_code
from ncjax.options import InputError

SMALL = {"starts": 4, "steps": 150}


def directions(*degrees):
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1)


@pytest.fixture(scope="module")
def seven():
    calls = []
    code = codes.solve(7, 3, **SMALL, progress=lambda *call: calls.append(call))
    return code, calls


def test_the_softmax_code_of_seven_points_is_their_tammes_code(seven):
    code, _ = seven
    assert code.vectors.shape == (7, 3)
    assert code.vectors.dtype == np.float64
    assert code.margin == pytest.approx(codes.known_margin(7, 3), abs=1e-9)
    assert code.angle == pytest.approx(77.8695, abs=6e-5)
    assert code.angle_verdict == "proved"
    assert code.margin_verdict.startswith("best known, within 0.21 of the bound")


def test_progress_is_told(seven):
    code, calls = seven
    assert [call[:3] for call in calls[:2]] == [("starts", 0, 4), ("starts", 4, 4)]
    stage, done, total, best = calls[-1]
    assert (stage, done) == ("polish", total)
    assert best == pytest.approx(code.margin, abs=1e-9)


def test_the_least_angle(seven):
    code = codes.solve(7, 3, objective="angle", **SMALL)
    assert code.angle == pytest.approx(seven[0].angle, abs=1e-8)
    assert (code.objective, code.angle_verdict) == ("angle", "proved")


def test_it_shows_itself(seven):
    code, _ = seven
    text = str(code)
    assert text.startswith("7 classes in 3 dimensions, for the margin")
    assert "Schuette & van der Waerden 1951" in text
    assert f"rattlers: {len(code.rattlers)}" in text
    (row,) = code.to_rows()
    assert row["margin"] == code.margin
    assert row["rattlers"] == len(code.rattlers)


@pytest.mark.parametrize(("k", "d"), [(4, 3), (4, 6), (6, 4), (9, 2)])
def test_closed_forms_are_taken_and_proved(k, d):
    code = codes.solve(k, d)
    assert code.margin_verdict == code.angle_verdict == "proved"
    assert code.rattlers == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("k", "d", "margin"),
    [(24, 4, 0.5), (16, 5, 0.8), (10, 4, 5 / 6), (24, 3, 0.276922), (17, 4, 0.587741)],
)
def test_published_codes_are_found(k, d, margin):
    for objective in ("margin", "angle"):
        code = codes.solve(k, d, objective=objective, starts=32, steps=1000)
        assert code.margin == pytest.approx(margin, abs=1e-6)
        assert code.angle_verdict.startswith(("proved", "best known"))


@pytest.mark.slow
def test_many_classes_beat_the_published_margin():
    """.61416 at d = 10, K = 100 is that of the code of Jiang et al., ICML 2024."""
    code = codes.solve(100, 10, objective="angle", starts=4, steps=1000)
    assert 0.61416 < code.margin <= code.margin_bound.value
    assert code.margin == pytest.approx(1 - np.cos(np.radians(code.angle)), abs=1e-6)


def test_a_large_code_stays_as_the_search_has_left_it(monkeypatch, seven):
    monkeypatch.setattr(module, "_LARGEST", 13)  # below the unknowns of 7 vectors
    rough = codes.solve(7, 3, objective="angle", **SMALL)
    assert 1e-7 < seven[0].margin - rough.margin < 0.02


def test_the_search_finds_what_is_proved_in_closed_form():
    code = search_code(6, 3, objective="margin", starts=2, steps=150)
    assert code.margin == pytest.approx(1, abs=1e-9)


def test_a_rattler_is_further_than_the_least_angle():
    code = codes.describe(directions(0, 90, 225), "angle")
    assert code.angle == pytest.approx(90)
    assert code.rattlers == (2,)


def test_a_rattler_is_further_than_the_margin():
    """From (0, 1) to the others' hull it is 1/sqrt(5), from (-1, 0) much more."""
    code = codes.describe(np.array([[0, 1], [0.6, 0.8], [-1, 0]]))
    assert code.margin == pytest.approx(1 / np.sqrt(5))
    assert code.rattlers == (1, 2)


def test_only_directions_count():
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 3))
    code = codes.describe(vectors * np.arange(1, 6)[:, None])
    assert code.margin == pytest.approx(codes.describe(vectors).margin, rel=1e-12)
    np.testing.assert_allclose(np.linalg.norm(code.vectors, axis=1), 1)


@pytest.mark.parametrize(
    ("found", "best", "words"),
    [
        (1 - 1e-8, None, "proved"),
        (0.9, None, "within 0.1 of the bound"),
        (0.9, 0.9, "best known, within 0.1 of the bound"),
        (0.91, 0.9, "best known, within 0.09 of the bound"),
        (0.8, 0.9, "0.1 below the best known, within 0.2 of the bound"),
    ],
)
def test_verdicts(found, best, words):
    assert _verdict(found, 1.0, best) == words


def test_the_verdict_on_an_angle_is_in_degrees():
    code = codes.describe(directions(0, 90, 220))
    assert code.angle_verdict == (
        "30 deg below the best known, within 30 deg of the bound"
    )


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((3, 1), {}, "In 1 dimension there are 2 directions"),
        ((1, 3), {}, "at least 2 classes"),
        (
            (7, 3),
            {"objective": "angel"},
            "'angel'.*Did you mean 'angle'",
        ),
        ((7, 3), {"starts": 0}, "starts must be at least 1, got 0"),
        ((7, 3), {"steps": 0}, "steps must be at least 1, got 0"),
        ((7, 3), {"seed": -1}, "seed must be in"),
    ],
)
def test_what_is_refused(arguments, options, message):
    with pytest.raises(InputError, match=message):
        codes.solve(*arguments, **options)
