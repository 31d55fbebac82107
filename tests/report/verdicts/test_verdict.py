"""What verdicts on all kinds of labels have in common."""

import math

import pytest

from ncjax.report.verdicts.verdict import Verdict, known_numbers, number_of, state_of


@pytest.mark.parametrize(
    ("most", "learned", "partly", "state"),
    [
        (0.01, True, None, "collapsed"),
        (0.011, True, None, "partly collapsed"),
        (0.11, True, None, "not collapsed"),
        (0.001, False, None, "not collapsed"),
        (0.001, False, True, "partly collapsed"),
    ],
)
def test_the_first_words(most, learned, partly, state):
    assert state_of(most, learned=learned, partly=partly) == state


def test_what_is_missing_is_named():
    row = {"epoch": 3, "train/loss": 1.0, "a": 2, "b": math.nan, "c": "text"}
    assert known_numbers(row, {"A": "a"}) == [2]
    for key in ("b", "c", "d"):
        found = known_numbers(row, {"A": "a", "B": key})
        assert isinstance(found, Verdict)
        assert str(found).startswith("no verdict: B was not measured")
    lost = known_numbers(row | {"train/loss": math.inf}, {"A": "a"})
    assert (lost.state, number_of(row, "c")) == ("diverged", None)
