"""Unconstrained-features models: the optima that training is thought to approach."""

from ncjax.ufm.certify import (
    Bounds as Bounds,
    Certificate as Certificate,
    bounds as bounds,
    certify as certify,
    saddle_direction as saddle_direction,
)
from ncjax.ufm.convex import (
    ConvexSolution as ConvexSolution,
    factorise as factorise,
    solve_convex as solve_convex,
)
from ncjax.ufm.cpcc import Correlated as Correlated
from ncjax.ufm.deep import Deep as Deep
from ncjax.ufm.descent import descend as descend
from ncjax.ufm.fixed import (
    simplex_rows as simplex_rows,
    solve_features as solve_features,
)
from ncjax.ufm.flow import flow as flow, flow_many as flow_many
from ncjax.ufm.frames import (
    FrameOptimum as FrameOptimum,
    frame_optimum as frame_optimum,
)
from ncjax.ufm.geometry import Geometry as Geometry, geometry as geometry
from ncjax.ufm.hessian import (
    Curvature as Curvature,
    hessian as hessian,
    hessian_product as hessian_product,
    least_curvature as least_curvature,
)
from ncjax.ufm.label_sets import label_sets as label_sets
from ncjax.ufm.model import Model as Model, Params as Params
from ncjax.ufm.modes import (
    hadamard_basis as hadamard_basis,
    modal_start as modal_start,
    mode_strengths as mode_strengths,
    random_basis as random_basis,
    strength_flow as strength_flow,
)
from ncjax.ufm.norms import LayerPeeled as LayerPeeled, Spherical as Spherical
from ncjax.ufm.problem import Problem as Problem
from ncjax.ufm.proof import Proof as Proof, solve_proven as solve_proven
from ncjax.ufm.regression import regression as regression
from ncjax.ufm.risk import jensen_gap as jensen_gap
from ncjax.ufm.solve import (
    Solution as Solution,
    solve as solve,
    solve_many as solve_many,
    stack as stack,
)
from ncjax.ufm.sphere import (
    SphereOptimum as SphereOptimum,
    sphere_optimum as sphere_optimum,
)
from ncjax.ufm.tasks import tasks as tasks
from ncjax.ufm.trajectory import Trajectory as Trajectory, small_start as small_start
