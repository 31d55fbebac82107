"""Newton's method: minima known in closed form, saddles left behind, bounds kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from ncjax.ufm.newton import minimise


@pytest.fixture(autouse=True)
def x64():
    with jax.enable_x64(True):
        yield


def test_a_quadratic_takes_a_few_steps():
    """(x - a)' D (x - a) / 2 with D = diag(1, 10, 100) has its minimum 0 at a."""
    a, d = jnp.array([1.0, -2.0, 3.0]), jnp.array([1.0, 10.0, 100.0])
    found = minimise(lambda x: 0.5 * jnp.sum(d * (x - a) ** 2), jnp.zeros(3), 1e-12, 50)
    np.testing.assert_allclose(found.point, a, rtol=1e-12)
    assert found.value < 1e-20
    assert found.gradient_norm <= 1e-12
    assert found.iterations < 10


def test_it_leaves_a_saddle():
    """x^4/4 - x^2/2 + y^2/2: (0, 0) is a saddle, the minima +-1 have the value -1/4."""

    def function(point):
        x, y = point
        return x**4 / 4 - x**2 / 2 + y**2 / 2

    found = minimise(function, jnp.array([1e-3, 0.5]), 1e-12, 100)
    np.testing.assert_allclose(found.value, -0.25, rtol=1e-12)
    np.testing.assert_allclose(jnp.abs(found.point), [1, 0], atol=1e-10)


def rosenbrock(x):
    """100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, summed: 0 at ones, in a curved valley."""
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_as_scipy_on_rosenbrock():
    start = np.array([1.2, 1.0, 0.7, 1.4])
    found = minimise(rosenbrock, jnp.asarray(start), 1e-10, 200)
    want = optimize.minimize(optimize.rosen, start, jac=optimize.rosen_der, tol=1e-12)
    np.testing.assert_allclose(found.point, want.x, rtol=1e-6)
    np.testing.assert_allclose(found.point, 1.0, rtol=1e-9)


def test_it_ends_after_the_steps_that_it_may_take():
    found = minimise(lambda x: jnp.sum(jnp.cosh(x)), jnp.full(2, 5.0), 1e-12, 1)
    assert found.iterations == 1
    assert found.gradient_norm > 1e-12


def test_a_function_that_is_not_finite_ends_it():
    found = minimise(lambda x: jnp.sum(x) * jnp.nan, jnp.ones(2), 1e-12, 50)
    assert found.iterations <= 1
