"""Neural collapse metrics: pure functions of class moments and the classifier.

`measure` gives all scalars at once; `METRICS` says what each of them means.
"""

from ncjax.collapse.alignment import misalignment, principal_angles, shape_residual
from ncjax.collapse.conventions import PRESETS, Convention, get_convention
from ncjax.collapse.decisions import nc4, ncc_accuracy, nearest_mean, nearest_row
from ncjax.collapse.decomposition import (
    MSEDecomposition,
    mse_decomposition,
    ridge_classifier,
)
from ncjax.collapse.duality import (
    bias_collapse,
    nc3,
    nc3_cosine,
    nc3_papyan,
    uniform_duality,
)
from ncjax.collapse.levels import (
    cophenetic_correlation,
    cosines_by_height,
    group_moments,
    group_rows,
    group_variance,
)
from ncjax.collapse.margin import Margin, one_vs_rest
from ncjax.collapse.means import (
    between_basis,
    center_features,
    centred_means,
    global_mean,
    present_classes,
)
from ncjax.collapse.measure import METRICS, available, measure
from ncjax.collapse.outliers import nc5, neco, principal_directions
from ncjax.collapse.registry import Metric
from ncjax.collapse.second_pass import SecondPass
from ncjax.collapse.separation import cdnv, cdnv_matrix, snr, snr_matrix
from ncjax.collapse.simplex import (
    angle_statistics,
    equiangularity,
    equinorm,
    gram_distance,
    max_angle,
    nc2,
)
from ncjax.collapse.span import Span
from ncjax.collapse.superclasses import level_metrics, superclass_levels, tree_metrics
from ncjax.collapse.uniformity import log_kernel, riesz_kernel
from ncjax.collapse.variability import (
    nc1,
    nc1_floor,
    numerical_rank,
    trace_ratio,
    vci,
    within_variance,
)

__all__ = [
    "METRICS",
    "PRESETS",
    "Convention",
    "MSEDecomposition",
    "Margin",
    "Metric",
    "SecondPass",
    "Span",
    "angle_statistics",
    "available",
    "between_basis",
    "bias_collapse",
    "cdnv",
    "cdnv_matrix",
    "center_features",
    "centred_means",
    "cophenetic_correlation",
    "cosines_by_height",
    "equiangularity",
    "equinorm",
    "get_convention",
    "global_mean",
    "gram_distance",
    "group_moments",
    "group_rows",
    "group_variance",
    "level_metrics",
    "log_kernel",
    "max_angle",
    "measure",
    "misalignment",
    "mse_decomposition",
    "nc1",
    "nc1_floor",
    "nc2",
    "nc3",
    "nc3_cosine",
    "nc3_papyan",
    "nc4",
    "nc5",
    "ncc_accuracy",
    "nearest_mean",
    "nearest_row",
    "neco",
    "numerical_rank",
    "one_vs_rest",
    "present_classes",
    "principal_angles",
    "principal_directions",
    "ridge_classifier",
    "riesz_kernel",
    "shape_residual",
    "snr",
    "snr_matrix",
    "superclass_levels",
    "trace_ratio",
    "tree_metrics",
    "uniform_duality",
    "vci",
    "within_variance",
]
