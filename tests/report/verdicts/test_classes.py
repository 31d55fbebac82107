"""The verdict by hand: what is said of made-up runs."""

import numpy as np
import pytest

from ncjax.report.verdict import verdict
from ncjax.runs.history import History
from tests.runs.rows import row

START = [row(1, 0.2, 0.5), row(9, 0.0, 0.1)]


def said(rows, **about):
    found = verdict(History(rows, **about))
    assert str(found).startswith(found.state)
    return str(found)


def test_collapsed():
    assert said([*START, row(90, 0.0, 1e-3)]) == (
        "collapsed: NC1 fell 100 times after error 0 at epoch 9, to 0.001; "
        "NC2 is 0.0056 from the simplex."
    )


@pytest.mark.parametrize(
    ("nc1", "state"), [(0.0101, "partly"), (0.2, "not"), (0.0099, "collapsed")]
)
def test_how_small_is_collapsed(nc1, state):
    assert said([*START, row(90, 0.0, nc1)]).startswith(state)


def test_a_small_nc1_that_did_not_fall_is_no_collapse():
    rows = [row(1, 0.2, 0.009), row(9, 0.0, 0.008), row(90, 0.0, 0.007)]
    assert said(rows).startswith("partly collapsed: NC1 fell 1.1 times")


def test_no_terminal_phase():
    """Features that die have a small NC1, at any accuracy."""
    text = said([row(1, 0.5, 0.5), row(9, 0.02, 1e-5)])
    assert text.startswith(
        "not collapsed: the training error never reached 0, and is 2 % at epoch 9; "
        "NC1 is 1e-05"
    )


def test_an_error_here_and_there():
    """One example in 10,000 that is wrong to the end; the mean of seeds has such."""
    text = said([row(1, 0.5, 0.5), row(9, 1e-4, 1e-3)])
    assert text.startswith("partly collapsed: the training error never reached 0, and")


def test_the_error_came_back():
    text = said([*START, row(90, 0.01, 1e-3)])
    assert text.startswith("partly collapsed: NC1 fell")
    assert "but the error is 1 % again at the end" in text


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_diverged(broken):
    lost = row(90, 0.0, 1e-3) | {"train/loss": broken}
    assert said([*START, lost]) == (
        "diverged: the training loss is not finite at epoch 90."
    )
    assert said([*START, row(90, 0.0, broken)]) == (
        "diverged: the NC1 is not finite at epoch 90."
    )


def test_nothing_to_judge():
    assert said([]) == "no verdict: nothing was measured yet."
    assert said([{"epoch": 3}]) == "no verdict: NC1 was not measured at epoch 3."


def test_what_theory_expects():
    last = row(90, 0.0, 1e-3) | {"nc/nc2": 0.73, "nc/gram_to_limit": 0.14}
    text = said([*START, last], limit={"nc/nc2": 0.81})
    assert text.endswith(
        "NC2 is 0.73, where theory expects 0.81 for this loss (the means are 0.14 from "
        "that geometry)."
    )


def test_seeds_and_the_floor_of_rounding():
    last = row(90, 0.0, 1e-15)
    text = said([*START, last], seeds=[History([]), History([])])
    assert text.startswith("collapsed (mean of 2 seeds): NC1 fell")
    assert text.endswith(
        "this NC1 lies under 1e-14, what rounding of the features gives, and is no "
        "measurement."
    )


def test_one_epoch():
    assert said([row(1, 0.0, 1e-3)]) == (
        "collapsed: NC1 is 0.001, error 0 was reached at epoch 1; NC2 is 0.5 from the "
        "simplex."
    )
    assert "NC1 rose 2 times" in said([*START, row(90, 0.0, 0.2)])
    still = said([*START, row(90, 0.0, 0.098)])
    assert "NC1 stayed near 0.098 after error 0 at epoch 9;" in still
    assert "NC1 fell after error 0 at epoch 9, to 0;" in said([*START, row(90, 0.0, 0)])


def test_several_tasks_are_judged_by_what_is_no_sum():
    """Correlated labels leave NC1 of each task above 0."""
    tasks = [{"nc/not_sum": x, "nc/cross_task": 0.15} for x in (0.4, 0.1, 0.005)]
    rows = [r | t for r, t in zip([*START, row(90, 0.0, 0.2)], tasks, strict=True)]
    assert said(rows) == (
        "collapsed: variance that is no sum over tasks fell 20 times after error 0 at "
        "epoch 9, to 0.005; NC2 is 0.0056 from the simplex for each task, cosines "
        "between them 0.15."
    )
