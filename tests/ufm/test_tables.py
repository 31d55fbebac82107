"""Losses as tables, and any other loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import losses
from ncjax.hierarchy import balanced, from_nested
from ncjax.ufm import certify, geometry, solve, solve_convex
from tests.ufm.problems import CIFAR10, balanced_problem, solved

UNEVEN = from_nested({"a": ["b", "c"], "d": {}, "e": {"f": ["g", "h"], "i": {}}})


def slow(*case):
    return pytest.param(*case, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("cross_entropy", {}),
        slow("cross_entropy", {"label_smoothing": 0.2}),
        ("cross_entropy", {"temperature": 3.0}),
        ("mse", {}),
        slow("soft_labels", {"hierarchy": CIFAR10, "beta": 3.0}),
        slow(
            "soft_labels",
            {"hierarchy": CIFAR10, "subtract_entropy": True, "temperature": 2.0},
        ),
        slow("hxe", {"hierarchy": CIFAR10, "temperature": 0.5}),
        slow("hxe", {"hierarchy": CIFAR10, "weighting": "depth", "normalise": True}),
        ("hace", {"hierarchy": CIFAR10, "dilution": 0.7, "temperature": 2.0}),
        slow("hace", {"hierarchy": UNEVEN}),
        ("multi_level", {"hierarchy": CIFAR10, "level_weights": (1.0, 0.5, 3.0)}),
        slow("multi_level", {"hierarchy": UNEVEN}),
        ("cascade", {"hierarchy": UNEVEN}),
    ],
)
def test_tables_are_the_losses(loss, options):
    """The objective without penalty is the mean of the loss of `ncjax.losses`."""
    check_table(loss, options, losses.LOSSES[loss])


def check_table(loss, options, reference):
    """A line of `FITS` gives the values of a function, one row for each class."""
    options = {"num_classes": None} | options if "hierarchy" in options else options
    problem = balanced_problem(1e-9, loss, **options)
    options = {name: x for name, x in options.items() if name != "num_classes"}
    params = problem.init(jax.random.key(0))
    with jax.enable_x64(True):
        shape = problem.num_classes, problem.num_outputs
        logits = 30 * jax.random.normal(jax.random.key(1), shape, jnp.float64)
        values = reference(logits, jnp.arange(len(logits)), **options)
        np.testing.assert_allclose(problem.fit.losses(logits), values, atol=1e-12)
    total = problem.objective(params) - problem.penalty(params)
    np.testing.assert_allclose(
        total,
        problem.weights @ np.asarray(problem.fit.losses(problem.logits(params))),
        rtol=1e-6,
    )


def test_any_other_loss():
    """A function of the kind of `ncjax.losses` is solved, but has no dual."""

    def pseudo_huber(logits, labels, *, delta=1.0):
        square = (logits - jax.nn.one_hot(labels, logits.shape[1])) ** 2
        return jnp.sum(delta**2 * (jnp.sqrt(1 + square / delta**2) - 1), axis=1)

    problem = balanced_problem(1e-2, pseudo_huber, delta=100.0)
    solution = solve(problem)
    np.testing.assert_allclose(solution.objective, 0.1 - 0.005, atol=1e-5)  # near MSE
    verdict = certify(problem, solution.params).verdict
    assert verdict == "not certifiable: the loss is not known to be convex"
    with pytest.raises(ValueError, match="not known to be convex"):
        solve_convex(problem)


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", ["cascade", pytest.param("multi_level", marks=pytest.mark.slow)]
)
def test_losses_with_other_outputs_are_certified(loss):
    """On a tree without symmetry; class means and A W lie in one space."""
    options = {"hierarchy": UNEVEN, "num_classes": None, "lambda_b": 0.0}
    problem = balanced_problem(1e-3, loss, **options)
    solution, _ = solved(problem)
    assert solution.params["W"].shape == (problem.num_outputs, 6)
    assert problem.class_point(solution.params)["W"].shape == (6, 6)
    assert geometry(problem.class_point(solution.params)).rank == 5


def test_hace_is_not_convex():
    """Along the logit of the sibling, with the other superclass 3 above."""
    options = {"hierarchy": balanced(2, 2), "num_classes": None}
    fit = balanced_problem(1e-3, "hace", **options).fit
    with jax.enable_x64(True):
        logits = jnp.zeros((4, 4)).at[0, 2:].set(3.0)
        first, middle, last = (
            float(fit.losses(logits.at[0, 1].set(s))[0]) for s in (-2.0, -1.0, 0.0)
        )
    assert middle > (first + last) / 2 + 1e-3
    assert not fit.is_convex()
    flat = {"hierarchy": balanced(4, 1), "num_classes": None}
    assert balanced_problem(1e-3, "hace", **flat).fit.is_convex()
