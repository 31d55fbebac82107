"""Bad input of the models is refused, saying what is allowed."""

import numpy as np
import pytest

from ncjax.ufm import (
    Deep,
    LayerPeeled,
    Problem,
    Spherical,
    certify,
    factorise,
    geometry,
    regression,
    solve,
    solve_convex,
    solve_many,
    stack,
)
from tests.ufm.problems import CIFAR10, balanced_problem


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lambda_w": 0}, "lambda_w must be finite and more than 0, got 0"),
        ({"lambda_h": -1}, "lambda_h must be finite and more than 0"),
        ({"lambda_b": -1}, "lambda_b must be finite and at least 0, got -1"),
        ({"sizes": [3, -2]}, "sizes must be finite and more than 0"),
        ({"num_classes": None}, "How many classes"),
        ({"num_classes": 1}, "At least 2 classes"),
        ({"num_classes": 3, "sizes": [1, 2]}, r"num_classes: 3, sizes: 2"),
        ({"sizes": [[1]]}, "sizes must be a number or"),
        ({"feature_dim": 0}, "feature_dim must be at least 1, got 0"),
        ({"loss": "sce"}, "Unknown loss 'sce'. .*Available: cross_entropy"),
        ({"beta": 4}, "has no option 'beta'. Available: label_smoothing"),
        ({"label_smoothing": 1.5}, "label_smoothing"),
        ({"loss": "hxe", "hierarchy": CIFAR10}, "the hierarchy: 10"),
    ],
)
def test_bad_problems(options, message):
    options = {"lambda_w": 1, "lambda_h": 1, "num_classes": 2} | options
    with pytest.raises(ValueError, match=message):
        Problem.create(**options)


def test_bad_parameters_and_variants():
    problem = balanced_problem(1e-2)
    params = {"W": np.zeros((10, 3)), "H": np.zeros((10, 10))}
    for function in (lambda: solve(problem, params), lambda: certify(problem, params)):
        with pytest.raises(ValueError, match="this problem takes"):
            function()
    with pytest.raises(ValueError, match="differ in numbers only"):
        stack([problem, balanced_problem(1e-2, "mse")])
    with pytest.raises(ValueError, match="2 problems need as many starts, got 3"):
        solve_many([problem, problem], range(3))
    with pytest.raises(ValueError, match="Logits of rank 10 do not fit"):
        factorise(balanced_problem(1e-2, feature_dim=4), np.eye(10))
    with pytest.raises(ValueError, match="Only whole classes"):
        balanced_problem(1e-2, sizes=1.5).samples()
    with pytest.raises(ValueError, match="temperature must be"):
        Spherical.create(num_classes=3, temperature=0)
    with pytest.raises(ValueError, match="class-mean form only"):
        LayerPeeled.create(num_classes=3, radius_w=1, radius_h=1).samples()
    deep = {"num_classes": 3, "lambda_w": 1, "lambda_h": 1}
    with pytest.raises(ValueError, match=r"at least 2, got 1\. One layer is `Problem`"):
        Deep.create(depth=1, **deep)
    with pytest.raises(ValueError, match="Available: relu, linear"):
        Deep.create(depth=2, activation="tanh", **deep)
    with pytest.raises(ValueError, match=r"a number or \[2\], got shape \(3,\)"):
        Deep.create(depth=2, **deep | {"lambda_w": [1, 1, 1]})
    with pytest.raises(ValueError, match="symmetric"):
        regression(np.array([[1, 2], [0, 1]]), lambda_w=1, lambda_h=1)
    with pytest.raises(ValueError, match="eigenvalue"):
        regression(-np.eye(2), lambda_w=1, lambda_h=1)
    with pytest.raises(ValueError, match="Only `Problem` has this convex form"):
        solve_convex(Spherical.create(num_classes=3, temperature=1))
    with pytest.raises(ValueError, match="one width"):
        geometry(params)
    with pytest.raises(ValueError, match="give labels"):
        geometry({"W": np.eye(3), "H": np.ones((4, 3))})
