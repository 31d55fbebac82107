"""Neural collapse metrics: pure functions of class moments and the classifier.

`measure` gives all scalars at once; `METRICS` says what each of them means.
"""

# ruff: noqa: F401  (what is imported here is public)

from ncjax.collapse.conventions import PRESETS, Convention, get_convention
from ncjax.collapse.decisions import (
    linear_decisions,
    nc4,
    ncc_accuracy,
    nearest_mean,
    nearest_row,
)
from ncjax.collapse.decomposition import (
    MSEDecomposition,
    mse_decomposition,
    ridge_classifier,
)
from ncjax.collapse.duality import (
    bias_collapse,
    misalignment,
    nc3,
    nc3_cosine,
    nc3_papyan,
    principal_angles,
    shape_residual,
    uniform_duality,
)
from ncjax.collapse.margin import Margin, one_vs_rest
from ncjax.collapse.means import (
    Span,
    between_basis,
    centred_means,
    global_mean,
    present_classes,
)
from ncjax.collapse.measure import METRICS, available, measure
from ncjax.collapse.outliers import nc5, neco, principal_directions
from ncjax.collapse.registry import Metric
from ncjax.collapse.second_pass import SecondPass
from ncjax.collapse.separation import cdnv, cdnv_matrix, snr
from ncjax.collapse.simplex import (
    angle_statistics,
    equinorm,
    gram_distance,
    nc2,
)
from ncjax.collapse.superclasses import (
    cophenetic_correlation,
    cosines_by_height,
    group_moments,
    group_rows,
    group_variance,
    level_metrics,
    superclass_levels,
    tree_metrics,
)
from ncjax.collapse.uniformity import log_kernel, riesz_kernel
from ncjax.collapse.variability import (
    nc1,
    nc1_floor,
    numerical_rank,
    rounding_variance,
    trace_ratio,
    vci,
    within_variance,
)
