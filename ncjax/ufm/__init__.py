"""Unconstrained-features models: the optima that training is thought to approach."""

from ncjax.ufm.certify import Bounds, Certificate, bounds, certify, saddle_direction
from ncjax.ufm.convex import ConvexSolution, factorise, solve_convex
from ncjax.ufm.deep import Deep
from ncjax.ufm.descent import descend
from ncjax.ufm.fixed import simplex_rows, solve_features
from ncjax.ufm.flow import flow, flow_many
from ncjax.ufm.geometry import Geometry, geometry
from ncjax.ufm.hessian import Curvature, hessian, hessian_product, least_curvature
from ncjax.ufm.model import Model, Params
from ncjax.ufm.modes import (
    hadamard_basis,
    modal_start,
    mode_strengths,
    random_basis,
    strength_flow,
)
from ncjax.ufm.norms import LayerPeeled, Spherical
from ncjax.ufm.problem import Problem
from ncjax.ufm.regression import regression
from ncjax.ufm.solve import Solution, solve, solve_many, stack
from ncjax.ufm.trajectory import Trajectory, small_start

__all__ = [
    "Bounds",
    "Certificate",
    "ConvexSolution",
    "Curvature",
    "Deep",
    "Geometry",
    "LayerPeeled",
    "Model",
    "Params",
    "Problem",
    "Solution",
    "Spherical",
    "Trajectory",
    "bounds",
    "certify",
    "descend",
    "factorise",
    "flow",
    "flow_many",
    "geometry",
    "hadamard_basis",
    "hessian",
    "hessian_product",
    "least_curvature",
    "modal_start",
    "mode_strengths",
    "random_basis",
    "regression",
    "saddle_direction",
    "simplex_rows",
    "small_start",
    "solve",
    "solve_convex",
    "solve_features",
    "solve_many",
    "stack",
    "strength_flow",
]
