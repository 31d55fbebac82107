"""A classifier that is not trained: only features are free, and the problem convex."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ncjax.ufm.newton import minimise
from ncjax.ufm.precision import double
from ncjax.ufm.problem import Problem


def simplex_rows(num_classes: int, feature_dim: int | None = None) -> np.ndarray:
    """Unit rows sqrt(K/(K-1)) (I - 11'/K) of a simplex ETF, padded with 0 to [K, d].

    Args:
        num_classes: number K of classes.
        feature_dim: width d of the rows, at least K; by default K.

    Raises:
        ValueError: for d < K; turn a simplex into K - 1 dimensions yourself.
    """
    width = num_classes if feature_dim is None else feature_dim
    if width < num_classes:
        raise ValueError(f"feature_dim={width} is too small: at least {num_classes}.")
    rows = np.eye(num_classes, width)
    rows[:, :num_classes] -= 1 / num_classes
    return rows * np.sqrt(num_classes / (num_classes - 1))


@double
def solve_features(
    problem: Problem, classifier: Any, *, tol: float = 1e-12, max_steps: int = 200
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Features at which f(W, H) is least for a fixed W; unique, as f is convex in H.

    Args:
        problem: a problem without a bias; its weight decay of W only adds a constant.
        classifier: the fixed classifier W [K, d].
        tol: bound on the gradient norm.
        max_steps: largest number of steps of Newton's method.

    Returns:
        The features H [n, d], f without the penalty of W, and the gradient norm.

    Raises:
        ValueError: for a W of another shape, or a problem with a bias.
    """
    classifier = jnp.asarray(classifier)
    shape = problem.num_classes, problem.feature_dim
    if classifier.shape != shape or problem.lambda_b is not None:
        raise ValueError(
            f"The classifier must be {shape} and the problem without a bias, got "
            f"{classifier.shape} and lambda_b={problem.lambda_b}."
        )
    return _solve(problem, classifier, tol, max_steps)


@functools.partial(jax.jit, static_argnums=3)
def _solve(problem, classifier, tol, max_steps):
    rows = (problem.num_rows, problem.feature_dim)
    constant = problem.lambda_w / 2 * jnp.sum(classifier**2)

    def value(x):
        return problem.objective({"W": classifier, "H": x.reshape(rows)}) - constant

    found = minimise(value, jnp.zeros(rows[0] * rows[1]), tol, max_steps)
    return found.point.reshape(rows), found.value, found.gradient_norm
