"""Losses as tables, and any other loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax import losses
from ncjax.ufm import certify, solve, solve_convex
from tests.ufm.problems import CIFAR10, balanced_problem


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
    ],
)
def test_tables_are_the_losses(loss, options):
    """The objective without penalty is the mean of the loss of `ncjax.losses`."""
    check_table(loss, options, losses.LOSSES[loss])


def check_table(loss, options, reference):
    """A line of `FITS` gives the values of a function, one row for each class."""
    problem = balanced_problem(1e-9, loss, **options)
    params = problem.init(jax.random.key(0))
    with jax.enable_x64(True):
        logits = 30 * jax.random.normal(jax.random.key(1), (10, 10), jnp.float64)
        values = reference(logits, jnp.arange(10), **options)
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
