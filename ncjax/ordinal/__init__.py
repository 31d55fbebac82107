"""Levels with an order: cumulative link models, and the collapse of their features.

`log_probability` is what a network says of a level; `measure` turns the moments of its
features, with the levels as classes, into the metrics ONC1 to ONC3.
"""

from ncjax.ordinal.links import (
    LINKS as LINKS,
    bounds as bounds,
    get_link as get_link,
    log_probabilities as log_probabilities,
    log_probability as log_probability,
)
from ncjax.ordinal.measure import (
    METRICS as METRICS,
    OF_OUTPUTS as OF_OUTPUTS,
    measure as measure,
)
from ncjax.ordinal.rows import (
    median_level as median_level,
    of_rows as of_rows,
    to_rows as to_rows,
)
from ncjax.ordinal.thresholds import make_thresholds as make_thresholds
