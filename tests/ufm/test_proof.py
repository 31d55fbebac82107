"""What is said of an optimum: certified, in closed form, or the best of starts."""

import pytest

from ncjax.hierarchy import balanced
from ncjax.ufm import Problem, Proof, solve_proven


def test_in_words():
    assert str(Proof("certified", 3e-13)) == "certified (gap 3e-13)"
    assert str(Proof("closed form")) == "closed form"
    many = str(Proof("certified", 3e-13, spread=0.63))
    assert many == "certified (gap 3e-13); one of many, Gram matrices up to 0.63 apart"
    words = str(Proof("starts", starts=50, reached=7))
    assert words == "best of 50 random starts, reached by 7; no certificate"


@pytest.mark.slow
def test_convex_models_are_certified_and_others_started_often():
    decays = {"lambda_w": 1e-2, "lambda_h": 1e-2, "hierarchy": balanced(2, 2)}
    _, proof = solve_proven(Problem.create("cascade", **decays))
    assert proof.kind == "certified"
    assert proof.starts == 0
    assert proof.spread > 0.1  # outputs off the path of a class cost nothing
    found, proof = solve_proven(Problem.create("multi_level", **decays))
    assert proof.unique
    found, proof = solve_proven(Problem.create("hace", **decays), 5)
    assert (proof.kind, proof.starts, proof.reached) == ("starts", 5, 5)
    assert found.objective.shape == ()
    narrow = Problem.create("cascade", feature_dim=1, **decays)
    assert solve_proven(narrow, 3)[1].kind == "starts"
