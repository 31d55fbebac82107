"""Many problems in one call, and float64 throughout."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncjax.ufm import Problem, bounds, solve, solve_many, stack
from tests.ufm.problems import balanced_problem


def test_many_problems_in_one_call():
    """Over penalties and over beta, with one compilation."""
    cs, betas = np.geomspace(1e-3, 5e-2, 12), np.linspace(1, 12, 12)
    problems = [
        balanced_problem(c, "soft_labels", beta=b)
        for c, b in zip(cs, betas, strict=True)
    ]
    many = solve_many(problems)
    assert np.all(many.converged)
    one = solve(problems[7], 3)
    np.testing.assert_allclose(many.objective[7], one.objective, atol=1e-13)
    with jax.enable_x64(True):
        gaps = jax.vmap(bounds)(stack(problems), many.params).gap
        assert np.max(gaps) < 1e-9


@pytest.mark.slow
def test_solve_inside_vmap():
    """Over traced penalties, problems made inside."""

    def value(c):
        problem = Problem.create(lambda_w=c, lambda_h=c, num_classes=3)
        return solve(problem, jax.random.key(0)).objective

    with jax.enable_x64(True):
        values = jax.vmap(value)(jnp.asarray([1e-3, 1e-2]))
    expected = [-np.log(1 - 2 * c) + 2 * c * np.log(1 / c - 2) for c in (1e-3, 1e-2)]
    np.testing.assert_allclose(values, expected, atol=1e-13)


def test_never_in_float32():
    """Results are float64 whether x64 is on or off; a float32 trace is refused."""
    problem = balanced_problem(1e-2)
    solution = solve(problem)
    assert solution.objective.dtype == np.float64
    assert isinstance(solution.objective, np.ndarray)
    single = jax.tree.map(np.float32, solution.params)
    assert problem.objective(single).dtype == np.float64
    with pytest.raises(TypeError, match="needs float64"):
        jax.vmap(lambda key: solve(problem, key))(jax.random.split(jax.random.key(0)))
    with pytest.raises(TypeError, match="traced as float32"):
        jax.jit(lambda c: balanced_problem(c).lambda_w)(1e-2)
