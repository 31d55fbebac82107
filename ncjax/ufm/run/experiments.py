"""The experiments by name.

To add one: write its `Experiment` in a file of its own, and add a line here.
"""

from __future__ import annotations

from ncjax.ufm.run.bias_phase import BIAS_PHASE
from ncjax.ufm.run.experiment import Experiment
from ncjax.ufm.run.fixed_classifier import FIXED_CLASSIFIER
from ncjax.ufm.run.hadamard_flow import HADAMARD_FLOW
from ncjax.ufm.run.low_rank import LOW_RANK
from ncjax.ufm.run.minority_collapse import MINORITY
from ncjax.ufm.run.optimum import OPTIMUM
from ncjax.ufm.run.regression_collapse import REGRESSION

EXPERIMENTS: dict[str, Experiment] = {
    "optimum": OPTIMUM,
    "flow_hadamard": HADAMARD_FLOW,
    "bias_phase": BIAS_PHASE,
    "minority": MINORITY,
    "deep": LOW_RANK,
    "regression": REGRESSION,
    "fixed_etf": FIXED_CLASSIFIER,
}
