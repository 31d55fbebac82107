"""Neural collapse metrics: pure functions of class moments and the classifier.

`measure` gives all scalars at once; `METRICS` says what each of them means.
"""

from ncjax.collapse.conventions import (
    PRESETS as PRESETS,
    Convention as Convention,
    get_convention as get_convention,
)
from ncjax.collapse.decisions import (
    linear_decisions as linear_decisions,
    nc4 as nc4,
    ncc_accuracy as ncc_accuracy,
    nearest_mean as nearest_mean,
    nearest_row as nearest_row,
)
from ncjax.collapse.decomposition import (
    MSEDecomposition as MSEDecomposition,
    mse_decomposition as mse_decomposition,
    ridge_classifier as ridge_classifier,
)
from ncjax.collapse.duality import (
    bias_collapse as bias_collapse,
    misalignment as misalignment,
    nc3 as nc3,
    nc3_cosine as nc3_cosine,
    nc3_papyan as nc3_papyan,
    principal_angles as principal_angles,
    shape_residual as shape_residual,
    uniform_duality as uniform_duality,
)
from ncjax.collapse.generalized import (
    effective_rank as effective_rank,
    effective_rank_within as effective_rank_within,
    gnc1 as gnc1,
    gnc3 as gnc3,
    max_cosine as max_cosine,
    nc2_excess as nc2_excess,
    normalise as normalise,
)
from ncjax.collapse.margin import Margin as Margin, one_vs_rest as one_vs_rest
from ncjax.collapse.means import (
    Span as Span,
    between_basis as between_basis,
    centred_means as centred_means,
    global_mean as global_mean,
    present_classes as present_classes,
)
from ncjax.collapse.measure import (
    METRICS as METRICS,
    available as available,
    measure as measure,
)
from ncjax.collapse.outliers import (
    nc5 as nc5,
    neco as neco,
    principal_directions as principal_directions,
)
from ncjax.collapse.registry import Metric as Metric
from ncjax.collapse.row_sum import nc0 as nc0, nc0_squared as nc0_squared
from ncjax.collapse.second_pass import SecondPass as SecondPass
from ncjax.collapse.separation import (
    cdnv as cdnv,
    cdnv_matrix as cdnv_matrix,
    snr as snr,
)
from ncjax.collapse.simplex import (
    angle_statistics as angle_statistics,
    equinorm as equinorm,
    gram_distance as gram_distance,
    nc2 as nc2,
    relative_gram as relative_gram,
)
from ncjax.collapse.superclasses import (
    cophenetic_correlation as cophenetic_correlation,
    cosines_by_height as cosines_by_height,
    group_moments as group_moments,
    group_rows as group_rows,
    group_variance as group_variance,
    level_metrics as level_metrics,
    superclass_levels as superclass_levels,
    tree_metrics as tree_metrics,
)
from ncjax.collapse.uniformity import (
    log_kernel as log_kernel,
    riesz_kernel as riesz_kernel,
)
from ncjax.collapse.variability import (
    nc1 as nc1,
    nc1_floor as nc1_floor,
    nc1_of_features as nc1_of_features,
    numerical_rank as numerical_rank,
    rnc1 as rnc1,
    rounding_variance as rounding_variance,
    trace_ratio as trace_ratio,
    vci as vci,
    within_variance as within_variance,
)
