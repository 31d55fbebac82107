"""Unconstrained-features models: the optima that training is thought to approach."""

from ncjax.ufm.certify import Bounds, Certificate, bounds, certify, saddle_direction
from ncjax.ufm.convex import ConvexSolution, factorise, solve_convex
from ncjax.ufm.deep import Deep
from ncjax.ufm.geometry import Geometry, geometry
from ncjax.ufm.hessian import Curvature, hessian, hessian_product, least_curvature
from ncjax.ufm.norms import LayerPeeled, Spherical
from ncjax.ufm.problem import Params, Problem
from ncjax.ufm.regression import regression
from ncjax.ufm.solve import Solution, solve, solve_many, stack

__all__ = [
    "Bounds",
    "Certificate",
    "ConvexSolution",
    "Curvature",
    "Deep",
    "Geometry",
    "LayerPeeled",
    "Params",
    "Problem",
    "Solution",
    "Spherical",
    "bounds",
    "certify",
    "factorise",
    "geometry",
    "hessian",
    "hessian_product",
    "least_curvature",
    "regression",
    "saddle_direction",
    "solve",
    "solve_convex",
    "solve_many",
    "stack",
]
