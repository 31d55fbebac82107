"""Collapse of regression: features and targets that are vectors, not classes.

`regression_moments` and `RegressionPass` are the two passes over features [n, d] and
targets [n, t]; `measure` turns them into the metrics NRC1 to NRC3 and their like.
"""

from ncjax.regression.checks import (
    check_spread as check_spread,
    check_targets as check_targets,
)
from ncjax.regression.conventions import PRESETS as PRESETS, Convention as Convention
from ncjax.regression.duality import (
    alignment as alignment,
    best_root as best_root,
    cka as cka,
    least_squares as least_squares,
    nrc3 as nrc3,
)
from ncjax.regression.measure import (
    METRICS as METRICS,
    OF_OUTPUTS as OF_OUTPUTS,
    measure as measure,
    measure_features as measure_features,
)
from ncjax.regression.moments import (
    RegressionMoments as RegressionMoments,
    regression_moments as regression_moments,
)
from ncjax.regression.second_pass import RegressionPass as RegressionPass
from ncjax.regression.spans import (
    principal_axes as principal_axes,
    row_axes as row_axes,
)
