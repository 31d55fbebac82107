"""Second derivatives of a problem, without its Hessian: products and least eigenvalues.

Derivatives are those in the parameters as they are, not in units of `Model.scales`.  At
any non-zero critical point the rotations of feature space give up to d(d-1)/2
eigenvalues 0.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from ncjax.ufm.model import Model, Params
from ncjax.ufm.precision import double

_DENSE = 400  # parameters up to which the Hessian itself is the fastest way


class Curvature(NamedTuple):
    """Least eigenvalues of the Hessian, and the eigenvector of the least."""

    values: np.ndarray  # [count] eigenvalues, least first
    direction: Params  # eigenvector of the least, of norm 1


@double
def hessian_product(problem: Model, params: Params, direction: Params) -> Params:
    """Hessian of the objective times a direction, of the structure of the parameters.

    Forward-mode over reverse-mode differentiation: about the cost of three objectives.

    Args:
        problem: the model.
        params: the parameters at which the Hessian is taken.
        direction: the direction, of the structure of the parameters.
    """
    problem.check(params)
    problem.check(direction)
    return _product(problem, params, direction)


@jax.jit
def _product(problem, params, direction):
    return jax.jvp(jax.grad(problem.objective), (params,), (direction,))[1]


@double
def hessian(problem: Model, params: Params) -> np.ndarray:
    """The Hessian [p, p], for small problems; p numbers as `ravel_pytree` orders them.

    Args:
        problem: the model.
        params: the parameters at which the Hessian is taken.
    """
    problem.check(params)
    return np.asarray(_dense(problem, params))


@jax.jit
def _dense(problem, params):
    flat, unravel = ravel_pytree(params)
    return jax.hessian(lambda x: problem.objective(unravel(x)))(flat)


@double
def least_curvature(
    problem: Model, params: Params, *, count: int = 1, tol: float = 1e-10
) -> Curvature:
    """The least eigenvalues of the Hessian.

    By the Lanczos method (ARPACK); small problems by the whole matrix.

    Args:
        problem: the model.
        params: the parameters at which the Hessian is taken.
        count: number of eigenvalues, from 1 to the number p of parameters.
        tol: relative accuracy of the eigenvalues.

    Raises:
        ValueError: for a count outside 1..p.

    References:
        Lehoucq, Sorensen & Yang, ARPACK Users' Guide, 1998 (through SciPy's eigsh).
    """
    problem.check(params)
    flat, unravel = ravel_pytree(params)
    size = flat.shape[0]
    if not 1 <= count <= size:
        raise ValueError(f"count must be in 1..{size}, got {count}.")
    if size <= _DENSE:
        values, vectors = np.linalg.eigh(np.asarray(_dense(problem, params)))
        return Curvature(values[:count], unravel(jnp.asarray(vectors[:, 0])))
    from scipy.sparse.linalg import LinearOperator, eigsh  # late: half a second

    def product(x: np.ndarray) -> np.ndarray:
        image = _product(problem, params, unravel(jnp.asarray(x.ravel())))
        return np.asarray(ravel_pytree(image)[0])

    create: Any = LinearOperator  # its __new__ takes these arguments, not its __init__
    operator = create((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # the result is repeatable
    values, vectors = eigsh(
        operator, k=count, which="SA", tol=tol, v0=start, ncv=min(size, 40 + 2 * count)
    )
    order = np.argsort(values)
    return Curvature(values[order], unravel(jnp.asarray(vectors[:, order[0]])))
