"""Collapse of multi-label classification: each example has a set of labels.

`set_moments` and `SetPass` are the two passes over features [n, d] and sets [n, K];
`measure` turns them into the metrics of collapse of the examples with one label, and
says whether the features of a set are the sum of those of its labels.
"""

from ncjax.multilabel.conventions import PRESETS as PRESETS, Convention as Convention
from ncjax.multilabel.labels import (
    MOST_LABELS as MOST_LABELS,
    check_sets as check_sets,
    pair_labels as pair_labels,
)
from ncjax.multilabel.measure import (
    METRICS as METRICS,
    OF_OUTPUTS as OF_OUTPUTS,
    measure as measure,
    measure_features as measure_features,
)
from ncjax.multilabel.moments import (
    SetMoments as SetMoments,
    set_moments as set_moments,
)
from ncjax.multilabel.second_pass import SetPass as SetPass
from ncjax.multilabel.sums import set_angles as set_angles
