"""Unconstrained-features models: solved and certified."""

from ncjax.ufm.certify import Bounds, Certificate, bounds, certify, saddle_direction
from ncjax.ufm.hessian import Curvature, hessian, hessian_product, least_curvature
from ncjax.ufm.problem import Params, Problem
from ncjax.ufm.solve import Solution, solve, solve_many, stack

__all__ = [
    "Bounds",
    "Certificate",
    "Curvature",
    "Params",
    "Problem",
    "Solution",
    "bounds",
    "certify",
    "hessian",
    "hessian_product",
    "least_curvature",
    "saddle_direction",
    "solve",
    "solve_many",
    "stack",
]
